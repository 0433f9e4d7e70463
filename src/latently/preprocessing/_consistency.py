"""Consistency checks of the parts of a preprocessor that was read from a file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.preprocessing._columns import (
    CYCLES,
    DAY,
    SECONDS,
    BooleanCodec,
    CategoryCodec,
    OrdinalCodec,
    TimeCodec,
)
from latently.schema import ColumnType, ImageSpec, Support, TableSpec, arrow_type

#: Types of the columns that each codec encodes, by the beginnings of their names.
_KINDS: dict[type[Any], tuple[str, ...]] = {
    BooleanCodec: ("bool",),
    CategoryCodec: ("dictionary", "string", "large_string"),
    OrdinalCodec: ("dictionary",),
    TimeCodec: ("timestamp", "date", "time", "duration"),
}
_ENCODED = tuple(name for names in _KINDS.values() for name in names)
#: Scaled numbers beyond this overflow.
_LARGEST = 1e300
#: Error of means, as a share of the largest number.
_ROUNDING = 1e-6
#: Distance of the bounds in standard deviations. Numbers beyond 1e9 of them grow with the
#: logarithm, so that partial_fit moves no bound farther.
_MOST_SCALES = 1e12


def check_table(
    spec: TableSpec,
    positions: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    codecs: Iterable[Any],
) -> None:
    """Raise DataError if columns, scaling and codecs are inconsistent.

    Parameters
    ----------
    spec : TableSpec
        Record of the columns.
    positions, center, scale : ndarray of shape (n_numbers,)
        Positions, centres and scales of the numeric columns.
    codecs : iterable of ColumnCodec
        Codecs of the other columns.
    """
    codecs = list(codecs)
    _hold(all(type(codec) in _KINDS for codec in codecs), "a codec is none")
    one_axis = positions.ndim == 1 and positions.dtype.kind in "iu"
    _hold(one_axis, "the positions of the columns are no whole numbers")
    _hold(center.shape == scale.shape == positions.shape, "scales and columns differ in number")
    kinds = center.dtype.kind == scale.dtype.kind == "f"
    # The center of a column without any value is NaN, and its cells are returned as missing.
    _hold(kinds and not np.isinf(center).any(), "a center is not finite")
    _hold(bool(((scale > 1 / _LARGEST) & (scale < _LARGEST)).all()), "a scale is not above zero")
    _hold(not bool((np.abs(center) > _LARGEST).any()), "a center is out of range")
    places = sorted([*positions.tolist(), *(codec.position for codec in codecs)])
    _hold(places == list(range(len(places))), "the positions of the columns are not 0, 1, ...")
    _check_names(spec, len(places))
    for codec in codecs:
        _check_codec(codec)
        kind = spec.types[codec.position].name
        _hold(spec.names is not None and codec.name == spec.names[codec.position],
              f"column {codec.name[:30]!r} stands elsewhere")  # fmt: skip
        known = kind.startswith(_KINDS[type(codec)])
        _hold(known, f"column {codec.name[:30]!r} is {kind[:20]}")
    numeric = (not spec.types[place].name.startswith(_ENCODED) for place in positions)
    _hold(not spec.types or all(numeric), "a number has the type of another column")


def check_support(spec: TableSpec, support: Support, n_numbers: int, codecs: Iterable[Any]) -> None:
    """Raise DataError if a support does not belong to these columns.

    Parameters
    ----------
    spec : TableSpec
        Record of the columns.
    support : Support
        Values that the columns can hold.
    n_numbers : int
        Number of numeric columns.
    codecs : iterable of ColumnCodec
        Codecs of the other columns.
    """
    codecs = list(codecs)
    n_times = sum(isinstance(codec, TimeCodec) for codec in codecs)
    _hold(
        len(support.low) == n_numbers + n_times and len(support.gaps) == n_numbers + len(codecs),
        "the bounds are of other columns",
    )
    without_values = support.gaps[: len(support.low)] == 1
    _hold(bool((without_values == np.isnan(support.low)).all()),
          "a column has values and no bounds, or bounds and no values")  # fmt: skip
    can_have_gaps = spec.names is not None or np.dtype(spec.dtype).kind == "f"
    _hold(can_have_gaps or not support.gaps.any(), f"{spec.dtype} cells cannot be missing")


def check_moments(
    support: Support, center: np.ndarray, scale: np.ndarray, codecs: Iterable[Any]
) -> None:
    """Raise DataError if a mean or a deviation cannot be one of values within the bounds.

    Parameters
    ----------
    support : Support
        Values that the columns can hold.
    center, scale : ndarray of shape (n_numbers,)
        Of the numeric columns; a center of zero and a scale of one leave numbers as they are.
    codecs : iterable of ColumnCodec
        The others.
    """
    has_center = ~np.isnan(center)
    _hold(bool((has_center == ~np.isnan(support.low[: len(center)])).all()),
          "a column has values and no center, or a center and no values")  # fmt: skip
    times = [codec for codec in codecs if isinstance(codec, TimeCodec)]
    plain = (center == 0) & (scale == 1)
    ticks = np.array([codec.center / codec.seconds_per_tick for codec in times])
    # Bounds are on the clock of the zone, centers are not.
    shift = [2 * DAY / codec.seconds_per_tick for codec in times]
    slack = _ROUNDING * np.fmax(np.abs(support.low), np.abs(support.high))
    slack[len(center) :] += shift
    centers = np.append(np.where(plain, support.low[: len(center)], center), ticks)
    outside = (centers < support.low - slack) | (centers > support.high + slack)
    _hold(not outside.any(), "a center lies outside the bounds of its column")
    width = (support.high - support.low)[: len(center)]
    slack = slack[: len(center)]
    _hold(not (scale > np.fmax(width + slack, 1.0)).any(), "a scale is larger than its column")
    _hold(not (width > _MOST_SCALES * scale).any(), "a scale is too small for its column")


def check_images(spec: ImageSpec) -> None:
    """Raise DataError if the record of a stack of images is invalid.

    Parameters
    ----------
    spec : ImageSpec
        Axes, size, type and range.
    """
    _hold(all(side > 0 for side in spec.shape), "an image has a side of no pixel")
    width = spec.high - spec.low
    _hold(all(abs(end) < _LARGEST for end in (spec.low, spec.high)) and width > 1 / _LARGEST,
          "the range of the pixels is none")  # fmt: skip
    least, most = spec.support
    _hold(all(abs(end) < _LARGEST for end in (least, most)) and least <= most,
          "the values that pixels may have are none")  # fmt: skip
    _hold(0 <= spec.white < math.inf, "the value of white is none")
    _check_dtype(spec.dtype)


def _check_names(spec: TableSpec, n_columns: int) -> None:
    _check_dtype(spec.dtype)
    if spec.names is None:
        _hold(not spec.types and spec.container == "numpy", "the columns have types and no names")
        return
    n_names = len(spec.names)
    _hold(n_names == n_columns == len(spec.types), "names, types and columns differ in number")
    _hold(len(set(spec.names)) == n_names, "two columns have one name")
    _hold(spec.labels is None or len(spec.labels) == n_names, "labels and columns differ in number")
    for kind in spec.types:
        _check_type(kind)


def _check_type(kind: ColumnType) -> None:
    if kind.levels is None and kind.name in ("dictionary", "null"):
        return
    try:
        found = arrow_type(kind)
        if kind.zone is not None:
            pc.local_timestamp(pa.array([0], found))
    except (AttributeError, KeyError, TypeError, ValueError, NotImplementedError):
        _hold(False, f"a column is of the unknown type {kind.name[:30]!r}")


def is_zone(name: str) -> bool:
    """Return True for the name of a time zone."""
    try:
        pc.local_timestamp(pa.array([0], pa.timestamp("s", name)))
    except pa.ArrowInvalid:
        return False
    return True


def _check_codec(codec: Any) -> None:
    _hold(codec.width > 0, "a column has no width")
    if isinstance(codec, CategoryCodec | OrdinalCodec):
        known = codec.categories
        alike = len({type(category) for category in known}) <= 1
        _hold(alike and len(set(known)) == len(known),
              f"the categories of {codec.name[:30]!r} differ, or one is double")  # fmt: skip
    if isinstance(codec, TimeCodec):
        _hold(codec.zone is None or is_zone(codec.zone), f"the zone of {codec.name[:30]!r} is none")
        _hold(abs(codec.origin) < 2**63, f"the origin of {codec.name[:30]!r} is none")
        _hold(codec.seconds_per_tick in (*SECONDS.values(), DAY)
              and set(codec.periods) <= set(CYCLES)
              and abs(codec.center) < _LARGEST and 1 / _LARGEST < codec.scale < _LARGEST,
              f"the scale of {codec.name[:30]!r} is none")  # fmt: skip


def _check_dtype(name: str) -> None:
    try:
        usable = np.dtype(name).kind in "biuf"
    except TypeError:
        usable = False
    _hold(usable, f"the type {name[:30]!r} is none of numbers")


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise DataError(f"The model's columns do not fit together: {otherwise}.")
