"""Decode and check the bytes of a delimited file: UTF-8 text with ``\\n`` line ends."""

import re
from pathlib import Path

import numpy as np

from latently.io._bytes import gunzip, load_bytes
from latently.io._formats import looks_like
from latently.io._messages import refuse

# Bytes that are searched for a cell before the whole text is.
_START = 2**12

__all__ = ["check_quotes", "clean_text", "line_of", "load_text", "unify_lines"]


def load_text(source: str | Path, max_bytes: int) -> bytes:
    """Read a delimited file, unpack gzip, and raise DataError unless it is UTF-8 text.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    max_bytes : int
        Largest size, packed and unpacked.

    Returns
    -------
    bytes
        UTF-8 without a byte order mark. Every line ends in ``\\n``.

    Raises
    ------
    DataError
        If the content is binary, not UTF-8, or only blank.
    """
    return clean_text(source, gunzip(source, load_bytes(source, max_bytes), max_bytes))


def clean_text(source: str | Path, raw: bytes) -> bytes:
    """Raise DataError unless bytes are UTF-8, then drop the byte order mark and unify line ends."""
    kind = looks_like(raw[:64])
    if kind is not None:
        raise refuse(source, f"this looks like {kind}, not a text table", "Give a CSV file")
    _check_encoding(source, raw)
    raw = unify_lines(raw.removeprefix(b"\xef\xbb\xbf"))
    if not raw[:_START].strip() and not raw.strip():
        raise refuse(source, "the file is empty (only blank lines)", "Give a file with data")
    return raw


def line_of(raw: bytes, offset: int) -> int:
    """Return the number of the line, from 1, that holds a byte."""
    return unify_lines(raw[:offset]).count(b"\n") + 1


def check_quotes(source: str | Path, raw: bytes, delimiter: str) -> None:
    """Raise DataError if a quote opens a cell and is not closed at the end of the cell.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    raw : bytes
        The whole text.
    delimiter : str
        One character between cells.

    Raises
    ------
    DataError
        If a quote is never closed, or closed within a cell. It names the line of the quote.
    """
    # Lines after the last quote need no check.
    end = raw.find(b"\n", raw.rfind(b'"') + 1)
    raw = raw[: end + 1] if end >= 0 else raw
    if _quotes_pair(raw, delimiter):
        return
    mark = re.escape(delimiter.encode())
    start = rb"(?<![^" + mark + rb'\n])"'
    # Possessive, like the parser: a doubled quote never ends a cell.
    whole = start + rb'[^"]*+(?:""[^"]*+)*+" *(?=[' + mark + rb"\n]|\Z)"
    if re.search(start, re.sub(whole, b"", raw)) is None:
        return
    line = line_of(raw, _first_open(raw, re.compile(start), re.compile(whole)))
    wrong = f"the quote opened on line {line} is never closed, or closed in the middle of a cell"
    raise refuse(source, wrong, 'Close it, and write a quote within a cell as ""')


def _quotes_pair(raw: bytes, delimiter: str) -> bool:
    """Return True if quotes open and close cells in turn, or are doubled.

    Programs write quotes so. False does not mean an error: it calls for the slower check.
    """
    text = np.frombuffer(raw, np.uint8)
    places = np.flatnonzero(text == ord('"'))
    if len(places) % 2:
        return False
    ends = [ord(delimiter), ord("\n")]
    before, after = text[places[::2] - 1], text[np.minimum(places[1::2] + 1, len(text) - 1)]
    opens = np.isin(before, ends) | (places[::2] == 0)
    closes = np.isin(after, ends) | (places[1::2] == len(text) - 1)
    doubled = places[1:-1:2] + 1 == places[2::2]
    opens[1:] |= doubled
    closes[:-1] |= doubled
    return bool(opens.all() and closes.all())


def _first_open(raw: bytes, start: re.Pattern[bytes], whole: re.Pattern[bytes]) -> int:
    position = 0
    while opened := start.search(raw, position):
        closed = whole.match(raw, opened.start())
        if closed is None:
            return opened.start()
        position = closed.end()
    return 0


def unify_lines(raw: bytes) -> bytes:
    """Return text whose lines end in ``\\n``."""
    if b"\r" not in raw:
        return raw
    return raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _check_encoding(source: str | Path, raw: bytes) -> None:
    nul = raw.find(b"\x00")
    if nul >= 0 and not raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        wrong = f"line {line_of(raw, nul)} holds a NUL byte"
        raise refuse(source, wrong, "The file is damaged or not text; export it again")
    try:
        if not raw.isascii():
            raw.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = f"it is not UTF-8 at byte {error.start} (line {line_of(raw, error.start)})"
        raise refuse(source, wrong, "Save it again as UTF-8") from None
