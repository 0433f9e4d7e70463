"""The header line of a delimited file: its delimiter and its column names."""

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from latently.exceptions import ParameterError
from latently.io._say import clip, listing, refuse

__all__ = ["Header", "read_header"]

# Tried in this order; the first of the most frequent in the header line wins.
DELIMITERS = (",", ";", "\t", "|")
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
# A header longer than this is a file without line ends.
_MAX_HEADER_BYTES = 2**24


class Header(NamedTuple):
    """What the header line says, and where the rows begin."""

    names: tuple[str, ...]
    delimiter: str
    unnamed: tuple[int, ...]  # positions of columns that came without a name
    body: int  # offset of the first byte after the header
    lines: int  # how many lines precede the body


def read_header(source: str | Path, raw: bytes, delimiter: str | None) -> Header:
    """Find the delimiter, the column names and the first byte of the rows.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    raw : bytes
        The whole text.
    delimiter : str or None
        One character; None chooses comma, semicolon, tab or pipe from the header line.

    Returns
    -------
    Header
        Names are stripped and unique; a column without a name is called ``column_2``.

    Raises
    ------
    DataError
        If names repeat, or the first line holds only numbers.
    ParameterError
        If ``delimiter`` is not one plain character.
    """
    text = raw[:_MAX_HEADER_BYTES].decode("utf-8", "ignore")
    mark = _sniff(text) if delimiter is None else _checked(delimiter)
    cells, lines = _first_row(source, text, mark)
    _refuse_numbers(source, cells)
    _refuse_repeats(source, cells)
    unnamed = tuple(place for place, cell in enumerate(cells) if not cell)
    return Header(_name_all(cells), mark, unnamed, _after_line(raw, lines), lines)


def _checked(delimiter: str) -> str:
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\n\r\x00':
        raise ParameterError(
            f"delimiter must be one plain character, got {clip(delimiter)}. "
            "Use for example a comma, a semicolon or a tab."
        )
    return delimiter


def _sniff(text: str) -> str:
    line = re.sub(r'"[^"]*"', "", text.lstrip("\n").split("\n", 1)[0])
    counts = Counter(line)
    return max(DELIMITERS, key=lambda mark: counts[mark])


def _first_row(source: str | Path, text: str, delimiter: str) -> tuple[list[str], int]:
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        row = next(row for row in reader if any(cell.strip() for cell in row))
    except (csv.Error, StopIteration):
        wrong = "the header line cannot be read"
        raise refuse(source, wrong, "Put the column names, with delimiters, on line 1") from None
    return [cell.strip() for cell in row], reader.line_num


def _refuse_numbers(source: str | Path, cells: list[str]) -> None:
    named = [cell for cell in cells if cell]
    if all(_NUMBER.fullmatch(cell) for cell in named):
        wrong = f"the first line holds only numbers ({listing(named, 3)}), not column names"
        raise refuse(source, wrong, "Add a header line with the names of the columns")


def _refuse_repeats(source: str | Path, cells: list[str]) -> None:
    repeated = [name for name, count in Counter(cells).items() if name and count > 1]
    if repeated:
        wrong = f"these column names occur twice or more: {listing(repeated)}"
        raise refuse(source, wrong, "Give each column its own name")


def _name_all(cells: list[str]) -> tuple[str, ...]:
    taken = set(cells)
    return tuple(
        cell or _free_name(f"column_{place}", taken) for place, cell in enumerate(cells, 1)
    )


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _after_line(raw: bytes, lines: int) -> int:
    offset = 0
    for _ in range(lines):
        found = raw.find(b"\n", offset)
        if found < 0:
            return len(raw)
        offset = found + 1
    return offset
