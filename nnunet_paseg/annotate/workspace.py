"""The work of all pages on the cases of two folders: open, save, expand and accept."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nnunet_paseg.annotate.accepted import AcceptedMasks
from nnunet_paseg.annotate.case_list import check_files, list_cases
from nnunet_paseg.annotate.document import from_json, open_work, state_of, targets_of, to_json
from nnunet_paseg.annotate.leases import Leases
from nnunet_paseg.annotate.live_masks import label_map, live_masks, warm_up
from nnunet_paseg.annotate.nifti import nifti_stream, ras_affine
from nnunet_paseg.annotate.open_images import OpenImage, OpenImages, common_grid
from nnunet_paseg.annotate.point_file import read_document
from nnunet_paseg.annotate.point_folder import finish_interrupted, save, version_of
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.images import header_warning
from nnunet_paseg.points.annotation import Annotation, places_in
from nnunet_paseg.points.annotation_time import MAX_SECONDS, append_time

MAX_PAGE = 64
"""Longest identifier of a page."""


class ConflictError(PasegError):
    """The case is in work elsewhere, or was changed since the page has loaded it."""


@dataclass
class Workspace:
    """Folders, classes and open cases of one server.

    Attributes:
        images: Folder of images.
        points: Folder of points.
        class_names: Classes of the dataset.
        channel_names: One name per channel.
        leases: Who works on which case.
        accepted: Folder of accepted masks, None if masks are not saved.
    """

    images: Path
    points: Path
    class_names: tuple[str, ...]
    channel_names: tuple[str, ...]
    leases: Leases
    accepted: AcceptedMasks | None = None
    _open: OpenImages = field(default_factory=OpenImages)
    _saving: dict[str, threading.Lock] = field(default_factory=lambda: defaultdict(threading.Lock))
    _states: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, int]:
        """Label of every class."""
        return {name: label for label, name in enumerate(self.class_names, start=1)}

    def overview(self) -> dict[str, Any]:
        """Return the classes, the channels, and all cases with their states."""
        cases = []
        for case, files in list_cases(self.images, self.points).items():
            holder = self.leases.holder(case)
            cases.append({**self._state(files), "page": holder and holder[0], "annotator": holder and holder[1]})
        return {
            "classes": list(self.class_names),
            "channels": list(self.channel_names),
            "masks": self.accepted is not None,
            "cases": cases,
        }

    def open(self, case: str, page: str, *, force: bool = False) -> dict[str, Any]:
        """Return everything about a case, and give its lease to a page if it is free.

        Args:
            case: Case identifier.
            page: Identifier of the page.
            force: Take the lease from another page.

        Raises:
            PasegError: The images or the points cannot be used.
        """
        files = self._files(case)
        if len(files.points) > 1 and finish_interrupted(files, self.points):
            files = self._files(case)
        self._check(files)
        image = self._open.get(files)
        version, annotation = self._read(files, image)
        holder = self.leases.acquire(case, _page(page), force=force)
        affine = ras_affine(image.grid)
        return {
            "case": case,
            "version": version,
            "document": to_json(annotation, image.grid),
            "state": state_of(annotation, self.class_names),
            "accepted": self._is_accepted(case, version),
            "holder": holder,
            "shape": list(image.grid.shape[::-1]),
            "affine": affine.tolist(),
            "inverse": np.linalg.inv(affine).tolist(),
            "places": list(places_in(image.grid)),
            "warnings": [warning for path in files.images if (warning := header_warning(path))],
        }

    def image(self, case: str, channel: int) -> tuple[int, Iterator[bytes]]:
        """Return the size and the content of a channel as NIfTI."""
        files = self._files(case)
        self._check(files)
        if not 0 <= channel < len(files.images):
            raise PasegError(f"Case {case} has no channel {channel}.")
        image = self._open.get(files)
        return nifti_stream(image.voxels(channel), image.grid)

    def save(self, case: str, page: str, version: str, content: Any, seconds: Any) -> dict[str, Any]:
        """Write the points of a case.

        Args:
            case: Case identifier.
            page: Identifier of the page, which needs the lease of the case.
            version: Version of the points that the page has loaded or saved last.
            content: New points.
            seconds: Seconds of activity since the last call: list of class, number and seconds.

        Returns:
            The new version and the new state.

        Raises:
            ConflictError: Another page works on the case, or the points have another version.
            PasegError: The points cannot be stored.
        """
        with self._saving[case]:
            files = self._files(case)
            self._check(files)
            annotation = from_json(content, common_grid(files.images), self.class_names)
            self._require_lease(case, page)
            if version_of(files) != version:
                raise ConflictError(f"The points of case {case} were changed elsewhere: load the case again.")
            path = save(annotation, files, self.points, self.class_names)
            version = version_of(CaseFiles(case, points=(path,)))
            self._append_times(case, seconds)
            if self.accepted is not None:
                self.accepted.withdraw(case, version)
        return {
            "version": version,
            "state": state_of(annotation, self.class_names),
            "open": open_work(annotation, self.class_names),
            "accepted": self._is_accepted(case, version),
        }

    def masks(self, case: str) -> dict[str, Any]:
        """Return the masks of the finished targets of a case, and the version of the points that they are made of."""
        _, image, version, annotation = self._current(case)
        return {"version": version, "targets": live_masks(annotation, image, self.labels)}

    def accept(self, case: str, page: str, version: str) -> dict[str, Any]:
        """Save the masks of a case as its annotator's word.

        Raises:
            ConflictError: Another page works on the case, or the points have another version.
            PasegError: The case is not finished, or masks are not saved.
        """
        if self.accepted is None:
            raise PasegError("Masks are not saved: start paseg annotate with --masks FOLDER.")
        with self._saving[case]:
            _, image, current, annotation = self._current(case)
            self._require_lease(case, page)
            if current != version:
                raise ConflictError(f"The points of case {case} were changed elsewhere: load the case again.")
            if work := open_work(annotation, self.class_names):
                raise PasegError(f"Case {case} is not finished: {'; '.join(work)}")
            labels = label_map(annotation, image, self.labels)
            self.accepted.write(case, labels, image.grid.geometry, version)
        return {"accepted": True}

    def renew(self, case: str, page: str) -> dict[str, Any]:
        """Renew the lease of a page.

        Raises:
            ConflictError: Another page works on the case.
        """
        self._require_lease(self._files(case).identifier, page)
        return {}

    def release(self, case: str, page: str, seconds: Any) -> dict[str, Any]:
        """Give up the lease of a page, and store its last seconds of activity."""
        case = self._files(case).identifier
        if self.leases.release(case, _page(page)):
            self._append_times(case, seconds)
        return {}

    def prepare(self, case: str) -> None:
        """Read all channels, and run the network once, so that the first mask does not wait for either."""
        self._open.get(self._files(case)).all_channels()
        warm_up()

    def _current(self, case: str) -> tuple[CaseFiles, OpenImage, str, Annotation]:
        files = self._files(case)
        self._check(files)
        image = self._open.get(files)
        return (files, image, *self._read(files, image))

    def _read(self, files: CaseFiles, image: OpenImage) -> tuple[str, Annotation]:
        version = version_of(files)
        if not files.points:
            return version, Annotation()
        return version, read_document(files.points[0], image.grid, self.class_names, case=files.identifier)

    def _files(self, case: str) -> CaseFiles:
        """Return the files of a case: an identifier from a page is only looked up, and never part of a path."""
        files = list_cases(self.images, self.points).get(case) if isinstance(case, str) else None
        if files is None:
            raise PasegError(f"There is no case {str(case)[:80]!r}: load the list of cases again.")
        return files

    def _check(self, files: CaseFiles) -> None:
        check_files(files, (self.images, self.points), len(self.channel_names))

    def _require_lease(self, case: str, page: str) -> None:
        if (holder := self.leases.acquire(case, _page(page))) is not None:
            raise ConflictError(f"Case {case} was opened in another page, by {holder}.")

    def _append_times(self, case: str, seconds: Any) -> None:
        for class_name, number, spent in _times(seconds, self.class_names):
            append_time(self.points, case, class_name, number, spent)

    def _is_accepted(self, case: str, version: str) -> bool:
        return self.accepted is not None and bool(version) and self.accepted.is_current(case, version)

    def _state(self, files: CaseFiles) -> dict[str, Any]:
        """Return the state of a case, of an earlier call if its files are the same."""
        try:
            stats = [path.stat() for path in (*files.images, *files.points)]
            key = (files, [(stat.st_size, stat.st_mtime_ns) for stat in stats])
            if (known := self._states.get(files.identifier)) is None or known[0] != key:
                self._states[files.identifier] = (key, self._new_state(files))
            state, version = self._states[files.identifier][1], ""
            if self.accepted is not None and files.points:
                version = version_of(files)
            return {**state, "accepted": self._is_accepted(files.identifier, version)}
        except (PasegError, OSError) as error:
            return _case(files, "problem", problem=str(error))

    def _new_state(self, files: CaseFiles) -> dict[str, Any]:
        try:
            self._check(files)
            if not files.points:
                return _case(files, "not begun")
            grid = common_grid(files.images)
            annotation = read_document(files.points[0], grid, self.class_names, case=files.identifier)
        except PasegError as error:
            return _case(files, "problem", problem=str(error))
        work = open_work(annotation, self.class_names)
        return _case(files, state_of(annotation, self.class_names), len(targets_of(annotation)), work)


def _case(
    files: CaseFiles, state: str, targets: int = 0, work: Sequence[str] = (), *, problem: str = ""
) -> dict[str, Any]:
    return {
        "case": files.identifier,
        "state": state,
        "targets": targets,
        "problem": problem,
        "open": list(work),
        "accepted": False,
    }


def _page(page: Any) -> str:
    if not (isinstance(page, str) and 8 <= len(page) <= MAX_PAGE):
        raise PasegError("The page has no identifier: load it again.")
    return page


def _times(seconds: Any, class_names: tuple[str, ...]) -> Iterator[tuple[str, int, float]]:
    """Yield class, number and seconds of every valid entry."""
    for entry in seconds if isinstance(seconds, list) else ():
        if isinstance(entry, Mapping) and entry.get("class") in class_names and type(entry.get("number")) is int:
            spent = entry.get("seconds")
            if isinstance(spent, int | float) and 0 < spent <= MAX_SECONDS:
                yield str(entry["class"]), int(entry["number"]), float(spent)
