"""Some new rows of a source, and the position after each of them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Protocol

import pyarrow as pa

from latently.exceptions import DataError
from latently.io import TextOptions
from latently.io._messages import show
from latently.io.text._csv import Pieces

Position = dict[str, Any]
#: Row numbers in messages of the reader, which count from the start of a piece.
_OWN_NUMBERS = re.compile(r" in row [\d,]+ \(the first after the header is 1\)")
_OWN_LINE = re.compile(r"^line \d+")


class Chunk(Protocol):
    """Some new rows of a source."""

    def __len__(self) -> int:
        """Return the number of rows."""

    def read(self, start: int, stop: int) -> pa.Table:
        """Return some of the rows as a table."""

    def place(self, row: int) -> str:
        """Return the place of a row in the source, for messages and identifiers."""

    def raw(self, row: int) -> Any:
        """Return a row unread, as a JSON value."""

    def after(self, n_rows: int) -> Position:
        """Return the position of the source after the first rows."""


class Source(Protocol):
    """A source of rows that grows."""

    @property
    def identity(self) -> str:
        """Name of the source in the state file. It holds no password."""

    @property
    def ended(self) -> bool:
        """True if no further row can come."""

    @property
    def is_pending(self) -> bool:
        """True while a single run must wait for further rows."""

    def close(self) -> None:
        """Release files and connections after a run."""

    def open(
        self, options: TextOptions, columns: Sequence[str], notify: Callable[[str], None]
    ) -> None:
        """Prepare reading of some columns."""

    def wait(self, seconds: float) -> None:
        """Wait before the next look."""

    def read(self, position: Position | None, limit: int) -> Chunk | None:
        """Return the next rows after a position, None if there is none at present."""


@dataclass(frozen=True)
class TextChunk:
    """Rows of text, read by the schema of the model.

    Parameters
    ----------
    name : str
        Name of the source.
    header : bytes
        The header line.
    rows : sequence of bytes
        One row each, with its line end.
    places : sequence of str
        Place of each row.
    raws : sequence
        Each row as it came, as a JSON value.
    options : TextOptions
        Options of reading.
    position_after : callable
        From a number of rows to the position after them.
    """

    name: str
    header: bytes
    rows: Sequence[bytes]
    places: Sequence[str]
    raws: Sequence[Any]
    options: TextOptions
    position_after: Callable[[int], Position]

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, start: int, stop: int) -> pa.Table:
        """Return some of the rows as a table."""
        text = b"".join(self.rows[start:stop])
        return Pieces(self.name, self.header, self.options).read(text).sound()

    def place(self, row: int) -> str:
        """Return the place of a row."""
        return self.places[row]

    def raw(self, row: int) -> Any:
        """Return a row as it came."""
        return self.raws[row]

    def after(self, n_rows: int) -> Position:
        """Return the position after the first rows."""
        return self.position_after(n_rows)


@dataclass(frozen=True)
class TableChunk:
    """Rows that have types already.

    Parameters
    ----------
    table : pyarrow.Table
        The rows.
    name : str
        Name of their file.
    first : int
        Number of the first row in the file.
    position_after : callable
        From a number of rows to the position after them.
    """

    table: pa.Table
    name: str
    first: int
    position_after: Callable[[int], Position]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def read(self, start: int, stop: int) -> pa.Table:
        """Return some of the rows."""
        return self.table.slice(start, stop - start)

    def place(self, row: int) -> str:
        """Return the file and the number of a row."""
        return f"{self.name} row {self.first + row + 1}"

    def raw(self, row: int) -> Any:
        """Return a row as a JSON value."""
        return {
            name: as_json(value) for name, value in self.table.slice(row, 1).to_pylist()[0].items()
        }

    def after(self, n_rows: int) -> Position:
        """Return the position after the first rows."""
        return self.position_after(n_rows)


def records_chunk(
    name: str,
    records: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    places: Sequence[str],
    options: TextOptions,
    position_after: Callable[[int], Position],
) -> TextChunk:
    """Return records as rows of text, so that their values are read as those of a file.

    Texts are quoted, so that none of them is taken for a gap and
    '007' stays text where the model has text.
    """
    rows = [line_of(record, columns) for record in records]
    raws = [{key: as_json(value) for key, value in record.items()} for record in records]
    header = b",".join(_cell(column) for column in columns) + b"\n"
    return RecordsChunk(
        name, header, rows, places, raws, replace(options, delimiter=","), position_after, columns
    )


@dataclass(frozen=True)
class RecordsChunk(TextChunk):
    """Rows that came as records, with the columns that each must have."""

    columns: Sequence[str] = ()

    def read(self, start: int, stop: int) -> pa.Table:
        """Return some of the rows, or raise DataError if one lacks a column."""
        for raw in self.raws[start:stop]:
            if not isinstance(raw, dict):
                raise DataError(f"{self.name}: the line is no JSON object. Write one a line.")
            missing = [column for column in self.columns if column not in raw]
            if missing:
                raise DataError(
                    f"{self.name}: the record lacks the columns {', '.join(missing[:5])}. Give "
                    "null for a gap."
                )
        return super().read(start, stop)


def line_of(record: Mapping[str, Any], columns: Iterable[str]) -> bytes:
    """Return a record as one row of comma-separated text."""
    return (b",".join(_cell(record.get(column)) for column in columns) or b'""') + b"\n"


def _cell(value: Any) -> bytes:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return b""
    if isinstance(value, bool):
        return b"true" if value else b"false"
    if isinstance(value, int | float | Decimal):
        return str(value).encode()
    text = value.isoformat() if isinstance(value, date | time) else str(value)
    return b'"' + text.replace('"', '""').encode("utf-8", "surrogatepass") + b'"'


def as_json(value: Any) -> Any:
    """Return a value as JSON holds it: NaN and infinities as null, other types as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list):
        return [as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    return value.isoformat() if isinstance(value, date | time | datetime) else str(value)


def at_place(error: DataError, source: str, place: str) -> DataError:
    """Return the error of a single row with its place in the source."""
    words = _OWN_NUMBERS.sub("", str(error).removeprefix(f"{show(source)}: "))
    return DataError(f"{show(source)}, {place}: {_OWN_LINE.sub('the row', words)}")
