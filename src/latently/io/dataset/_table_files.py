"""Parquet and Arrow files whose parts can be read repeatedly."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.fs as pa_fs
import pyarrow.parquet as pa_parquet

from latently.exceptions import DataError
from latently.io._messages import refuse
from latently.io.tables._arrow import DAMAGE, check_columns

__all__ = ["PIECE_ROWS", "ArrowFile", "MemoryTable", "ParquetFile", "TableFile"]

#: Largest number of rows of a piece.
PIECE_ROWS = 1 << 15
#: Bytes of a column read from a Parquet file at once.
_BUFFER = 1 << 20


class Stamp(NamedTuple):
    """Size and time of modification, by which a changed file is detected."""

    size: int | None
    changed: int | None


class TableFile(ABC):
    """Base class of files whose parts can be read repeatedly.

    Attributes
    ----------
    path : str
        The file, for messages.
    schema : pyarrow.Schema
        Columns and their types.
    sizes : list of int
        Number of rows of each part.
    """

    path: str
    schema: pa.Schema
    sizes: list[int]

    @abstractmethod
    def read(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some parts, at most ``PIECE_ROWS`` at once."""


class MemoryTable(TableFile):
    """A table in memory, split into parts of ``PIECE_ROWS`` rows."""

    def __init__(self, path: str, table: pa.Table) -> None:
        self.path, self.schema, self._table = path, table.schema, table
        starts = range(0, table.num_rows, PIECE_ROWS)
        self.sizes = [min(PIECE_ROWS, table.num_rows - start) for start in starts]

    def read(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some parts."""
        chosen = self._table.select(columns)
        yield from (chosen.slice(part * PIECE_ROWS, PIECE_ROWS) for part in parts)


class DiskFile(TableFile):
    """One file of a table, which is opened for each reading."""

    #: Name of the format in messages.
    name = "Parquet"

    def __init__(self, path: str, filesystem: pa_fs.FileSystem) -> None:
        self.path, self.filesystem = path, filesystem
        self._stamp = self._stamped()
        if self._stamp.size == 0:
            raise refuse(path, "the file is empty (0 bytes)", "Give a file with data")
        self.schema, self.sizes = self._guarded(self._read_sizes)
        check_columns(path, self.schema)

    @abstractmethod
    def _read_sizes(self) -> tuple[pa.Schema, list[int]]:
        """Return the schema and the number of rows of each part."""

    @abstractmethod
    def _batches(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some parts as record batches."""

    def read(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.Table]:
        """Yield the rows of some parts, at most ``PIECE_ROWS`` at once."""
        try:
            self._check_unchanged()
            for batch in self._batches(parts, columns):
                batch.validate(full=True)
                for start in range(0, batch.num_rows, PIECE_ROWS):
                    yield pa.Table.from_batches([batch.slice(start, PIECE_ROWS)])
        except DataError:
            raise
        except DAMAGE:
            self._check_unchanged()
            raise self._damaged() from None

    def _guarded(self, ask: Any) -> Any:
        try:
            return ask()
        except DataError:
            raise
        except DAMAGE:
            raise self._damaged() from None

    def _damaged(self) -> DataError:
        wrong = f"it is not {self.name}, or is damaged or cut short"
        return refuse(self.path, wrong, "Copy it again")

    def _stamped(self) -> Stamp:
        try:
            info = self.filesystem.get_file_info(self.path)
        except DAMAGE:
            raise refuse(self.path, "it cannot be read", "Check path and permission") from None
        if info.type == pa_fs.FileType.NotFound:
            raise refuse(self.path, "there is no such file", "Check the path")
        return Stamp(info.size, info.mtime_ns)

    def _check_unchanged(self) -> None:
        try:
            now = self._stamped()
        except DataError:
            raise refuse(self.path, "it vanished while it was read", "Put it back") from None
        if now != self._stamp:
            raise refuse(self.path, "it changed while it was read", "Start again")


class ParquetFile(DiskFile):
    """A Parquet file, whose parts are row groups. Page checksums are verified."""

    def _open(self, **options: Any) -> pa_parquet.ParquetFile:
        source = self.filesystem.open_input_file(self.path)
        return pa_parquet.ParquetFile(source, page_checksum_verification=True, **options)

    def _read_sizes(self) -> tuple[pa.Schema, list[int]]:
        with self._open() as file:
            self._metadata = file.metadata
            groups = (file.metadata.row_group(i) for i in range(file.metadata.num_row_groups))
            return file.schema_arrow, [group.num_rows for group in groups]

    def _batches(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.RecordBatch]:
        with self._open(metadata=self._metadata, buffer_size=_BUFFER, pre_buffer=False) as file:
            yield from file.iter_batches(PIECE_ROWS, row_groups=list(parts), columns=columns)


class ArrowFile(DiskFile):
    """An Arrow or Feather file of random access, whose parts are record batches."""

    name = "an Arrow file"

    def _read_sizes(self) -> tuple[pa.Schema, list[int]]:
        with self.filesystem.open_input_file(self.path) as source:
            reader = pa.ipc.open_file(source)
            places = range(reader.num_record_batches)
            return reader.schema, [reader.get_batch(place).num_rows for place in places]

    def _batches(self, parts: Sequence[int], columns: list[str]) -> Iterator[pa.RecordBatch]:
        with self.filesystem.open_input_file(self.path) as source:
            places = [self.schema.get_field_index(name) for name in columns]
            options = pa.ipc.IpcReadOptions(included_fields=places)
            reader = pa.ipc.open_file(source, options=options)
            for part in parts:
                yield reader.get_batch(part).select(columns)
