"""Read delimited text into Arrow tables, whole or piece by piece."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import pyarrow as pa

from latently.exceptions import DataError
from latently.io._bytes import DEFAULT_MAX_BYTES
from latently.io._messages import refuse
from latently.io.text._column import ColumnPlace, TypedColumn
from latently.io.text._decoding import check_quotes, clean_text, load_text, unify_lines
from latently.io.text._gap_words import DEFAULT_MISSING
from latently.io.text._header import SPACES, read_header
from latently.io.text._infer import as_text, draft_column
from latently.io.text._notes import Notes
from latently.io.text._number_columns import Draft
from latently.io.text._options import TextOptions, text_name, verbatim_field
from latently.io.text._rows import RowText
from latently.schema import DateOrder, Notation, TableSpec, with_notation

__all__ = [
    "OPEN_QUOTE",
    "Pieces",
    "ReadTable",
    "is_header",
    "read_csv",
    "read_pieces",
    "read_table",
    "stream_csv",
    "stream_with",
]

# Bytes read from a stream at once.
_PIECE = 2**20
#: A quote that begins a cell.
OPEN_QUOTE = re.compile(rb'(?:^|[,;\t|\n])\s*"')


def read_csv(
    source: str | Path,
    *,
    missing: Sequence[str] | None = (),
    delimiter: str | None = None,
    dates: DateOrder | None = None,
    decimal: str | None = None,
    like: TableSpec | None = None,
    text: Collection[str] = (),
    beside: Collection[str] | Literal["all"] = (),
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> pa.Table:
    """Read delimited text into a table whose columns have types.

    Columns become booleans (true, false), integers, floats, dates, times or text. Numbers and
    dates in other notations, such as a decimal comma, are read if the cells of the column
    determine the notation. If they do not, the error names the parameter that resolves it.
    Numbers with leading zeros stay text. Quoted cells are never missing in a text column.

    Parameters
    ----------
    source : str or Path
        The file, packed with gzip or not, or ``"-"`` for standard input.
    missing : sequence of str or None, default=()
        Gap words in addition to ``DEFAULT_MISSING``. Each adds cells that count as missing. With
        None only empty cells are missing.
    delimiter : str, optional
        One character. By default the semicolon, tab, pipe or comma that splits the header and the
        first rows into equally many cells, or else spaces.
    dates : {"day-first", "month-first", "year-first"}, optional
        The order of ambiguous dates such as 01/02/2024.
    decimal : {".", ","}, optional
        The decimal sign of ambiguous numbers such as 1.234.
    like : TableSpec, optional
        The table that a model was fitted on, ``model.preprocessor_.spec``. Columns of the same
        name are read in its types and notation.
    text : collection of str, default=()
        Columns that are kept as the text of the file.
    beside : collection of str or "all", default=()
        Columns whose text is added as a further column, named ``text_name(name)``.
    max_bytes : int, default=1 GiB
        Larger files are refused. Reading needs about three times the file size in memory.

    Returns
    -------
    pyarrow.Table
        One row per line. Short rows are filled with missing cells, with a warning. The metadata
        of a field hold the notation of its column, which a model fitted on the table stores.

    Raises
    ------
    DataError
        If the file is empty, not UTF-8 text, or a line, name or cell cannot be used.
    ParameterError
        If a parameter has a wrong value.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cities.csv"
    >>> _ = path.write_text("city,people\\nOslo,709037\\nBergen,NA\\n")
    >>> read_csv(path).to_pydict()
    {'city': ['Oslo', 'Bergen'], 'people': [709037, None]}
    """
    options = TextOptions(missing, delimiter, dates, decimal, like, text, beside).check()
    return read_table(source, load_text(source, max_bytes), options).sound()


class ReadTable(NamedTuple):
    """A table and the errors of its columns with ambiguous notation.

    Attributes
    ----------
    table : pyarrow.Table
        Columns with ambiguous notation are text.
    problems : dict of str to DataError
        For each such column, the error that names the parameter to give.
    shown : dict of str to Notation
        Notation of the columns whose cells determine it.
    notes : Notes
        Remarks on the columns, issued as warnings by ``sound``.
    """

    table: pa.Table
    problems: dict[str, DataError]
    shown: dict[str, Notation]
    notes: Notes

    def sound(self, *, quiet: bool = False) -> pa.Table:
        """Return the table and issue its remarks as warnings, or raise the first error."""
        for problem in self.problems.values():
            raise problem
        if not quiet:
            self.notes.warn()
        return self.table


def read_table(source: str | Path, raw: bytes, options: TextOptions) -> ReadTable:
    """Read text that ``clean_text`` has checked."""
    header = read_header(source, raw, options.delimiter, options.kinds)
    check_quotes(source, raw, " " if header.delimiter == SPACES else header.delimiter)
    rows = RowText(source, raw, header)
    defaults = [""] if options.missing is None else DEFAULT_MISSING
    cells = rows.drop_unnamed(rows.parse([*defaults, *(options.missing or ())]))
    notes = Notes()
    columns = _typed(source, cells, header.delimiter, options, notes)
    texts = _texts(rows, cells.column_names, options)
    arrays, fields = [], []
    for name in cells.column_names:
        column = columns[name] if name in columns else TypedColumn(texts[name])
        arrays.append(column.values)
        fields.append(_field(name, column, options))
    for name in texts.column_names:
        if name not in options.text:
            arrays.append(texts[name])
            fields.append(verbatim_field(text_name(name)))
    problems = {n: column.problem for n, column in columns.items() if column.problem is not None}
    shown = {name: column.notation for name, column in columns.items() if column.is_shown}
    return ReadTable(pa.table(arrays, schema=pa.schema(fields)), problems, shown, notes)


def _texts(rows: RowText, names: Sequence[str], options: TextOptions) -> pa.Table:
    """Return the columns that are kept as text, and the texts of those that ``beside`` names."""
    wanted = [n for n in names if n in options.text or options.wants_beside(n)]
    table = rows.parse([], wanted) if wanted else pa.table({})
    return pa.table([as_text(column) for column in table.columns], names=wanted)


def _typed(
    source: str | Path, cells: pa.Table, delimiter: str, options: TextOptions, notes: Notes
) -> dict[str, TypedColumn]:
    drafts = {}
    for name in cells.column_names:
        if name in options.text:
            continue
        is_used = options.like is None or name in options.kinds
        own = notes if is_used else Notes()
        place = ColumnPlace(source, name, delimiter, options, own)
        try:
            drafts[name] = draft_column(cells[name], place)
        except DataError as error:
            drafts[name] = Draft(TypedColumn(as_text(cells[name]), problem=error))
        if not is_used:  # the model does not use it: no error and no warning
            drafts[name] = _without_problem(drafts[name])
    decimals = {draft.decimal for draft in drafts.values()} - {""}
    return {name: draft.finish(decimals) for name, draft in drafts.items()}


def _without_problem(draft: Draft) -> Draft:
    return Draft(draft.finish(())._replace(problem=None), decimal=draft.decimal)


def _field(name: str, column: TypedColumn, options: TextOptions) -> pa.Field:
    if name in options.text:
        return verbatim_field(name)
    notation = options.noted(column.notation, name)
    if name in options.kinds:  # even an empty notation is stored: it replaces that of fit
        return pa.field(name, column.values.type, metadata=notation.to_metadata())
    return with_notation(pa.field(name, column.values.type), notation)


class Pieces:
    """Reader of delimited text in pieces. The notation of the first pieces holds for all.

    Parameters
    ----------
    name : str
        Name of the stream in messages.
    header : bytes
        The header line.
    options : TextOptions
        Options of reading.
    """

    def __init__(self, name: str, header: bytes, options: TextOptions) -> None:
        self.name, self.header, self.options, self.n_rows = name, header, options, 0
        self._shown: dict[str, Notation] = {}

    def read(self, rows: bytes) -> ReadTable:
        """Return the next rows as a table."""
        source = f"{self.name} after row {self.n_rows:,}" if self.n_rows else self.name
        raw = clean_text(source, self.header + rows)
        if not self.n_rows and self.options.delimiter is None:
            mark = read_header(source, raw, None, self.options.kinds).delimiter
            if mark != SPACES:
                self.options = replace(self.options, delimiter=mark)
        found = read_table(source, raw, self.options)
        if self.options.like is not None:
            self._keep(source, found.shown)
        self.n_rows += found.table.num_rows
        return found

    def _keep(self, source: str, shown: dict[str, Notation]) -> None:
        """Raise DataError if a piece is in another notation than the pieces before it."""
        for name, notation in shown.items():
            before = self._shown.setdefault(name, notation)
            if (before.decimal, before.date_order) != (notation.decimal, notation.date_order):
                wrong = f"column {name!r:.40} is in another notation than in the rows before"
                raise refuse(source, wrong, "Give the rows as a file, or write them alike")
        self.options = self.options.with_notations(self._shown)


def stream_csv(
    stream: BinaryIO,
    *,
    missing: Sequence[str] | None = (),
    delimiter: str | None = None,
    dates: DateOrder | None = None,
    decimal: str | None = None,
    like: TableSpec | None = None,
    text: Collection[str] = (),
    beside: Collection[str] | Literal["all"] = (),
    name: str = "standard input",
    piece_bytes: int = _PIECE,
) -> Iterator[pa.Table]:
    """Read delimited text from a stream, and yield the rows as they arrive.

    Parameters
    ----------
    stream : binary file
        Read to its end. Its first line is the header.
    missing : sequence of str or None, default=()
        As in ``read_csv``.
    delimiter : str, optional
        As in ``read_csv``.
    dates : {"day-first", "month-first", "year-first"}, optional
        As in ``read_csv``.
    decimal : {".", ","}, optional
        As in ``read_csv``.
    like : TableSpec, optional
        As in ``read_csv``. If it is given, all pieces must have the notation of the first piece
        that determines one.
    text : collection of str, default=()
        As in ``read_csv``.
    beside : collection of str or "all", default=()
        As in ``read_csv``.
    name : str, default="standard input"
        Name of the stream in messages.
    piece_bytes : int, default=2 ** 20
        Largest number of bytes that are read at once.

    Yields
    ------
    pyarrow.Table
        At least one row.

    Raises
    ------
    DataError
        If a line, name or cell cannot be used. Earlier rows have been yielded by then.
    """
    options = TextOptions(missing, delimiter, dates, decimal, like, text, beside)
    yield from stream_with(options, stream, name, piece_bytes)


def stream_with(
    options: TextOptions,
    stream: BinaryIO,
    name: str = "standard input",
    piece_bytes: int = _PIECE,
) -> Iterator[pa.Table]:
    """Read delimited text from a stream, with the options as one object.

    Parameters
    ----------
    options : TextOptions
        Options of reading.
    stream : binary file
        As in ``stream_csv``.
    name : str, default="standard input"
        As in ``stream_csv``.
    piece_bytes : int, default=2 ** 20
        As in ``stream_csv``.

    Yields
    ------
    pyarrow.Table
        At least one row.
    """
    for found in read_pieces(stream, options.check(), name, piece_bytes):
        yield found.sound()


def read_pieces(
    stream: BinaryIO, options: TextOptions, name: str, piece_bytes: int = _PIECE
) -> Iterator[ReadTable]:
    """Yield the rows of a stream as they arrive. Parameters are as in ``stream_csv``."""
    header, pending = _header_of(stream)
    if not header.strip():
        raise refuse(name, "there is no header line", "Send a line of names, then rows")
    pieces = Pieces(name, header.rstrip(b"\n") + b"\n", options)
    # read1 waits for one byte at least and returns what has arrived, b"" at the end.
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    for piece in iter(lambda: read(piece_bytes), b""):
        pending += piece
        end = _end_of_rows(pending)
        if pending[:end].strip():
            yield pieces.read(pending[:end])
        pending = pending[end:]
    if pending.strip():
        yield pieces.read(pending + b"\n")
    if not pieces.n_rows:
        raise refuse(name, "there is a header line but no rows", "Send rows, too")


def _header_of(stream: BinaryIO) -> tuple[bytes, bytes]:
    """Return the header line with all lines before it, and the bytes read after it.

    A header may hold quoted line ends, and lines may end in ``\\r`` alone.
    """
    text = b""
    while not is_header(text) and (line := stream.readline()):
        text += line
    text = unify_lines(text)
    ends = (found.end() for found in re.finditer(b"\n", text))
    end = next((end for end in ends if is_header(text[:end])), len(text))
    return text[:end], text[end:]


def is_header(text: bytes) -> bool:
    """Return True if the last of the lines ends the header."""
    lines = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    is_open = lines.count(b'"') % 2 and OPEN_QUOTE.search(lines)
    names_mark = lines.lower().lstrip(b'"').startswith(b"sep=") and lines.count(b"\n") < 2
    return bool(lines) and not is_open and not names_mark


def _end_of_rows(pending: bytes) -> int:
    """Return the offset at which the last complete row ends. Quoted line ends do not count."""
    end = pending.rfind(b"\n") + 1
    while end and pending.count(b'"', 0, end) % 2:
        end = pending.rfind(b"\n", 0, end - 1) + 1
    return end
