"""What a column of a table or a stack of images is, learnt once in ``fit`` and used everywhere.

Nothing here imports torch.
"""

from latently.schema._frames import (
    Frames,
    arrow_table,
    container_of,
    frame_like,
    native_frame,
    plain_frame,
    rounded,
    table_spec,
    text_names,
    typed_column,
)
from latently.schema._records import (
    ColumnType,
    Container,
    ImageAxes,
    ImageSpec,
    InputSpec,
    TableSpec,
)
from latently.schema._rows import plain_rows, unmasked
from latently.schema._types import arrow_type

__all__ = [
    "ColumnType",
    "Container",
    "Frames",
    "ImageAxes",
    "ImageSpec",
    "InputSpec",
    "TableSpec",
    "arrow_table",
    "arrow_type",
    "container_of",
    "frame_like",
    "native_frame",
    "plain_frame",
    "plain_rows",
    "rounded",
    "table_spec",
    "text_names",
    "typed_column",
    "unmasked",
]
