"""Tables piece by piece: read, sampled and written without ever being held whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pa_parquet

from latently.exceptions import DataError
from latently.io._atomic import atomic_path
from latently.io._bytes import check_regular
from latently.io._files import read, write
from latently.io._formats import find_format
from latently.io._say import refuse
from latently.io._tables import DAMAGE, check_columns

__all__ = ["TablePieces", "write_pieces"]

#: Rows of a piece.
PIECE_ROWS = 1 << 15


class TablePieces:
    """A table that is read again each time it is iterated over, in pieces of bounded size.

    Parquet files are streamed from disk; any other format is read whole, and cut.

    Parameters
    ----------
    source : str or Path
        A file, or ``"-"`` for standard input.
    format : str, optional
        As in ``read``.

    Raises
    ------
    DataError
        If the file cannot be used, or holds no table.
    """

    def __init__(self, source: str | Path, format: str | None = None) -> None:
        self.source = source
        streamed = str(source) != "-" and find_format(source, format).name == "parquet"
        self._whole: pa.Table | None = None if streamed else self._read_whole(format)
        if self._whole is None:
            file = self._open()
            self.schema, self.n_rows = file.schema_arrow, file.metadata.num_rows
            check_columns(source, self.schema)
        else:
            self.schema, self.n_rows = self._whole.schema, self._whole.num_rows
        if self.n_rows == 0:
            raise refuse(source, "the table has no rows", "Give a file with data")

    def _read_whole(self, format: str | None) -> pa.Table:
        data = read(self.source, format)
        if not isinstance(data, pa.Table):
            raise refuse(self.source, "this is not a table with named columns", "Give a table")
        return data

    def _open(self) -> pa_parquet.ParquetFile:
        check_regular(self.source)
        try:
            return pa_parquet.ParquetFile(str(self.source), page_checksum_verification=True)
        except DAMAGE:
            raise self._damaged() from None

    def _damaged(self) -> DataError:
        return refuse(self.source, "it is not Parquet, or is damaged or cut short", "Copy it again")

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows in order, at most ``PIECE_ROWS`` at once."""
        if self._whole is not None:
            for start in range(0, self.n_rows, PIECE_ROWS):
                yield self._whole.slice(start, PIECE_ROWS)
            return
        try:
            for batch in self._open().iter_batches(PIECE_ROWS):
                piece = pa.Table.from_batches([batch])
                piece.validate(full=True)
                yield piece
        except DAMAGE:
            raise self._damaged() from None

    def sample(self, n_rows: int, seed: int) -> pa.Table:
        """Return rows drawn at random in their order, or all where there are no more.

        Parameters
        ----------
        n_rows : int
            Rows to draw.
        seed : int
            The same seed draws the same rows.

        Returns
        -------
        pyarrow.Table
            In memory.
        """
        if self.n_rows <= n_rows:
            return pa.concat_tables(list(self))
        chosen = np.random.default_rng(seed).choice(self.n_rows, n_rows, replace=False)
        chosen.sort()
        parts, start = [], 0
        for piece in self:
            stop = start + piece.num_rows
            here = chosen[np.searchsorted(chosen, start) : np.searchsorted(chosen, stop)]
            parts.append(piece.take(pa.array(here - start)))
            start = stop
        return pa.concat_tables(parts)


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
