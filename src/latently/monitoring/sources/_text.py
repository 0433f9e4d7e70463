"""Rows in growing text: complete lines of CSV or NDJSON, and their chunks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from latently.exceptions import DataError
from latently.io import TextOptions
from latently.io._messages import refuse
from latently.io.text._csv import OPEN_QUOTE
from latently.io.text._decoding import clean_text
from latently.io.text._header import read_header
from latently.monitoring.sources._chunks import Position, TextChunk, records_chunk

#: Largest row in bytes. A longer one means a quote that is never closed.
_LONGEST = 2**16


class Row(NamedTuple):
    """One complete row of text: its bytes, its line number and the offset of its end."""

    text: bytes
    line: int
    end: int


@dataclass(frozen=True)
class TextReader:
    """Reads rows of text as the model's columns.

    Parameters
    ----------
    name : str
        Name of the source, for messages.
    is_json : bool
        True for one JSON object a line.
    options : TextOptions
        Options of reading.
    columns : sequence of str
        Columns that each row must have.
    header : bytes
        Header line of delimited text.
    """

    name: str
    is_json: bool
    options: TextOptions
    columns: Sequence[str]
    header: bytes = b""

    def with_header(self, header: bytes, sample: bytes) -> TextReader:
        """Return a reader of text under a header, whose delimiter is found from some rows.

        Parameters
        ----------
        header : bytes
            The header line.
        sample : bytes
            First rows.

        Returns
        -------
        TextReader
            A new reader.

        Raises
        ------
        DataError
            If the header lacks columns.
        """
        text = (header + sample).decode("utf-8", "replace").encode()  # wrong rows are found later
        raw = clean_text(self.name, text)
        found = read_header(self.name, raw, self.options.delimiter, self.options.kinds)
        missing = [column for column in self.columns if column not in found.names]
        if missing:
            raise DataError(
                f"{self.name}, line {max(found.lines, 1)}: the header lacks the columns "
                f"{', '.join(missing[:5])}. Give a file with the columns of fit."
            )
        options = self.options
        if len(found.delimiter) == 1:
            options = replace(options, delimiter=found.delimiter)
        return replace(self, header=header, options=options)

    def chunk(self, rows: Sequence[Row], after: Callable[[int], Position]) -> TextChunk:
        """Return rows as a chunk.

        Parameters
        ----------
        rows : sequence of Row
            At least one.
        after : callable
            From a number of rows to the position after them.

        Returns
        -------
        TextChunk
            The rows, not read yet.
        """
        places = [f"line {row.line}" for row in rows]
        if not self.is_json:
            texts = [row.text for row in rows]
            raws = [text.decode("utf-8", "backslashreplace").rstrip("\r\n") for text in texts]
            return TextChunk(self.name, self.header, texts, places, raws, self.options, after)
        records = [_record(row) for row in rows]
        chunk = records_chunk(
            self.name,
            [record or {} for record in records],
            self.columns,
            places,
            self.options,
            after,
        )
        raws = [
            raw if record is not None else row.text.decode("utf-8", "backslashreplace").rstrip()
            for raw, record, row in zip(chunk.raws, records, rows, strict=True)
        ]
        return replace(chunk, raws=raws) if None in records else chunk


def _record(row: Row) -> dict[str, Any] | None:
    """Return the object of a line, None if it is none."""
    try:
        found = json.loads(row.text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def complete_rows(
    name: str, text: bytes, offset: int, line: int, limit: int, *, quotes: bool, final: bool
) -> list[Row]:
    """Split text into complete rows. A last line without a line end is left out.

    Parameters
    ----------
    name : str
        Name of the source, for messages.
    text : bytes
        Text from the start of a row on.
    offset : int
        Offset of its first byte in the source.
    line : int
        Number of its first line.
    limit : int
        Most rows to return.
    quotes : bool
        True if quoted cells may hold line ends.
    final : bool
        True if nothing follows, so that a last line without a line end is complete.

    Returns
    -------
    list of Row
        Rows that are not blank.

    Raises
    ------
    DataError
        If a quote is opened and not closed for 64 KiB.
    """
    rows: list[Row] = []
    start, first = 0, line
    for end in _line_ends(text, final):
        line += 1
        piece = text[start:end]
        if quotes and _is_open(piece) and not (final and end == len(text)):
            if len(piece) > _LONGEST:
                wrong = f"line {first}: a quote is opened and never closed"
                raise refuse(name, wrong, "Close the quote")
            continue
        if piece.strip():
            rows.append(Row(piece if piece.endswith(b"\n") else piece + b"\n", first, offset + end))
        start, first = end, line
        if len(rows) == limit:
            break
    return rows


def _line_ends(text: bytes, final: bool) -> Iterator[int]:
    end = text.find(b"\n") + 1
    last = 0
    while end:
        yield end
        last, end = end, text.find(b"\n", end) + 1
    if final and last < len(text):
        yield len(text)


def _is_open(piece: bytes) -> bool:
    return piece.count(b'"') % 2 == 1 and OPEN_QUOTE.search(piece) is not None
