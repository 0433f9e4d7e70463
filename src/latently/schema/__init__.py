"""Types, units and possible values of columns and images, as found in ``fit``.

Modules here import each other and the modules below ``schema``, never torch. Code that describes a
column or converts values to its type belongs here.
"""

from latently.schema._conform import (
    as_float,
    as_numbers,
    conform,
    in_zone,
    is_empty,
    is_number,
    is_text,
    like_categories,
    plain,
)
from latently.schema._durations import parse_durations, write_durations
from latently.schema._evidence import Evidence, evidence_of, support_of
from latently.schema._frames import (
    Frames,
    arrow_table,
    container_of,
    frame_like,
    native_frame,
    plain_frame,
    rounded,
    table_spec,
    table_spec_of,
    text_names,
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
from latently.schema._notation import DateOrder, Notation, notations_of, with_notation
from latently.schema._records import (
    ColumnType,
    Container,
    ImageAxes,
    ImageSpec,
    InputSpec,
    TableSpec,
)
from latently.schema._rows import plain_rows, unmasked
from latently.schema._support import Rounding, Support
from latently.schema._times import NANOSECONDS, Ticks, ticks_of
from latently.schema._types import arrow_type

__all__ = [
    "FAR",
    "NANOSECONDS",
    "Evidence",
    "Rounding",
    "Support",
    "Ticks",
    "as_numbers",
    "as_float",
    "conform",
    "evidence_of",
    "in_zone",
    "is_empty",
    "is_number",
    "is_text",
    "like_categories",
    "parse_durations",
    "plain",
    "support_of",
    "ticks_of",
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
    "factor_to",
    "frame_like",
    "is_whole",
    "native_frame",
    "notations_of",
    "pixel_range",
    "plain_frame",
    "plain_rows",
    "rounded",
    "table_spec",
    "table_spec_of",
    "text_names",
    "typed_column",
    "unlike_channels",
    "unmasked",
    "why_no_images",
    "with_notation",
    "write_durations",
]
