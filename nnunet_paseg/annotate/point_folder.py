"""Point files that are replaced: one file per case at any moment, and no content of others is lost."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from pathlib import Path

from nnunet_paseg.annotate.point_file import is_annotation
from nnunet_paseg.errors import PasegError
from nnunet_paseg.io.case_files import CaseFiles
from nnunet_paseg.io.files import atomic_output
from nnunet_paseg.points.annotation import Annotation
from nnunet_paseg.points.formats.annotation_file import write_annotation


def version_of(files: CaseFiles) -> str:
    """Return a hash of the points of a case, empty if it has none. Pages compare it before they save."""
    if not files.points:
        return ""
    digest = hashlib.sha256()
    for path in files.points:
        try:
            digest.update(repr((path.name, _content(path))).encode())
        except OSError as error:
            raise PasegError(f"{path} cannot be read ({error.strerror}): check the file.") from error
    return digest.hexdigest()[:32]


def save(annotation: Annotation, files: CaseFiles, folder: Path, class_names: tuple[str, ...]) -> Path:
    """Write the points of a case as ``CASE.mrk.json`` in place of its present points.

    Points of another origin are kept as ``NAME.bak``. If the process is killed, both files may be there, with nothing
    lost: :func:`finish_interrupted` then removes the old one.

    Args:
        annotation: Points of the case.
        files: Present files of the case.
        folder: Folder of points.
        class_names: Classes of the dataset.

    Returns:
        The new file.
    """
    path = folder / f"{files.identifier}.mrk.json"
    old = files.points[0] if files.points else None
    if old is not None and not (old == path and is_annotation(old, class_names)):
        _keep(old)
    write_annotation(annotation, path)
    if old is not None and old != path:
        _remove(old)
    return path


def finish_interrupted(files: CaseFiles, folder: Path) -> bool:
    """Remove the old points of a case if its new ones and a copy of the old ones are there.

    Returns:
        Whether they were removed.
    """
    path = folder / f"{files.identifier}.mrk.json"
    others = [other for other in files.points if other != path]
    if path not in files.points or len(others) != 1:
        return False
    name = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in others[0].name)
    if not any(_content(copy) == _content(others[0]) for copy in folder.glob(f"{name}.bak*")):
        return False
    _remove(others[0])
    return True


def _keep(old: Path) -> None:
    """Copy a file or a folder to a free name with the suffix ``.bak``."""
    names = (old.with_name(f"{old.name}.bak{number or ''}") for number in itertools.count())
    with atomic_output(next(path for path in names if not path.exists())) as temporary:
        (shutil.copytree if old.is_dir() else shutil.copy2)(old, temporary)


def _remove(old: Path) -> None:
    if old.is_dir():
        shutil.rmtree(old)
    else:
        old.unlink()


def _content(path: Path) -> dict[str, bytes]:
    """Return the content of a file, or of the files of a folder by name."""
    if path.is_dir():
        return {entry.name: entry.read_bytes() for entry in sorted(path.iterdir()) if entry.is_file()}
    return {"": path.read_bytes()}
