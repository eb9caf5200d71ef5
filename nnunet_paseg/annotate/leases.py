"""Who works on a case: one page at a time, also across servers that share the folder of points."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from nnunet_paseg.io.files import write_json

LIFETIME_S = 150
"""A page renews its lease every 20 s, in a hidden tab every minute. An older lease is void, and one of a server on this
machine that has ended."""


@dataclass(frozen=True)
class Leases:
    """Leases as hidden files next to the points, which no other command reads.

    Attributes:
        folder: Folder of points.
        annotator: Name that other annotators are shown.
    """

    folder: Path
    annotator: str

    def acquire(self, case: str, page: str, *, force: bool = False) -> str | None:
        """Take or renew the lease of a case.

        Args:
            case: Case identifier.
            page: Identifier of the page that works on the case.
            force: Take the lease from another page.

        Returns:
            None if this page has the lease now, else the name of the annotator who has it.
        """
        path = self._path(case)
        content = {"page": page, "annotator": self.annotator, "host": socket.gethostname(), "process": os.getpid()}
        try:
            # Of two pages that open a case at once, one creates the file.
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644), "w", encoding="utf-8") as file:
                json.dump(content, file)
            return None
        except FileExistsError:
            holder = self._holder(path)
        if holder is not None and holder[0] != page and not force:
            return holder[1]
        if holder is not None and holder[0] == page and not force:
            os.utime(path)
        else:
            write_json(content, path)
        return None

    def release(self, case: str, page: str) -> bool:
        """Give up the lease of a case, and return whether this page had it."""
        path = self._path(case)
        holder = self._holder(path)
        is_own = holder is not None and holder[0] == page
        if is_own:
            path.unlink(missing_ok=True)
        return is_own

    def holder(self, case: str) -> tuple[str, str] | None:
        """Return the page and the annotator that work on a case, None if nobody does."""
        return self._holder(self._path(case))

    def _path(self, case: str) -> Path:
        return self.folder / f".{case}.annotating"

    def _holder(self, path: Path) -> tuple[str, str] | None:
        try:
            if abs(time.time() - path.stat().st_mtime) > LIFETIME_S:
                return None
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["host"] == socket.gethostname() and not _is_running(int(content["process"])):
                return None
            return str(content["page"]), str(content["annotator"])
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _is_running(process: int) -> bool:
    if os.name != "posix":  # elsewhere the signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # the server of another user
        return True
    return True
