"""Convert delimited text that is larger than memory to a temporary Parquet file."""

from __future__ import annotations

import gzip
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow.fs as pa_fs

from latently._notices import each_once, silenced
from latently.exceptions import DataError
from latently.io._messages import refuse, show
from latently.io._resources import check_disk
from latently.io.dataset._agreement import Agreement
from latently.io.dataset._pieces import write_pieces
from latently.io.dataset._table_files import ParquetFile
from latently.io.text._csv import ReadTable, read_pieces
from latently.io.text._options import TextOptions

__all__ = ["staged_csv"]

#: Bytes of text read at once.
_PIECE = 1 << 24


def staged_csv(path: Path, options: TextOptions) -> ParquetFile:
    """Convert a text file to Parquet in a temporary folder, deleted with the returned object.

    The text is read twice: first to infer the types of the columns, as ``read_csv`` does, and
    then to write them.

    Parameters
    ----------
    path : Path
        The text file, which may be packed with gzip.
    options : TextOptions
        Options of reading.

    Returns
    -------
    ParquetFile
        The same table.

    Raises
    ------
    DataError
        If a line or a cell cannot be used.
    ResourceError
        If the disk of temporary files has too little space.
    """
    folder = Path(tempfile.mkdtemp(prefix="latently-"))
    try:
        check_disk(folder, path.stat().st_size, f"{show(path)}, as Parquet,")
        agreement = _agreed(path, options)
        target = folder / f"{path.stem}.parquet"
        with silenced():  # issued while the types were inferred
            pieces = _pieces(path, agreement.options())
            write_pieces((agreement.cast(piece.sound(quiet=True)) for piece in pieces), target)
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


def _pieces(path: Path, options: TextOptions) -> Iterator[ReadTable]:
    try:
        with path.open("rb") as file:
            packed = file.peek(2)[:2] == b"\x1f\x8b"
            source = cast(BinaryIO, gzip.GzipFile(fileobj=file) if packed else file)
            yield from read_pieces(source, options, str(path), _PIECE)
    except DataError:
        raise
    except (OSError, EOFError):
        raise refuse(path, "it is damaged, cut short, or cannot be read", "Copy it again") from None


def _agreed(path: Path, options: TextOptions) -> Agreement:
    """Return the narrowest types that fit the cells of all pieces."""
    agreement = Agreement(options)
    with each_once():
        for piece in _pieces(path, options):
            agreement.add(piece)
        agreement.notes.warn()
    return agreement
