"""What a column of a table or a stack of images is, learnt once in ``fit`` and used everywhere.

Nothing here imports torch.
"""

from latently.schema._frames import (
    Frames,
    arrow_table,
    arrow_type,
    container_of,
    frame_like,
    native_frame,
    rounded,
    table_spec,
    table_spec_of,
    typed_column,
)
from latently.schema._notation import DateOrder, Notation, notations_of, with_notation
from latently.schema._records import (
    ColumnType,
    Container,
    ImageAxes,
    ImageSpec,
    InputSpec,
    TableSpec,
)

__all__ = [
    "ColumnType",
    "Container",
    "DateOrder",
    "Frames",
    "ImageAxes",
    "ImageSpec",
    "InputSpec",
    "Notation",
    "TableSpec",
    "arrow_table",
    "arrow_type",
    "container_of",
    "frame_like",
    "native_frame",
    "notations_of",
    "rounded",
    "table_spec",
    "table_spec_of",
    "typed_column",
    "with_notation",
]
