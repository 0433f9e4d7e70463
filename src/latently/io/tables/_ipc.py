"""Serialization of tables for transfer between processes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

__all__ = ["from_ipc", "to_ipc"]


def to_ipc(table: pa.Table) -> np.ndarray:
    """Return a table as the bytes of an Arrow IPC stream.

    Parameters
    ----------
    table : pyarrow.Table
        A table of any columns.

    Returns
    -------
    ndarray of uint8, shape (n_bytes,)
        The serialized table.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return np.frombuffer(sink.getvalue(), dtype=np.uint8)


def from_ipc(raw: np.ndarray) -> pa.Table:
    """Return the table that ``to_ipc`` serialized.

    Parameters
    ----------
    raw : ndarray of uint8, shape (n_bytes,)
        The serialized table.

    Returns
    -------
    pyarrow.Table
        The table.
    """
    return pa.ipc.open_stream(pa.py_buffer(raw)).read_all()
