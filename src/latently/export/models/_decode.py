"""Encoded rows of a graph in the user's columns, types and units."""

from __future__ import annotations

from typing import Any

import numpy as np

from latently.export._columns import texts_of
from latently.export._graph import Graph, Value
from latently.preprocessing import (
    CategoryCodec,
    OrdinalCodec,
    TablePreprocessor,
    TimeCodec,
)
from latently.schema import Support

#: Digits of a short number, from the first digit of the scale, and rounding error of scaling.
_DIGITS, _ROUNDING, _ULP = 8, 1e-12, 2.0**-50
#: Days from the first of March of the year 0 to 1970, and days and months of 400 years.
_EPOCH, _ERA_DAYS, _ERA_MONTHS = 719_468, 146_097, 4_800
#: Months from the first of March of the year 0 to 1970.
_EPOCH_MONTHS = 1969 * 12 + 10


def decode_table(preprocessor: TablePreprocessor, values: Value) -> list[Value]:
    """Return the columns of expected rows in the user's order, each of shape (n_rows, 1).

    Numbers and times are rounded to values that their column can hold, and a category is the most
    probable one.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of a fitted model.
    values : Value of shape (n_rows, width)
        Expected encoded rows.
    """
    graph, start = values.graph, len(preprocessor.positions)
    found: dict[int, Value] = {}
    if start:
        numbers = _numbers(preprocessor, values.columns(0, start))
        for place, position in enumerate(preprocessor.positions.tolist()):
            found[position] = numbers.columns(place, place + 1)
    measured = start
    for codec in preprocessor.codecs:
        own, start = values.columns(start, start + codec.width), start + codec.width
        if isinstance(codec, TimeCodec):
            found[codec.position] = _times(preprocessor.support, measured, codec, own)
            measured += 1
        else:
            found[codec.position] = _chosen(graph, codec, own)
    return [found[place] for place in sorted(found)]


def decode_array(preprocessor: TablePreprocessor, values: Value) -> Value:
    """Return expected rows in the units of an array, as float64, (n_rows, n_columns)."""
    return _numbers(preprocessor, values)


def _numbers(preprocessor: TablePreprocessor, values: Value) -> Value:
    support, scale = preprocessor.support, preprocessor.scale
    n_numbers = len(scale)
    center = preprocessor.center
    numbers = values * scale + np.where(np.isnan(center), 0.0, center)
    if support is not None:
        numbers = _snapped(support, slice(0, n_numbers), numbers)
    numbers = _tidied(numbers, scale)
    numbers = _typed(preprocessor, numbers)
    if np.isnan(center).any():
        empty = np.isnan(center)[None]
        numbers = numbers.graph.where(
            numbers.graph.constant(empty), np.full((1, 1), np.nan), numbers
        )
    return numbers


def _snapped(support: Support, own: slice, values: Value) -> Value:
    """Return outputs rounded to values that their columns can hold."""
    answer = _on_grid(support, own, _at_masses(support, own, values))
    if (support.month[0, own] > 0).any():
        answer = _on_month(support, own.start, answer)
    for cycle in (support.week, support.day):
        answer = _within_hours(cycle[:, own], answer)
    low = np.nan_to_num(support.low[own], nan=0.0)
    high = np.nan_to_num(support.high[own], nan=0.0)
    return answer.maximum(low).minimum(high)


def _at_masses(support: Support, own: slice, values: Value) -> Value:
    graph, answer = values.graph, values
    offset = own.start or 0
    width = own.stop - offset
    for column, (value, low, high) in zip(support.mass_column, support.masses.T, strict=True):
        if not offset <= column < own.stop:
            continue
        is_column = np.arange(width)[None] == column - offset
        near = (values >= low) & (values <= high) & is_column
        answer = graph.where(near, np.full((1, 1), value), answer)
    for column, value in zip(support.mass_column, support.masses[0], strict=True):
        if offset <= column < own.stop:
            is_column = np.arange(width)[None] == column - offset
            answer = graph.where(values.equals(value) & is_column, np.full((1, 1), value), answer)
    return answer


def _on_grid(support: Support, own: slice, values: Value) -> Value:
    step, factor, anchor = (part[own] for part in (support.step, support.factor, support.anchor))
    if not (step > 0).any():
        return values
    safe = np.where(step > 0, step, 1.0)
    steps = ((values * factor - anchor) / safe).round()
    near = (steps * safe + anchor) / factor
    return values.graph.where(values.graph.constant((step > 0)[None]), near, values)


def _within_hours(cycle: np.ndarray, values: Value) -> Value:
    """Move times outside the hours of a cycle to the nearer end of the hours."""
    length, first, last, offset = cycle
    if not (length > 0).any():
        return values
    graph, safe = values.graph, np.where(length > 0, length, 1.0)
    shifted = values + (offset - first)
    turn = (shifted / safe).floor()
    since = shifted - turn * safe
    open_for = last - first
    is_first = since < (open_for + length) / 2
    nearer = graph.where(is_first, open_for[None], length[None])
    since = graph.where(since > open_for, nearer, since)
    moved = turn * safe + since + (first - offset)
    return graph.where(graph.constant((length > 0)[None]), moved, values)


def _on_month(support: Support, column: int, values: Value) -> Value:
    """Round times of one column to first or last days of months of its grid."""
    step, anchor, shift, origin = support.month[:, column].astype(np.int64).tolist()
    length, offset = (float(part) for part in support.day[[0, 3], column])
    within = values.maximum(support.low[column]).minimum(support.high[column])
    days = ((within + offset) / length).round().cast(np.int64) + (origin + shift)
    months = _floor_divided(_month(days) - anchor, step) * step + anchor
    before, after = _first_day(months), _first_day(months + step)
    moved = values.graph.where((after - days) < (days - before), after, before)
    since: Value = (moved - (origin + shift)).cast(np.float64) * length - offset
    return since


def _month(days: Value) -> Value:
    """Return months since 1970 of days since 1970, in years that begin in March."""
    since = days + _EPOCH
    era = _floor_divided(since, _ERA_DAYS)
    day = since - era * _ERA_DAYS
    leap = day - day / 1_460 + day / 36_524 - day / 146_096
    year = leap / 365
    of_year = day - (year * 365 + year / 4 - year / 100)
    month = (of_year * 5 + 2) / 153
    return era * _ERA_MONTHS + year * 12 + month - _EPOCH_MONTHS


def _first_day(months: Value) -> Value:
    """Return the days since 1970 of the first days of months since 1970."""
    since = months + _EPOCH_MONTHS
    era = _floor_divided(since, _ERA_MONTHS)
    month = since - era * _ERA_MONTHS
    year = month / 12
    in_year = month - year * 12
    of_year = (in_year * 153 + 2) / 5
    day = year * 365 + year / 4 - year / 100 + of_year
    return era * _ERA_DAYS + day - _EPOCH


def _floor_divided(whole: Value, by: int) -> Value:
    """Return quotients of integers, rounded down. ``Div`` rounds towards zero."""
    return (whole - whole % by) / by


def _tidied(numbers: Value, scale: np.ndarray) -> Value:
    """Return numbers without the rounding error of scaling, where they are short."""
    factor = 10.0 ** (_DIGITS - np.floor(np.log10(scale)))
    short = (numbers * factor).round() / factor
    slack = numbers.abs() * _ULP + _ROUNDING * scale
    return numbers.graph.where((short - numbers).abs() <= slack, short, numbers)


def _typed(preprocessor: TablePreprocessor, numbers: Value) -> Value:
    """Round numbers to the type of each column."""
    spec = preprocessor.spec
    names = (
        [spec.types[place].name for place in preprocessor.positions]
        if spec.types
        else [spec.dtype] * len(preprocessor.positions)
    )
    is_whole = np.array(["int" in name for name in names])
    is_single = np.array([name in ("float", "float32") for name in names])
    is_truth = np.array([name == "bool" for name in names])
    graph, answer = numbers.graph, numbers
    kinds = (
        (is_whole, numbers.round()),
        (is_single, numbers.cast(np.float32).cast(np.float64)),
        (is_truth, (numbers > 0.5).cast(np.float64)),
    )
    for chosen, rounded in kinds:
        if chosen.any():
            answer = graph.where(graph.constant(chosen[None]), rounded, answer)
    return answer


def _times(support: Support | None, place: int, codec: TimeCodec, own: Value) -> Value:
    """Return times in ticks since 1970 or midnight."""
    seconds = own.columns(0, 1) * codec.scale + codec.center
    ticks = seconds / codec.seconds_per_tick
    # The support of instants with a zone is in local time, which a graph cannot compute.
    if support is not None and codec.zone is None:
        ticks = _snapped(support, slice(place, place + 1), ticks)
    return ticks.round().cast(np.int64) + codec.origin


def _chosen(graph: Graph, codec: Any, own: Value) -> Value:
    """Return the most probable category as text, or a boolean as 0 and 1."""
    if not isinstance(codec, CategoryCodec | OrdinalCodec):
        return (own > 0.5).cast(np.float64)
    texts = np.array(texts_of(codec) or [""], dtype=object)
    if isinstance(codec, CategoryCodec):
        place = own.columns(0, max(len(texts), 1)).argmax()
    else:
        above = (own > 0.5).cast(np.float64).sum()
        place = above.minimum(float(len(texts) - 1)).cast(np.int64)
    return graph.constant(texts).take(place).reshape(-1, 1)
