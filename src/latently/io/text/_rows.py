"""Split the rows of a delimited file into text columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from latently.io._bytes import arrow_buffer, arrow_reader
from latently.io._messages import clip, counted, listing, refuse, warn
from latently.io.text._header import SPACES, Header

__all__ = ["RowText"]

# A row must fit into one block. Blocks of 16 MiB also keep two cores busy.
_BLOCK = 2**24
# Bytes that are searched for a cell before the whole text is.
_START = 2**12


class RowText:
    """The rows of a delimited file, checked and ready to be parsed.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    raw : bytes
        The whole text.
    header : Header
        Names and delimiter.

    Raises
    ------
    DataError
        If there are no rows, or one has too many cells.
    """

    def __init__(self, source: str | Path, raw: bytes, header: Header) -> None:
        self.source, self.header = source, header
        start = header.body
        if not raw[start : start + _START].strip() and not raw[start:].strip():
            raise refuse(source, "there is a header line but no rows", "Give a file with data")
        self.has_quotes = raw.find(b'"', start) >= 0
        spaced = header.delimiter == SPACES
        self._body = arrow_buffer(
            _single_spaced(raw[start:]) if spaced else memoryview(raw)[start:]
        )
        self._raw, self._start, self._is_mended = raw, start, False

    @property
    def _delimiter(self) -> str:
        return " " if self.header.delimiter == SPACES else self.header.delimiter

    def parse(self, missing: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
        """Return text columns, in which unquoted gap words are missing cells.

        Parameters
        ----------
        missing : sequence of str
            Gap words.
        columns : sequence of str or None, default=None
            Names of the columns wanted. None returns all.

        Returns
        -------
        pyarrow.Table
            Columns of strings.
        """
        try:
            table = self._parsed(missing, columns)
            if columns is None:
                self._warn_of_blank_lines(table.num_rows)
            return table
        except pa.ArrowInvalid as error:
            wrong = f"the rows cannot be parsed ({clip(error, 60)})"
            if self._is_mended:
                raise refuse(self.source, wrong, "Check delimiters and quotes") from None
        self._is_mended = True
        self._body = self._mended()
        return self.parse(missing, columns)

    def _parsed(self, missing: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
        names = [f"f{place}" for place in range(len(self.header.names))]
        wanted = list(self.header.names) if columns is None else list(columns)
        own = dict(zip(self.header.names, names, strict=True))
        chosen = [own[name] for name in wanted]
        table = pa_csv.read_csv(
            arrow_reader(self._body),
            pa_csv.ReadOptions(column_names=names, block_size=_BLOCK),
            pa_csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=self.has_quotes,
            ),
            pa_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=list(missing),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                include_columns=chosen,
                check_utf8=False,  # the whole text was checked
            ),
        )
        return table.rename_columns(wanted)

    def _mended(self) -> pa.Buffer:
        """Return the text with short rows filled and empty extra cells cut."""
        text = self._body.to_pybytes().decode()
        lines, header = text.split("\n"), self.header
        reader = csv.reader(io.StringIO(text), delimiter=self._delimiter)
        filled = cut = 0
        try:
            for row in reader:
                extra = len(row) - len(header.names)
                if row and extra < 0:
                    lines[reader.line_num - 1] += self._delimiter * -extra
                    filled -= extra
                elif extra > 0:
                    line = lines[reader.line_num - 1]
                    lines[reader.line_num - 1] = self._cut(line, extra, reader.line_num)
                    cut += 1
        except csv.Error as error:
            place = f"line {header.lines + reader.line_num}"
            remedy = "Check the quotes of this line"
            raise refuse(self.source, f"{place}: {error}", remedy) from None
        _warn_of_mended(filled, cut)
        return arrow_buffer("\n".join(lines).encode())

    def _cut(self, line: str, extra: int, number: int) -> str:
        rest = line.rstrip(" ")
        if rest.endswith(self._delimiter * extra):
            return rest[:-extra]
        width = len(self.header.names)
        line_number = self.header.lines + number
        wrong = f"line {line_number} has {width + extra} cells, the header has {width}"
        remedy = f"Put cells that hold a {clip(self._delimiter)} in quotes"
        raise refuse(self.source, wrong, remedy)

    def _warn_of_blank_lines(self, n_rows: int) -> None:
        """Warn of blank lines among the rows, unless quotes may make them part of a cell."""
        if self.has_quotes or self._raw.count(b"\n", self._start) <= n_rows:
            return
        lines = self._raw[self._start :].rstrip().split(b"\n")
        blank = sum(1 for line in lines if not line)
        if blank:
            warn(f"{counted(blank, 'blank line')} among the rows skipped.")

    def drop_unnamed(self, table: pa.Table) -> pa.Table:
        """Return a table without the columns that have neither a name nor a value."""
        unnamed = [self.header.names[place] for place in self.header.unnamed]
        empty = [name for name in unnamed if _is_empty(table[name])]
        if empty:
            warn(f"{counted(len(empty), 'column')} without a name and without content dropped.")
        named = [name for name in unnamed if name not in empty]
        if named:
            warn(f"{counted(len(named), 'column')} without a name called {listing(named)}.")
        return table.drop_columns(empty) if empty else table


def _single_spaced(body: bytes) -> bytes:
    """Return lines with one space between cells and none at the ends."""
    return re.sub(rb" *\n *", b"\n", re.sub(rb"[ \t]+", b" ", body)).strip(b" ")


def _warn_of_mended(filled: int, cut: int) -> None:
    if filled:
        warn(f"Rows with too few cells were filled: {counted(filled, 'cell')} became missing.")
    if cut:
        warn(f"Empty cells beyond the last column were dropped from {counted(cut, 'row')}.")


def _is_empty(column: Any) -> bool:
    return bool(pc.all(pc.equal(pc.fill_null(column, ""), "")).as_py())
