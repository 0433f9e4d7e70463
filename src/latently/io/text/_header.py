"""Find the delimiter and the column names in the header line of a delimited file."""

import csv
import io
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from latently.exceptions import ParameterError
from latently.io._messages import clip, listing, refuse

__all__ = ["SPACES", "Header", "read_header"]

# Of two that fit equally well the first is taken: commas and spaces also occur within cells.
DELIMITERS = (";", "\t", "|", ",")
#: The delimiter of files whose cells are separated by one or more spaces.
SPACES = "spaces"
# Lines below the header by which the delimiter is found.
_SAMPLE_LINES = 50
_SEPARATOR = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*")
# A longer header means a file without line ends.
_MAX_HEADER_BYTES, _USUAL_BYTES = 2**24, 2**18


class Header(NamedTuple):
    """Column names and delimiter of the header line, and the offset of the rows."""

    names: tuple[str, ...]
    delimiter: str
    unnamed: tuple[int, ...]  # positions of columns without a name in the file
    body: int  # offset of the first byte after the header
    lines: int  # number of lines before the body


def read_header(
    source: str | Path, raw: bytes, delimiter: str | None, known: Collection[str] = ()
) -> Header:
    """Find the delimiter, the column names and the first byte of the rows.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    raw : bytes
        The whole text.
    delimiter : str or None
        One character. None takes the character of a first line such as ``sep=;``. Otherwise it
        takes the semicolon, tab, pipe or comma that splits the header and the first rows into
        equally many cells, or else spaces.
    known : collection of str, default=()
        Names that a model expects. A header with one of them may consist of numbers.

    Returns
    -------
    Header
        Names are stripped and unique. A column without a name is named by its position, such as
        ``column_2``.

    Raises
    ------
    DataError
        If names repeat, or the first line holds only numbers.
    ParameterError
        If ``delimiter`` is not one plain character.
    """
    # A header seldom needs more than a small part of a large file.
    size = _USUAL_BYTES if b"\n" in raw[: _USUAL_BYTES // 2] else _MAX_HEADER_BYTES
    text = raw[:size].decode("utf-8", "ignore")
    separator = _SEPARATOR.fullmatch(text.split("\n", 1)[0])
    before = 0 if separator is None else 1
    text = text.split("\n", 1)[-1] if before else text
    if delimiter is not None:
        mark = _checked(delimiter)
    else:
        mark = _sniff(source, text) if separator is None else _checked(separator[1])
    cells, lines = _first_row(source, text, mark)
    if not set(known) & set(cells):
        _refuse_numbers(source, cells)
    _refuse_repeats(source, cells)
    unnamed = tuple(place for place, cell in enumerate(cells) if not cell)
    lines += before
    return Header(_name_all(cells), mark, unnamed, _after_line(raw, lines), lines)


def _checked(delimiter: str) -> str:
    if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\n\r\x00':
        raise ParameterError(
            f"delimiter must be one plain character, got {clip(delimiter)}. "
            "Use for example a comma, a semicolon or a tab."
        )
    return delimiter


def _sniff(source: str | Path, text: str) -> str:
    """Return the delimiter that splits the header and the first rows into equally many cells."""
    start = "\n".join(text.lstrip("\n").split("\n", _SAMPLE_LINES + 1)[: _SAMPLE_LINES + 1])
    head, *rows = re.sub(r'"[^"]*"', "", start).split("\n")
    rows = [row for row in rows if row.strip()]
    found = [mark for mark in DELIMITERS if mark in head]
    if found:
        return max(found, key=lambda mark: (_share(rows, mark, head.count(mark)), head.count(mark)))
    if len(head.split()) > 1 and '"' not in start and _is_spaced(source, head, rows):
        return SPACES
    # One name: a delimiter in every row does not fit it, but a decimal comma does.
    shared = [mark for mark in DELIMITERS if rows and all(mark in row for row in rows)]
    if shared == [","] and all(_NUMBER.fullmatch(row) for row in rows):
        return ";"
    return shared[0] if shared else ","


def _share(rows: list[str], mark: str, count: int) -> float:
    """Return the share of rows with as many delimiters as the header has."""
    return sum(row.count(mark) == count for row in rows) / max(len(rows), 1)


def _is_spaced(source: str | Path, head: str, rows: list[str]) -> bool:
    """Return True for rows of numbers separated by spaces, one number per name."""
    width = len(head.split())
    numbers = [row for row in rows if _is_mostly_numbers(row.split())]
    if not rows or len(numbers) < len(rows) / 2:
        return False
    odd = next((row for row in rows if len(row.split()) != width), None)
    if odd is not None and any(len(row.split()) > 1 for row in rows):
        wrong = f"cells seem to be separated by spaces, but {clip(odd)} has not {width} of them"
        raise refuse(source, wrong, "Put one comma or tab between cells")
    return odd is None


def _is_mostly_numbers(cells: list[str]) -> bool:
    return 2 * sum(_NUMBER.fullmatch(cell) is not None for cell in cells) >= len(cells) > 0


def _first_row(source: str | Path, text: str, delimiter: str) -> tuple[list[str], int]:
    if delimiter == SPACES:
        lines = text.split("\n")
        place = next(place for place, line in enumerate(lines) if line.strip())
        return lines[place].split(), place + 1
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
