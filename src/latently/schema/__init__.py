"""What a column of a table or a stack of images is, learnt once in ``fit`` and used everywhere.

Nothing here imports torch.
"""

from latently.schema._conform import (
    as_numbers,
    conform,
    in_zone,
    is_empty,
    is_number,
    is_text,
    like_categories,
    plain,
)
from latently.schema._evidence import Evidence, evidence_of, support_of
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
from latently.schema._records import (
    ColumnType,
    Container,
    ImageAxes,
    ImageSpec,
    InputSpec,
    TableSpec,
)
from latently.schema._support import Rounding, Support
from latently.schema._times import NANOSECONDS, Ticks, ticks_of

__all__ = [
    "NANOSECONDS",
    "Evidence",
    "Rounding",
    "Support",
    "Ticks",
    "as_numbers",
    "conform",
    "evidence_of",
    "in_zone",
    "is_empty",
    "is_number",
    "is_text",
    "like_categories",
    "plain",
    "support_of",
    "ticks_of",
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
    "rounded",
    "table_spec",
    "typed_column",
]
