"""Read and write Parquet, Arrow and Feather files."""

from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.feather as pa_feather
import pyarrow.parquet as pa_parquet

from latently.exceptions import DataError
from latently.io._bytes import DEFAULT_MAX_BYTES, arrow_reader, load_bytes, too_large
from latently.io._formats import looks_like
from latently.io._messages import listing, refuse

__all__ = [
    "DAMAGE",
    "cell_bytes",
    "check_columns",
    "check_table",
    "fill_arrow",
    "fill_parquet",
    "read_arrow",
    "read_parquet",
]

# Errors that Arrow raises for damaged files.
DAMAGE = (pa.ArrowException, OSError, ValueError, TypeError, KeyError, EOFError, MemoryError)


def read_parquet(source: str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> pa.Table:
    """Read a Parquet file and verify its page checksums.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    max_bytes : int, default=1 GiB
        Largest size of the file, and of rows x columns x bytes per cell. The sizes that the file
        declares are not trusted.

    Returns
    -------
    pyarrow.Table
        The table.

    Raises
    ------
    DataError
        If the file is damaged, too large, or has nested or repeated columns.
    """
    raw = load_bytes(source, max_bytes)
    try:
        file = pa_parquet.ParquetFile(arrow_reader(raw), page_checksum_verification=True)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    except DAMAGE:
        raise _damaged(source, raw, "Parquet") from None
    check_columns(source, schema)
    _check_size(source, schema, rows, max_bytes)
    try:
        table = file.read()
        table.validate(full=True)
    except DAMAGE:
        raise _damaged(source, raw, "Parquet") from None
    return check_table(source, table)


def read_arrow(source: str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> pa.Table:
    """Read an Arrow (IPC file or stream) or Feather file.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    max_bytes : int, default=1 GiB
        Largest size of the file and of its unpacked columns.

    Returns
    -------
    pyarrow.Table
        The table.

    Raises
    ------
    DataError
        If the file is damaged, too large, or has nested or repeated columns.
    """
    raw = load_bytes(source, max_bytes)
    try:
        table = _unpack_arrow(source, raw, max_bytes)
        table.validate(full=True)
    except DataError:
        raise
    except DAMAGE:
        raise _damaged(source, raw, "Arrow") from None
    return check_table(source, table)


def check_table(source: str | Path, table: pa.Table) -> pa.Table:
    """Raise DataError for a table without rows, with nested columns or with repeated names.

    Parameters
    ----------
    source : str or Path
        The file, for messages.
    table : pyarrow.Table
        The table.

    Returns
    -------
    pyarrow.Table
        The same table.

    Raises
    ------
    DataError
        If the table cannot be used.
    """
    check_columns(source, table.schema)
    if table.num_rows == 0:
        raise refuse(source, "the table has no rows", "Give a file with data")
    return table


def fill_parquet(table: pa.Table, sink: BinaryIO) -> None:
    """Write a Parquet file with page checksums."""
    pa_parquet.write_table(table, sink, write_page_checksum=True)


def fill_arrow(table: pa.Table, sink: BinaryIO) -> None:
    """Write an Arrow IPC file, which is also a Feather file."""
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def _unpack_arrow(source: str | Path, raw: bytes, max_bytes: int) -> pa.Table:
    if raw.startswith(b"FEA1"):
        return pa_feather.read_table(arrow_reader(raw))
    if raw.startswith(b"ARROW1"):
        reader = pa.ipc.open_file(raw)
        batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
    else:
        reader = pa.ipc.open_stream(raw)
        batches = iter(reader)
    return pa.Table.from_batches(_capped(source, batches, max_bytes), reader.schema)


def _capped(source: str | Path, batches: Any, max_bytes: int) -> list[Any]:
    kept, size = [], 0
    for batch in batches:
        kept.append(batch)
        size += batch.nbytes
        if size > max_bytes:
            raise too_large(source, size, max_bytes)
    return kept


def check_columns(source: str | Path, schema: Any) -> None:
    """Raise DataError for a table without columns, with repeated names or with nested columns."""
    if not schema.names:
        raise refuse(source, "the table has no columns", "Give a file with data")
    repeated = [name for name, count in Counter(schema.names).items() if count > 1]
    if repeated:
        wrong = f"these column names occur twice or more: {listing(repeated)}"
        raise refuse(source, wrong, "Give each column its own name")
    nested = [field.name for field in schema if _is_unusable(field.type)]
    if nested:
        wrong = f"these columns hold lists, records or bytes, not single values: {listing(nested)}"
        raise refuse(source, wrong, "Drop or flatten them")


def _is_unusable(kind: Any) -> bool:
    tests = (
        pa.types.is_nested,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _check_size(source: str | Path, schema: Any, rows: int, max_bytes: int) -> None:
    size = rows * sum(cell_bytes(field.type) for field in schema)
    if size > max_bytes:
        raise too_large(source, size, max_bytes)


def cell_bytes(kind: Any) -> int:
    """Return the bytes of a cell of an Arrow type, and 8 for types of variable size."""
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 8


def _damaged(source: str | Path, raw: bytes, name: str) -> DataError:
    kind = looks_like(raw[:64])
    if kind is not None and name not in kind:
        return refuse(source, f"this looks like {kind}, not {name}", "Name the right format")
    return refuse(source, f"it is not {name}, or is damaged or cut short", "Copy it again")
