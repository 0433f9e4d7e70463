"""Encoding of mixed tables and images as float matrices, and decoding of model outputs.

Modules here import each other and the modules below, such as ``schema``, never torch. Code that
depends on the encoded matrix of a table or of images belongs here.
"""

from latently._layout import LikelihoodChoice
from latently.preprocessing._column_values import (
    ColumnValues,
    column_values,
    measured_and_listed,
)
from latently.preprocessing._columns import (
    BooleanCodec,
    CategoryCodec,
    ColumnCodec,
    OrdinalCodec,
    TimeCodec,
    number_matrix,
)
from latently.preprocessing._far import FAR, warn_of_far_rows
from latently.preprocessing._gaps import fill_missing, mark_missing, restore
from latently.preprocessing._images import ImagePreprocessor
from latently.preprocessing._order import canonical_order, content_matrix
from latently.preprocessing._row_reader import RowReader, UncommonCellError
from latently.preprocessing._table import Table, TablePreprocessor, counted_from, tallied
from latently.preprocessing._tallies import MAX_CATEGORIES
from latently.preprocessing._values import cell_lists, is_missing, python_values

Preprocessor = TablePreprocessor | ImagePreprocessor

__all__ = [
    "FAR",
    "MAX_CATEGORIES",
    "BooleanCodec",
    "CategoryCodec",
    "ColumnCodec",
    "ColumnValues",
    "ImagePreprocessor",
    "OrdinalCodec",
    "LikelihoodChoice",
    "Preprocessor",
    "RowReader",
    "Table",
    "TablePreprocessor",
    "TimeCodec",
    "UncommonCellError",
    "canonical_order",
    "cell_lists",
    "column_values",
    "content_matrix",
    "counted_from",
    "fill_missing",
    "is_missing",
    "mark_missing",
    "measured_and_listed",
    "number_matrix",
    "python_values",
    "restore",
    "tallied",
    "warn_of_far_rows",
]
