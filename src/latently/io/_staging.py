"""Delimited text that is larger than memory: turned once into a Parquet file of its own."""

from __future__ import annotations

import gzip
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa
import pyarrow.fs as pa_fs

from latently._notices import each_once, silenced
from latently.exceptions import DataError
from latently.io._csv import stream_csv
from latently.io._resources import check_disk
from latently.io._say import refuse, show
from latently.io._stream import write_pieces
from latently.io._table_files import ParquetFile

__all__ = ["staged_csv"]

#: Bytes of text that are read at once.
_PIECE = 1 << 24
#: Types from narrow to wide: each can hold what those before it in its row hold.
_LADDERS = (
    (pa.int64(), pa.float64()),
    (pa.date32(), pa.timestamp("us"), pa.timestamp("ns")),
    (pa.timestamp("us", "UTC"), pa.timestamp("ns", "UTC")),
)


def staged_csv(path: Path, delimiter: str | None = None) -> ParquetFile:
    """Turn a text file into Parquet, in a temporary folder that lives as long as the answer.

    The text is read twice: once to find a type that all cells of a column share, as ``read_csv``
    does, and once to write them.

    Parameters
    ----------
    path : Path
        The text, packed with gzip or not.
    delimiter : str, optional
        As in ``read_csv``.

    Returns
    -------
    ParquetFile
        The same table.

    Raises
    ------
    DataError
        If a line or a cell cannot be used.
    ResourceError
        If the disk for temporary files has too little room.
    """
    folder = Path(tempfile.mkdtemp(prefix="latently-"))
    try:
        check_disk(folder, path.stat().st_size, f"{show(path)}, as Parquet,")
        schema = _shared_schema(path, delimiter)
        target = folder / f"{path.stem}.parquet"
        with silenced():  # issued when types were found
            write_pieces(_typed(path, delimiter, schema), target)
        staged = ParquetFile(str(target), pa_fs.LocalFileSystem())
    except BaseException:
        _remove(folder)
        raise
    weakref.finalize(staged, _remove, folder)
    return staged


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink(missing_ok=True)
    folder.rmdir()


def _pieces(path: Path, delimiter: str | None, text: frozenset[str]) -> Iterator[pa.Table]:
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            source = cast(BinaryIO, gzip.GzipFile(fileobj=file) if packed else file)
            yield from stream_csv(
                source, text=text, delimiter=delimiter, name=str(path), piece_bytes=_PIECE
            )
    except DataError:
        raise
    except (OSError, EOFError):
        raise refuse(path, "it is damaged, cut short, or cannot be read", "Copy it again") from None


def _shared_schema(path: Path, delimiter: str | None) -> pa.Schema:
    """Return the narrowest types that hold the cells of all pieces."""
    kinds: dict[str, pa.DataType] = {}
    with each_once():
        for piece in _pieces(path, delimiter, frozenset()):
            for name, column in zip(piece.column_names, piece.columns, strict=True):
                kind = pa.null() if column.null_count == len(column) else column.type
                kinds[name] = _wider(kinds.get(name, pa.null()), kind)
    return pa.schema(
        [(name, pa.float64() if pa.types.is_null(kind) else kind) for name, kind in kinds.items()]
    )


def _wider(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return a type that holds the values of two: text where nothing else does."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    for ladder in _LADDERS:
        if one in ladder and other in ladder:
            return ladder[max(ladder.index(one), ladder.index(other))]
    return pa.string()


def _typed(path: Path, delimiter: str | None, schema: pa.Schema) -> Iterator[pa.Table]:
    text = frozenset(field.name for field in schema if pa.types.is_string(field.type))
    for piece in _pieces(path, delimiter, text):
        yield pa.table([_column(piece, field) for field in schema], schema=schema)


def _column(piece: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = piece[field.name] if field.name in piece.column_names else None
    if column is None or column.null_count == len(column):
        return pa.chunked_array([pa.nulls(piece.num_rows, field.type)])
    return column.cast(field.type)
