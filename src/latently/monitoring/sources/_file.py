"""A CSV or NDJSON file that grows, is truncated, or is rotated."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from latently.exceptions import ParameterError
from latently.io import TextOptions
from latently.io._messages import refuse
from latently.io.text._csv import is_header
from latently.monitoring.sources._chunks import Chunk, Position
from latently.monitoring.sources._polled import PolledSource
from latently.monitoring.sources._text import TextReader, complete_rows

#: Bytes whose digests tell a file that grew from one that was replaced.
_KNOWN = 4096
#: Bytes read at once.
_PIECE = 2**22
#: Bytes from which the delimiter is found.
_SAMPLE = 2**16
FORMATS = {".csv": "csv", ".tsv": "tsv", ".ndjson": "ndjson", ".jsonl": "ndjson"}


class FileSource(PolledSource):
    """Follow a CSV or NDJSON file that grows.

    A last line without a line end waits until it is complete. The position holds digests of the
    start of the file and of the bytes before the position. If they differ, the file was truncated
    or rotated. The remaining rows are then read from the rotated file, which is searched in the
    same folder by the digests, under names that begin with the name of the file.

    Parameters
    ----------
    path : str or Path
        The file. It need not exist yet.
    format : {"csv", "tsv", "ndjson"} or None, default=None
        None decides by the name.

    Examples
    --------
    >>> FileSource("events.ndjson").format
    'ndjson'
    """

    def __init__(self, path: str | Path, format: str | None = None) -> None:
        self.path = Path(path)
        self.format = format or FORMATS.get(self.path.suffix.lower(), "")
        if self.format not in FORMATS.values():
            raise ParameterError(
                f"format must be csv, tsv or ndjson, got {self.format or self.path.suffix!r}. "
                "Give --format."
            )

    @property
    def identity(self) -> str:
        """The absolute path."""
        return f"file:{self.path.resolve()}"

    def read(self, position: Position | None, limit: int) -> Chunk | None:
        """Return the next rows after a position.

        Parameters
        ----------
        position : dict or None
            As a chunk returned it. None starts at the first row.
        limit : int
            Most rows to return.

        Returns
        -------
        Chunk or None
            None if there is no complete new row.
        """
        try:
            place = self._locate(position)
            if place is None:
                return None
            chunk = self._read_at(place, limit)
            if chunk is None and place.is_rotated:
                return self._read_at(_Place(self.path, None, False), limit)
            return chunk
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = (error.strerror or "unknown reason").lower()
            raise refuse(self.path, f"it cannot be read ({reason})", "Check it") from error

    def _read_at(self, place: _Place, limit: int) -> Chunk | None:
        reader = make_reader(str(self.path), self.format, self._options, self._columns)
        with place.path.open("rb") as file:
            start = _start_of_rows(file, reader, place.is_rotated)
            if start is None:
                return None
            reader, offset, line = start
            if place.position is not None:
                offset = max(place.position["offset"], offset)
                line = place.position["line"] if offset == place.position["offset"] else line
            file.seek(offset)
            rows = complete_rows(
                str(self.path), file.read(_PIECE), offset, line, limit,
                quotes=not reader.is_json, final=place.is_rotated,
            )  # fmt: skip
        if not rows:
            return None
        ends = [row.end for row in rows]
        lines = [row.line + row.text.count(b"\n") for row in rows]
        return reader.chunk(rows, partial(_after, place.path, ends, lines, (offset, line)))

    def _locate(self, position: Position | None) -> _Place | None:
        """Return the file to read on from, after a rotation the rotated one."""
        if position is None:
            return _Place(self.path, None, False) if self.path.exists() else None
        if _is_same(self.path, position):
            return _Place(self.path, position, False)
        pattern = glob.escape(self.path.name) + "?*"
        for other in sorted(self.path.parent.glob(pattern)):
            if other.is_file() and _is_same(other, position):
                self._notify(f"{self.path} was rotated. Its last rows are read from {other.name}.")
                return _Place(other, position, self.path.exists())
        if not self.path.exists():
            return None
        self._notify(
            f"{self.path} was truncated or replaced after line {position['line'] - 1:,}. It is "
            "read from its start; rows that were deleted before they were read are lost."
        )
        return _Place(self.path, None, False)


class _Place(NamedTuple):
    """A file, the position in it, and whether it was rotated and will not grow."""

    path: Path
    position: Position | None
    is_rotated: bool


def make_reader(name: str, format: str, options: TextOptions, columns: Sequence[str]) -> TextReader:
    """Return the reader of a format.

    Parameters
    ----------
    name : str
        Name of the source.
    format : {"csv", "tsv", "ndjson"}
        Format of its rows.
    options : TextOptions
        Options of reading.
    columns : sequence of str
        Columns that each row must have.

    Returns
    -------
    TextReader
        Without a header yet.
    """
    if format == "tsv":
        options = replace(options, delimiter="\t")
    return TextReader(name, format == "ndjson", options, columns)


def _start_of_rows(
    file: BinaryIO, reader: TextReader, final: bool
) -> tuple[TextReader, int, int] | None:
    """Return the reader with the header, and the offset and line of the first row."""
    if reader.is_json:
        return reader, 0, 1
    header = b""
    while not is_header(header) and (line := file.readline()):
        header += line
    if not header.endswith(b"\n"):
        return None
    offset = len(header)
    sample = file.read(_SAMPLE)
    end = len(sample) if final else sample.rfind(b"\n") + 1
    if not sample[:end].strip():
        return None
    return reader.with_header(header, sample[:end]), offset, header.count(b"\n") + 1


def _after(
    path: Path, ends: Sequence[int], lines: Sequence[int], start: tuple[int, int], n_rows: int
) -> Position:
    offset, line = (ends[n_rows - 1], lines[n_rows - 1]) if n_rows else start
    head, tail = _digests(path, offset)
    return {"offset": offset, "line": line, "head": head, "tail": tail}


def _is_same(path: Path, position: Position) -> bool:
    """Return True if a file begins as the one that was read up to a position."""
    try:
        if path.stat().st_size < position["offset"]:
            return False
        return _digests(path, position["offset"]) == (position["head"], position["tail"])
    except FileNotFoundError:
        return False


def _digests(path: Path, offset: int) -> tuple[str, str]:
    """Return the digests of the first bytes of a file and of the last ones before an offset."""
    with path.open("rb") as file:
        head = file.read(min(offset, _KNOWN))
        file.seek(max(0, offset - _KNOWN))
        tail = file.read(min(offset, _KNOWN))
    return hashlib.sha256(head).hexdigest()[:32], hashlib.sha256(tail).hexdigest()[:32]
