"""Files that grow by whole lines, up to a length that the state file records."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from latently.exceptions import DataError
from latently.io._atomic import sync_folder
from latently.io._messages import refuse

Notify = Callable[[str], None]


class Ledger:
    """An append-only file whose length counts only once the state file holds it.

    Lines beyond the recorded length stem from an interrupted run. They are overwritten, because
    their rows are scored again.

    Parameters
    ----------
    path : Path
        The file. It is created by the first lines.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0

    def open_at(self, length: int | None, notify: Notify) -> None:
        """Start at a recorded length, or at the end of the file if none is recorded."""
        size = self._size()
        if length is not None and length > size:
            notify(f"{self.path} is shorter than recorded. New lines start at its present end.")
        self.length = size if length is None else min(length, size)

    def append(self, lines: bytes) -> None:
        """Write lines at the recorded length and flush them to disk.

        Parameters
        ----------
        lines : bytes
            Whole lines.

        Raises
        ------
        DataError
            If the system refuses to write.
        """
        if not lines:
            return
        try:
            self.length = self._write(min(self.length, self._size()), lines)
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise refuse(
                self.path, f"it cannot be written ({reason})", "Check path, permission and disk"
            ) from error

    def read_from(self, start: int) -> Iterator[bytes]:
        """Yield the lines between an offset and the recorded length."""
        if start >= self.length:
            return
        with self.path.open("rb") as file:
            file.seek(start)
            while file.tell() < self.length and (line := file.readline()):
                yield line

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def _write(self, start: int, lines: bytes) -> int:
        is_new = not self.path.exists()
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
        with os.fdopen(handle, "r+b") as file:
            file.truncate(start)
            file.seek(start)
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            sync_folder(self.path.parent)
        return start + len(lines)


def check_ledger(path: str | Path, option: str) -> Path:
    """Return the path of a file to append to, or raise DataError before any work."""
    found = Path(path)
    if not found.parent.is_dir():
        raise refuse(found, f"the folder of {option} does not exist", "Create the folder first")
    if found.exists() and not found.is_file():
        raise DataError(f"{option} must name a regular file, got {found}. Choose another name.")
    return found
