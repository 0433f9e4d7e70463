"""Convert an Arrow table to a frame of pandas or polars."""

from typing import Any

import pyarrow as pa

from latently.datasets._rows import CATEGORIES, ORDERED
from latently.exceptions import MissingExtraError

__all__ = ["to_frame"]


def to_frame(table: pa.Table, kind: str) -> Any:
    """Convert a table, and keep integers, booleans and the order of categories.

    Parameters
    ----------
    table : pyarrow.Table
        The table.
    kind : {"pyarrow", "pandas", "polars"}
        Library of the result.

    Returns
    -------
    pyarrow.Table or DataFrame
        The same cells.

    Raises
    ------
    MissingExtraError
        If the package is not installed.
    """
    if kind == "pyarrow":
        return table
    try:
        return _to_pandas(table) if kind == "pandas" else _to_polars(table)
    except ImportError:
        raise MissingExtraError(
            f'as_frame="{kind}" needs {kind}, which is not installed. '
            f'Install it with: pip install "latently[{kind}]"'
        ) from None


def _to_pandas(table: pa.Table) -> Any:
    import pandas as pd

    # Without nullable types, a gap turns integers into floats and booleans into objects.
    kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    return table.to_pandas(types_mapper=kinds.get)


def _to_polars(table: pa.Table) -> Any:
    import polars as pl

    for name in ORDERED:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.string()))
    frame = pl.DataFrame(table)
    return frame.with_columns(pl.col(name).cast(pl.Enum(CATEGORIES[name])) for name in ORDERED)
