"""Tables that are written piece by piece."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pa_parquet

from latently.io._atomic import atomic_path
from latently.io._files import write
from latently.io._formats import find_format

__all__ = ["write_pieces"]


def write_pieces(
    pieces: Iterable[pa.Table],
    target: str | Path,
    format: str | None = None,
    *,
    overwrite: bool = False,
) -> int:
    """Write tables of the same columns one after the other, whole or not at all.

    A Parquet file is written piece by piece; for any other format the pieces are put together.

    Parameters
    ----------
    pieces : iterable of pyarrow.Table
        At least one.
    target : str or Path
        The file to write, or ``"-"``.
    format : str, optional
        As in ``write``.
    overwrite : bool, default=False
        Replace a file that exists.

    Returns
    -------
    int
        Rows written.
    """
    if str(target) == "-" or find_format(target, format).name != "parquet":
        table = pa.concat_tables(list(pieces), promote_options="permissive")
        write(table, target, format, overwrite=overwrite)
        return int(table.num_rows)
    n_rows = 0
    with atomic_path(target, overwrite) as temporary:
        writer: Any = None
        try:
            for piece in pieces:
                if writer is None:
                    writer = pa_parquet.ParquetWriter(
                        str(temporary), piece.schema, write_page_checksum=True
                    )
                writer.write_table(piece.cast(writer.schema))
                n_rows += piece.num_rows
        finally:
            if writer is not None:
                writer.close()
    return n_rows
