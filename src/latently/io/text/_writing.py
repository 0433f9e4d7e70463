"""Write tables as delimited text."""

from __future__ import annotations

from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc

from latently.io.text._gap_words import DEFAULT_MISSING
from latently.io.text._options import VERBATIM_KEY
from latently.schema import Notation, write_durations

__all__ = ["fill_csv", "header_line", "in_notation", "row_lines"]


def fill_csv(table: pa.Table, sink: BinaryIO, delimiter: str = ",") -> None:
    """Write a table as delimited text with empty missing cells.

    Names and texts are quoted. Texts of verbatim fields are quoted only if they hold a delimiter,
    a quote or a line end.

    Parameters
    ----------
    table : pyarrow.Table
        Columns without nesting.
    sink : binary file
        The open output.
    delimiter : str, default=","
        One character between cells.
    """
    sink.write(header_line(table.schema, delimiter))
    sink.write(row_lines(table, delimiter))


def header_line(schema: pa.Schema, delimiter: str = ",") -> bytes:
    """Return the header line.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of the table.
    delimiter : str, default=","
        One character between them.

    Returns
    -------
    bytes
        Quoted names and a line end.
    """
    names = _quoted(pa.array(schema.names, pa.large_string()))
    return (delimiter.join(names.to_pylist()) + "\n").encode()


def row_lines(table: pa.Table, delimiter: str = ",") -> bytes:
    """Return the lines of a table without the header.

    Parameters
    ----------
    table : pyarrow.Table
        As for ``fill_csv``.
    delimiter : str, default=","
        One character between cells.

    Returns
    -------
    bytes
        One line per row.
    """
    columns = [
        _cells(column, field, delimiter, alone=table.num_columns == 1)
        for column, field in zip(table.columns, table.schema, strict=True)
    ]
    lines = _joined(*columns, between=delimiter)
    ended = _joined(lines, "\n")
    return b"".join(_bytes_of(chunk) for chunk in ended.chunks)


def _joined(*parts: Any, between: str = "") -> Any:
    """Return the cell-wise concatenation of texts as large strings."""
    kind = pa.large_string()
    large = [pa.scalar(p, kind) if isinstance(p, str) else p.cast(kind) for p in parts]
    return pc.binary_join_element_wise(*large, pa.scalar(between, kind))


def _bytes_of(chunk: Any) -> bytes:
    """Return the concatenated texts of an array as bytes."""
    if not len(chunk):
        return b""
    _, offsets, content = chunk.buffers()
    ends = pa.Array.from_buffers(pa.int64(), len(chunk) + 1, [None, offsets], offset=chunk.offset)
    first, last = ends[0].as_py(), ends[len(chunk)].as_py()
    return content.slice(first, last - first).to_pybytes() if last > first else b""


def _cells(column: Any, field: Any, delimiter: str, *, alone: bool) -> Any:
    """Return the cells of a column as large strings, quoted where needed."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    text = _text_of(column)
    verbatim = (field.metadata or {}).get(VERBATIM_KEY)
    if verbatim is not None:
        mark = "\\" + delimiter if delimiter in "|^-]\\" else delimiter
        special = pc.match_substring_regex(text, rf'["\n\r{mark}]')
        if verbatim == b"values":
            words = pa.array(DEFAULT_MISSING, text.type)
            special = pc.or_(special, pc.is_in(text, value_set=words))
        text = pc.if_else(special, _quoted(text), text) if pc.any(special).as_py() else text
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = _quoted(text)
    # In a table of one column a missing cell would be a blank line, which readers skip.
    return pc.fill_null(text, '""' if alone else "")


def _text_of(column: Any) -> Any:
    is_span = pa.types.is_duration(column.type)
    return write_durations(column) if is_span else column.cast(pa.large_string())


def _quoted(text: Any) -> Any:
    return _joined('"', pc.replace_substring(text, '"', '""'), '"')


def in_notation(column: Any, notation: Notation) -> Any:
    """Return numbers, dates or times as text in a given notation.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Typed cells.
    notation : Notation
        Notation of the text.

    Returns
    -------
    pyarrow.ChunkedArray
        Large strings, null for missing cells.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return in_notation(column.cast(kind.value_type), notation)
    if notation.dates and pa.types.is_temporal(kind):
        return _dated(column, notation.dates)
    text = _text_of(_whole_seconds(column))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return text
    if notation.thousands:
        text = _grouped(text, notation.thousands, notation.decimal or ".")
    elif notation.decimal == ",":
        text = pc.replace_substring(text, ".", notation.decimal)
    return _joined(notation.prefix, text, notation.suffix)


def _whole_seconds(column: Any) -> Any:
    """Return instants and times of day in seconds if none has a fraction."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        target = pa.timestamp("s", kind.tz)
    elif pa.types.is_time64(kind):
        target = pa.time32("s")
    else:
        return column
    try:
        return column.cast(target)
    except pa.ArrowInvalid:
        return column


def _grouped(text: Any, mark: str, decimal: str) -> Any:
    """Return numbers with a thousands separator. Exponents and special values stay as they are."""
    text = text.combine_chunks()
    parts = pc.extract_regex(text, r"^(?P<sign>-?)(?P<whole>\d+)(?:\.(?P<rest>\d+))?$")
    whole = parts.field("whole")
    for _ in range(6):  # 2 ** 63 has seven groups
        whole = pc.replace_substring_regex(whole, r"^(\d+)(\d{3})", r"\1_\2")
    whole = pc.replace_substring(whole, "_", mark)
    rest = parts.field("rest")
    tail = pc.if_else(pc.equal(rest, ""), "", _joined(decimal, rest))
    found = _joined(parts.field("sign"), whole, tail)
    plain = pc.replace_substring(text, ".", decimal)
    return pa.chunked_array([pc.if_else(parts.is_valid(), found, plain)])


def _dated(column: Any, form: str) -> Any:
    has_fraction = "%f" in form
    form = form.replace(".%f", "").replace(",%f", "").replace("%f", "")
    if pa.types.is_time(column.type):
        ticks = column.cast(pa.time64("us")).cast(pa.int64())
        column = ticks.cast(pa.timestamp("us"))
    unit = "us" if has_fraction else "s"
    zone = getattr(column.type, "tz", None)
    moments = column.cast(pa.timestamp(unit, zone), safe=False)
    return pc.strftime(moments, format=form, locale="C").cast(pa.large_string())
