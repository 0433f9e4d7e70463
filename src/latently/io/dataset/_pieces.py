"""Write a table in pieces."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from latently.exceptions import DataError
from latently.io._atomic import atomic_path, standard_output
from latently.io._files import write
from latently.io._formats import find_format
from latently.io._messages import refuse
from latently.io._resources import check_disk
from latently.io.text._writing import header_line, row_lines

__all__ = ["write_pieces"]

#: Bytes of text on disk per byte in memory.
_TEXT_FACTOR = 2.5


def write_pieces(
    pieces: Iterable[pa.Table],
    target: str | Path,
    format: str | None = None,
    *,
    overwrite: bool = False,
    n_rows: int | None = None,
) -> int:
    """Write tables of the same columns to one file, completely or not at all.

    Delimited text, Parquet and Arrow files are written in pieces. For other formats, and for
    typed formats on standard output, the pieces are concatenated in memory.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        At least one table.
    target : str or Path
        The file to write, or ``"-"``, to which text is written as it arrives.
    format : str, optional
        As in ``write``.
    overwrite : bool, default=False
        If True, replace an existing file.
    n_rows : int, optional
        Expected number of rows, by which the free disk space is checked before writing.

    Returns
    -------
    int
        Number of rows written.

    Raises
    ------
    ResourceError
        If the disk has too little space for ``n_rows`` rows of the size of the first piece's.
    """
    name = find_format(target, format).name
    opened = _WRITERS.get(name)
    if opened is None or (str(target) == "-" and opened not in _TEXTS):
        table = pa.concat_tables(list(pieces), promote_options="permissive")
        write(table, target, format, overwrite=overwrite)
        return int(table.num_rows)
    waiting = iter(pieces)
    first = next(waiting)
    if n_rows is not None and str(target) != "-":
        factor = _TEXT_FACTOR if opened in _TEXTS else 1.0
        size = factor * first.nbytes / max(first.num_rows, 1) * n_rows
        check_disk(Path(target).parent, size, f"{n_rows:,} rows of output")
    written = 0
    with _sink(target, overwrite) as sink, opened(sink, first) as add:
        for piece in chain([first], waiting):
            try:
                add(piece)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
                raise _changed(target) from None
            written += piece.num_rows
    return written


def _changed(target: str | Path) -> DataError:
    return refuse(target, "column types differ between pieces", "Write Parquet files")


@contextlib.contextmanager
def _sink(target: str | Path, overwrite: bool) -> Iterator[BinaryIO]:
    if str(target) == "-":
        with standard_output() as stream:
            yield stream
        return
    with atomic_path(target, overwrite) as temporary, temporary.open("wb") as file:
        yield file


Add = Callable[[pa.Table], None]


@contextlib.contextmanager
def _parquet(sink: BinaryIO, first: pa.Table) -> Iterator[Add]:
    with pa_parquet.ParquetWriter(sink, first.schema, write_page_checksum=True) as writer:
        yield lambda piece: writer.write_table(piece.cast(first.schema))


@contextlib.contextmanager
def _arrow(sink: BinaryIO, first: pa.Table) -> Iterator[Add]:
    schema = pa.schema([field.with_type(_value_type(field.type)) for field in first.schema])
    with pa.ipc.new_file(sink, schema) as writer:
        yield lambda piece: writer.write_table(piece.cast(schema))


@contextlib.contextmanager
def _text(sink: BinaryIO, first: pa.Table, delimiter: str = ",") -> Iterator[Add]:
    sink.write(header_line(first.schema, delimiter))

    def add(piece: pa.Table) -> None:
        if piece.column_names != first.column_names:
            raise pa.ArrowInvalid("other columns")
        sink.write(row_lines(piece, delimiter))

    yield add


def _value_type(kind: pa.DataType) -> pa.DataType:
    """Return the value type of a dictionary: each piece has its own, but a file holds one."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


_tabs = partial(_text, delimiter="\t")
_TEXTS: tuple[Any, ...] = (_text, _tabs)
_WRITERS: dict[str, Any] = {
    "csv": _text, "tsv": _tabs, "parquet": _parquet, "arrow": _arrow, "feather": _arrow
}  # fmt: skip
