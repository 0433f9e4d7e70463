"""A folder that new Parquet files are put into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from latently.exceptions import DataError
from latently.io._messages import refuse
from latently.io._read import read_with
from latently.monitoring.sources._chunks import Chunk, Position, TableChunk
from latently.monitoring.sources._polled import PolledSource

_SUFFIXES = (".parquet", ".pq")
#: First and last bytes of a complete Parquet file.
_MAGIC = b"PAR1"


class FolderSource(PolledSource):
    """Follow a folder of Parquet files: new files in the order of their times and names.

    A file counts as complete when it ends in the mark of Parquet. Others wait, as do files whose
    names begin with a dot or an underscore. A file that changes after it was read is not read
    again.

    Parameters
    ----------
    path : str or Path
        The folder. It need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._loaded: tuple[str, pa.Table] | None = None

    @property
    def identity(self) -> str:
        """The absolute path."""
        return f"folder:{self.path.resolve()}"

    def read(self, position: Position | None, limit: int) -> Chunk | None:
        """Return the next rows of the current file, or the first rows of a new one.

        Parameters
        ----------
        position : dict or None
            Files that were read, the current file and the number of its rows that were read.
        limit : int
            Most rows to return.

        Returns
        -------
        Chunk or None
            None if there is no new row.
        """
        position = position or {"done": {}, "file": None, "row": 0}
        done = dict(position["done"])
        if position["file"] is not None:
            chunk = self._chunk(position["file"], position["row"], done, limit)
            if chunk is not None:
                return chunk
            done[position["file"]] = self._mark(position["file"])
        for name in self._new_files(done):
            chunk = self._chunk(name, 0, done, limit)
            if chunk is not None:
                return chunk
        return None

    def _chunk(
        self, name: str, row: int, done: dict[str, list[int]], limit: int
    ) -> TableChunk | None:
        table = self._table(name)
        if table is None or row >= table.num_rows:
            return None

        def after(n_rows: int) -> Position:
            return {"done": done, "file": name, "row": row + n_rows}

        return TableChunk(table.slice(row, limit), str(self.path / name), row, after)

    def _table(self, name: str) -> pa.Table | None:
        if self._loaded is not None and self._loaded[0] == name:
            return self._loaded[1]
        path = self.path / name
        try:
            table: Any = read_with(self._options, path, "parquet")
        except DataError:
            if not path.exists():
                self._notify(f"{path} was deleted. Its unread rows are lost.")
                return None
            raise
        missing = [column for column in self._columns if column not in table.column_names]
        if missing:
            wrong = f"the file lacks the columns {', '.join(missing[:5])}"
            raise refuse(path, wrong, "Give a table with the columns of fit")
        self._loaded = (name, table)
        return table

    def _new_files(self, done: dict[str, list[int]]) -> list[str]:
        found = []
        for path in self._files():
            name = path.relative_to(self.path).as_posix()
            if name in done:
                self._check_unchanged(path, done[name])
            elif _is_complete(path):
                found.append((path.stat().st_mtime_ns, name))
            else:
                self._notify(f"{path} is not complete. It waits.")
        return [name for _, name in sorted(found)]

    def _files(self) -> Iterator[Path]:
        for path in self.path.rglob("*"):
            parts = path.relative_to(self.path).parts
            if path.suffix.lower() in _SUFFIXES and not any(p[0] in "._" for p in parts):
                yield path

    def _check_unchanged(self, path: Path, mark: list[int]) -> None:
        if self._mark(path.relative_to(self.path).as_posix()) != mark:
            self._notify(f"{path} changed after it was read. Its new rows are not scored.")

    def _mark(self, name: str) -> list[int]:
        try:
            found = (self.path / name).stat()
        except FileNotFoundError:
            return [0, 0]
        return [found.st_size, found.st_mtime_ns]


def _is_complete(path: Path) -> bool:
    """Return True if a file begins and ends as a Parquet file."""
    try:
        with path.open("rb") as file:
            if file.read(4) != _MAGIC:
                return False
            file.seek(-8, 2)
            end = file.read()
            size = file.tell()
    except OSError:
        return False
    footer = int.from_bytes(end[:4], "little")
    return end[4:] == _MAGIC and 12 + footer <= size
