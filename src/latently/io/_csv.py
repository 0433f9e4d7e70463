"""Delimited text into a table and back."""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from latently._notices import joined
from latently.io._bytes import DEFAULT_MAX_BYTES, arrow_reader
from latently.io._cast import ColumnPlace, as_text, cast_column
from latently.io._header import Header, read_header
from latently.io._say import clip, counted, listing, refuse, warn
from latently.io._text import check_quotes, clean_text, load_text

__all__ = ["DEFAULT_MISSING", "fill_csv", "plain_columns", "read_csv", "stream_csv"]

DEFAULT_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-")

# A row must fit into one block; 16 MiB also keeps both cores busy.
_BLOCK = 2**24
# What is taken from a stream at once.
_PIECE = 2**20


def read_csv(
    source: str | Path,
    *,
    missing: Sequence[str] = DEFAULT_MISSING,
    delimiter: str | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> pa.Table:
    """Read delimited text into a table whose columns have types.

    Columns become booleans (true, false), integers, decimals, ISO dates, ISO times or text.
    Numbers with leading zeros stay text. In files without comma as delimiter a comma within
    numbers is the decimal sign. Cells in quotes are never missing in a text column.

    Parameters
    ----------
    source : str or Path
        The file, packed with gzip or not, or ``"-"`` for standard input.
    missing : sequence of str, default=DEFAULT_MISSING
        Cells that count as missing; more of them leave fewer cells as text.
    delimiter : str, optional
        One character; by default comma, semicolon, tab or pipe, whichever the header has most.
    max_bytes : int, default=1 GiB
        Larger files are refused; reading takes about three times as much memory.

    Returns
    -------
    pyarrow.Table
        One row a line; short rows are filled with missing cells, with a warning.

    Raises
    ------
    DataError
        If the file is empty, not UTF-8 text, or a line, name or cell cannot be used.
    ParameterError
        If ``delimiter`` is not one character.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cities.csv"
    >>> _ = path.write_text("city,people\\nOslo,709037\\nBergen,NA\\n")
    >>> read_csv(path).to_pydict()
    {'city': ['Oslo', 'Bergen'], 'people': [709037, None]}
    """
    return _as_table(source, load_text(source, max_bytes), missing, delimiter)


def stream_csv(
    stream: BinaryIO,
    *,
    text: Collection[str] = (),
    missing: Sequence[str] = DEFAULT_MISSING,
    delimiter: str | None = None,
    name: str = "standard input",
    piece_bytes: int = _PIECE,
) -> Iterator[pa.Table]:
    """Read delimited text as it comes: each table holds the rows that have arrived.

    Parameters
    ----------
    stream : binary file
        Read until it ends; its first line is the header.
    text : collection of str, default=()
        Columns that stay text even where the rows at hold look like numbers or dates.
    missing : sequence of str, default=DEFAULT_MISSING
        As in ``read_csv``.
    delimiter : str, optional
        As in ``read_csv``.
    name : str, default="standard input"
        What the stream is called in messages.
    piece_bytes : int, default=2 ** 20
        Most bytes that are taken at once.

    Yields
    ------
    pyarrow.Table
        At least one row.

    Raises
    ------
    DataError
        If a line, name or cell cannot be used; rows before it have been handed out.
    """
    header = stream.readline()
    if not header.strip():
        raise refuse(name, "there is no header line", "Send a line of names, then rows")
    header = header.rstrip(b"\r\n") + b"\n"

    def table_of(rows: bytes) -> pa.Table:
        source = f"{name} after row {n_rows:,}"
        return _as_table(source, clean_text(source, header + rows), missing, delimiter, text)

    # What has come so far, waiting for at least one byte; nothing at the end.
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    n_rows, pending = 0, b""
    for piece in iter(lambda: read(piece_bytes), b""):
        pending += piece
        end = _end_of_rows(pending)
        if pending[:end].strip():
            table = table_of(pending[:end])
            n_rows += table.num_rows
            yield table
        pending = pending[end:]
    if pending.strip():
        yield table_of(pending + b"\n")


def _end_of_rows(pending: bytes) -> int:
    """Return where the last whole row ends; a line end between quotes ends none."""
    end = pending.rfind(b"\n") + 1
    while end and pending.count(b'"', 0, end) % 2:
        end = pending.rfind(b"\n", 0, end - 1) + 1
    return end


def _as_table(
    source: str | Path,
    raw: bytes,
    missing: Sequence[str],
    delimiter: str | None,
    text: Collection[str] = (),
) -> pa.Table:
    header = read_header(source, raw, delimiter)
    check_quotes(source, raw, header.delimiter)
    body = raw[header.body :]
    if not body.strip():
        raise refuse(source, "there is a header line but no rows", "Give a file with data")
    _count_blank_lines(body)
    table = _drop_unnamed(_parse(source, body, header, missing), header)
    places = [ColumnPlace(source, name, header.delimiter) for name in table.column_names]
    with joined():
        columns = [
            as_text(table[place.name])
            if place.name in text
            else cast_column(table[place.name], place, missing)
            for place in places
        ]
    return pa.table(columns, names=table.column_names)


def fill_csv(table: pa.Table, sink: BinaryIO, delimiter: str = ",") -> None:
    """Write a table as delimited text; text is quoted and missing cells are empty.

    Parameters
    ----------
    table : pyarrow.Table
        Columns without nesting.
    sink : binary file
        Where to write.
    delimiter : str, default=","
        One character between cells.
    """
    pa_csv.write_csv(plain_columns(table), sink, pa_csv.WriteOptions(delimiter=delimiter))


def plain_columns(table: pa.Table) -> pa.Table:
    """Return a table as it can be written as text: without dictionaries, nor blank lines."""
    columns = [_decode(column) for column in table.columns]
    if len(columns) == 1 and columns[0].null_count:
        # A lone missing cell would be a blank line, which readers skip; "" is not.
        columns = [pc.fill_null(pc.cast(columns[0], pa.string()), "")]
    return pa.table(columns, names=table.column_names)


def _decode(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        return pc.cast(column, column.type.value_type)
    return column


def _count_blank_lines(body: bytes) -> None:
    if b'"' in body or b"\n\n" not in body.rstrip():
        return
    blank = sum(1 for line in body.rstrip().split(b"\n") if not line)
    warn(f"{counted(blank, 'blank line')} among the rows skipped.")


def _parse(source: str | Path, body: bytes, header: Header, missing: Sequence[str]) -> pa.Table:
    try:
        return _parse_text(body, header, missing)
    except pa.ArrowInvalid:
        mended = _mend_rows(source, body, header)
    try:
        return _parse_text(mended, header, missing)
    except pa.ArrowInvalid as error:
        wrong = f"the rows cannot be told apart ({clip(error, 60)})"
        raise refuse(source, wrong, "Check delimiters and quotes") from None


def _parse_text(body: bytes, header: Header, missing: Sequence[str]) -> pa.Table:
    names = [f"f{place}" for place in range(len(header.names))]
    table = pa_csv.read_csv(
        arrow_reader(body),
        pa_csv.ReadOptions(column_names=names, block_size=_BLOCK),
        pa_csv.ParseOptions(delimiter=header.delimiter, newlines_in_values=b'"' in body),
        pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),
            null_values=list(missing),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return table.rename_columns(list(header.names))


def _mend_rows(source: str | Path, body: bytes, header: Header) -> bytes:
    """Fill short rows and cut empty extra cells, line by line; anything else is refused."""
    lines = body.decode().split("\n")
    reader = csv.reader(io.StringIO(body.decode()), delimiter=header.delimiter)
    filled = cut = 0
    try:
        for row in reader:
            extra = len(row) - len(header.names)
            if row and extra < 0:
                lines[reader.line_num - 1] += header.delimiter * -extra
                filled -= extra
            elif extra > 0:
                line = lines[reader.line_num - 1]
                lines[reader.line_num - 1] = _cut(source, line, extra, header, reader.line_num)
                cut += 1
    except csv.Error as error:
        place = f"line {header.lines + reader.line_num}"
        raise refuse(source, f"{place}: {error}", "Check the quotes of this line") from None
    _say_mended(filled, cut)
    return "\n".join(lines).encode()


def _cut(source: str | Path, line: str, extra: int, header: Header, number: int) -> str:
    rest = line.rstrip(" ")
    if rest.endswith(header.delimiter * extra):
        return rest[:-extra]
    width = len(header.names)
    wrong = f"line {header.lines + number} has {width + extra} cells, the header has {width}"
    raise refuse(source, wrong, f"Put cells that hold a {clip(header.delimiter)} in quotes")


def _say_mended(filled: int, cut: int) -> None:
    if filled:
        warn(f"Rows with too few cells were filled: {counted(filled, 'cell')} became missing.")
    if cut:
        warn(f"Empty cells beyond the last column were dropped from {counted(cut, 'row')}.")


def _drop_unnamed(table: pa.Table, header: Header) -> pa.Table:
    unnamed = [header.names[place] for place in header.unnamed]
    empty = [name for name in unnamed if _is_empty(table[name])]
    if empty:
        warn(f"{counted(len(empty), 'column')} without a name and without content dropped.")
    named = [name for name in unnamed if name not in empty]
    if named:
        warn(f"{counted(len(named), 'column')} without a name called {listing(named)}.")
    return table.drop_columns(empty) if empty else table


def _is_empty(column: Any) -> bool:
    return bool(pc.all(pc.equal(pc.fill_null(column, ""), "")).as_py())
