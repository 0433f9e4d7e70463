"""Mixed tables or images <-> the encoded float matrix, both ways. Never torch."""

from latently._layout import LikelihoodChoice
from latently.preprocessing._far import warn_of_far_rows
from latently.preprocessing._gaps import fill_missing, mark_missing, restore
from latently.preprocessing._images import ImagePreprocessor
from latently.preprocessing._order import canonical_order
from latently.preprocessing._table import Table, TablePreprocessor, counted_from, tallied

Preprocessor = TablePreprocessor | ImagePreprocessor

__all__ = [
    "ImagePreprocessor",
    "LikelihoodChoice",
    "Preprocessor",
    "Table",
    "TablePreprocessor",
    "canonical_order",
    "counted_from",
    "fill_missing",
    "mark_missing",
    "restore",
    "tallied",
    "warn_of_far_rows",
]
