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
    typed_column,
)
from latently.schema._images import (
    FAR,
    factor_to,
    is_whole,
    pixel_range,
    unlike_channels,
    why_no_images,
)
from latently.schema._records import (
    ColumnType,
    Container,
    ImageAxes,
    ImageSpec,
    InputSpec,
    TableSpec,
)

__all__ = [
    "FAR",
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
    "factor_to",
    "frame_like",
    "is_whole",
    "native_frame",
    "pixel_range",
    "rounded",
    "table_spec",
    "typed_column",
    "unlike_channels",
    "why_no_images",
]
