"""Stored rows in a graph: ranks, equal rows, and kernel memories."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtri

from latently._layout import Layout
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.nn import Memory, StoredRows
from latently.nn.memory import EQUAL, EQUAL_WITHIN, Arcsinh, Ranks, Smooth, View

#: Log weight of stored rows that a row is not compared with. It is finite, as the difference of two
#: infinite ones is not a number.
NEVER = -1e300
#: As in ``nn``: the fourth power of a weight is then no denormal number.
_LEAST_LOGIT = -21.5
_LEAST_RELATIVE = 2 * math.exp(_LEAST_LOGIT)
_LEAST_WEIGHT = 1e-30
#: Longest ladder that is compared in one step.
_SHORT = 64
#: Stands for a missing element among the rounded elements of a row.
_MISSING = -(2**55)


class ElementRows(NamedTuple):
    """Flattened rows in a graph.

    Attributes
    ----------
    values : Value of shape (n_rows, width)
        Elements, with any finite value where one is missing.
    seen : Value of float64, shape (n_rows, width), or None
        1 where an element is observed, 0 where it is missing. None if none can be missing.
    starts : ndarray of int, shape (n_columns,)
        First element of each column.
    """

    values: Value
    seen: Value | None
    starts: np.ndarray


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """Return a parameter or buffer in double precision."""
    array: np.ndarray = tensor.detach().double().numpy()
    return array


def elements(encoded: Encoded, layout: Layout) -> ElementRows:
    """Return flattened rows with the mask of each element.

    Parameters
    ----------
    encoded : Encoded
        Encoded rows.
    layout : Layout
        Their layout.
    """
    values = encoded.values.reshape(-1, layout.width).cast(np.float64)
    starts = np.array(layout.first_elements)
    if encoded.observed is None:
        return ElementRows(values, None, starts)
    return ElementRows(values, spread(encoded.observed.cast(np.float64), layout), starts)


def spread(per_column: Value, layout: Layout) -> Value:
    """Repeat a tensor of shape (n_rows, n_columns) over the elements of each column."""
    widths = [column.width for column in layout.columns]
    if set(widths) == {1}:
        return per_column
    return per_column.take(np.repeat(np.arange(len(widths)), widths), axis=1)


def by_column(per_element: Value, layout: Layout) -> Value:
    """Sum a tensor of shape (n_rows, width) over the elements of each column."""
    parts, start = [], 0
    for block in layout.blocks:
        stop = start + block.n_columns * block.width
        part, start = per_element.columns(start, stop), stop
        if block.width > 1:
            part = part.reshape(-1, block.n_columns, block.width).sum(2)
        parts.append(part)
    return per_element.graph.concat(parts)


def count_below(wanted: Value, ladders: np.ndarray) -> Value:
    """Return how many values of a sorted list are smaller than each element.

    Long lists are searched in two steps: among every so many of their values, then between two of
    these.

    Parameters
    ----------
    wanted : Value of shape (n_rows, n_columns)
        Numbers.
    ladders : ndarray of shape (n_columns, n_values)
        Ascending values of each column.

    Returns
    -------
    Value of int64, shape (n_rows, n_columns)
        Counts.
    """
    n_columns, n_values = ladders.shape
    sought = wanted.expanded(2)
    if n_values <= _SHORT:
        return _n_below(ladders[None], sought)
    size = math.isqrt(n_values - 1) + 1
    n_blocks = -(-n_values // size)
    padded = np.full((n_columns, n_blocks * size), np.inf)
    padded[:, :n_values] = ladders
    blocks = padded.reshape(n_columns, n_blocks, size)
    block = _n_below(blocks[None, :, :, -1], sought).minimum(n_blocks - 1)
    place = block + np.arange(n_columns)[None] * n_blocks
    inside = wanted.graph.constant(blocks.reshape(-1, size)).take(place)
    return block * size + _n_below(inside, sought)


def _n_below(ladder: Value | np.ndarray, sought: Value) -> Value:
    found = sought > ladder
    # Sums of floats are faster than those of integers, and exact here.
    return found.cast(np.float32).sum(2).cast(np.int64)


def viewed(view: View, layout: Layout, values: Value) -> Value:
    """Return rows as a view of a memory transforms them.

    Parameters
    ----------
    view : View
        Fitted view.
    layout : Layout
        Layout of the encoded rows.
    values : Value of shape (n_rows, width)
        Encoded rows.
    """
    if isinstance(view, Smooth):
        return _smoothed(view, values)
    if not isinstance(view, Arcsinh | Ranks):
        return values
    numbers = view.numbers.numpy()
    start, stop = int(numbers.argmax()), int(numbers.argmax() + numbers.sum())
    given = values.columns(start, stop)
    bent = given.arcsinh() if isinstance(view, Arcsinh) else _ranked(view, given, start, stop)
    own = slice(start, stop)
    bent = (bent - array_of(view.center)[own]) / array_of(view.scale)[own]
    parts = [values.columns(0, start), bent, values.columns(stop, layout.width)]
    kept = [part for part, size in zip(parts, (start, 1, layout.width - stop), strict=True) if size]
    return values.graph.concat(kept)


def _ranked(view: Ranks, values: Value, start: int, stop: int) -> Value:
    """Return normal scores of the ranks, read from a table by the doubled rank."""
    ladder, reach = view.ladder.numpy()[start:stop], view.reach.numpy()[start:stop]
    graph, (n_columns, n_values) = values.graph, ladder.shape
    below = count_below(values - EQUAL, ladder)
    rung = below.minimum(n_values - 1)
    place = rung + np.arange(n_columns)[None] * n_values
    is_equal = graph.constant(ladder.ravel()).take(place) <= values + EQUAL
    is_equal = is_equal & below.equals(rung)
    upto = graph.where(is_equal, graph.constant(reach.ravel()).take(place), below)
    half = 0.5 / view.count.numpy()[start:stop]
    doubled = np.arange(2 * n_values + 1)[None] * half
    scores = ndtri(np.minimum(np.maximum(doubled, half), 1 - half))
    place = below + upto + np.arange(n_columns)[None] * scores.shape[1]
    return graph.constant(scores.ravel()).take(place)


def _smoothed(view: Smooth, values: Value) -> Value:
    """Return blurred images of root mean square one, by a matrix for each axis."""
    n_channels, height, width = view.shape
    kernel = view.kernel.double().numpy()
    images = values.reshape(-1, height, width) @ _blur_matrix(kernel, width)
    blur = values.graph.constant(_blur_matrix(kernel, height).T)
    images = blur @ images
    flat = images.reshape(-1, n_channels * height * width)
    length = flat.square().mean(keep=True).sqrt()
    return flat / length.maximum(1e-9)


def _blur_matrix(kernel: np.ndarray, size: int) -> np.ndarray:
    """Return the matrix of a convolution with zeros beyond the ends."""
    margin = len(kernel) // 2
    places = np.arange(size)
    steps = places[:, None] - places[None] + margin
    inside = (steps >= 0) & (steps < len(kernel))
    return np.where(inside, kernel[steps.clip(0, len(kernel) - 1)], 0.0)


def is_left_out(module: StoredRows, rows: ElementRows) -> Value:
    """Return True for the stored row that each row is not compared with, (n_rows, n_stored).

    Rows are equal if all elements, rounded to thousandths, are. Of equal stored rows one is left
    out.

    Parameters
    ----------
    module : StoredRows
        Fitted memory.
    rows : ElementRows
        Encoded rows.
    """
    graph = rows.values.graph
    rounded = (rows.values / EQUAL_WITHIN).round().cast(np.int64)
    if rows.seen is not None:
        rounded = graph.where(rows.seen > 0.5, rounded, np.full((1, 1), _MISSING))
    stored = np.rint(module.rows.numpy() / EQUAL_WITHIN).astype(np.int64)
    if module.observed is not None:
        seen = module.likelihood.spread(module.observed).numpy()
        stored = np.where(seen, stored, _MISSING)
    rng = np.random.default_rng(0)
    factors = rng.integers(-(2**62), 2**62, (stored.shape[1], 1), dtype=np.int64) * 2 + 1
    keys = (stored @ factors)[:, 0]
    first = np.isin(np.arange(len(keys)), _left_out_places(module))
    keys = np.where(first, keys, rng.integers(-(2**62), 2**62, len(keys), dtype=np.int64))
    return (rounded @ factors).equals(keys[None])


def _left_out_places(module: StoredRows) -> np.ndarray:
    """Return the place of the stored row that is left out, for each distinct row."""
    known = module.fingerprints
    first = torch.ones_like(known, dtype=torch.bool)
    first[1:] = known[1:] != known[:-1]
    places: np.ndarray = module.places[first].numpy()
    return places


def scaled(memory: Memory, rows: ElementRows) -> Value:
    """Return rows in units of the bandwidth, zero where an element is missing."""
    values = rows.values / float(memory.unit)
    return values if rows.seen is None else values * rows.seen


def logits(memory: Memory, rows: ElementRows, left_out: Value | None) -> Value:
    """Return the log weight of each stored row, up to a constant of the row.

    Parameters
    ----------
    memory : Memory
        Fitted memory.
    rows : ElementRows
        Rows in units of the bandwidth, zero where an element is missing.
    left_out : Value of bool, shape (n_rows, n_stored), or None
        Stored rows that each row is not compared with, None if there are none.
    """
    keys, values = array_of(memory.keys), rows.values
    if memory.seen is None and rows.seen is None:
        found = values @ keys - array_of(memory.half_squares)
    else:
        found = _gappy_logits(memory, keys, rows)
    if left_out is None:
        return found
    return values.graph.where(left_out, np.full((1, 1), NEVER), found)


def _gappy_logits(memory: Memory, keys: np.ndarray, rows: ElementRows) -> Value:
    """Return logits over the elements that both rows have, scaled to the full width.

    Missing cells and squares are compared by column, as a category has many elements.
    """
    values, starts, width = rows.values, rows.starts, len(keys)
    graph, widths = values.graph, np.diff(starts, append=width).astype(np.float64)
    own = (values * 0.0 + 1.0) if rows.seen is None else rows.seen
    own = own.take(starts, axis=1)
    squares = values.square()
    length = squares.sum(keep=True) * 0.5
    lengths = -0.5 * np.add.reduceat(np.square(keys), starts, axis=0)
    if memory.seen is None:
        half = graph.concat([values, own]) @ np.vstack([keys, lengths]) - length
        common = (own * widths).sum(keep=True)
        return half / common.maximum(1.0) * width + length
    theirs = array_of(memory.seen)[starts]
    by_place = np.repeat(np.eye(len(starts)), widths.astype(np.int64), axis=0)
    parts = np.vstack([keys, lengths, -0.5 * theirs])
    half = graph.concat([values, own, squares @ by_place]) @ parts
    common = (own * widths) @ theirs
    found = half / common.maximum(1.0) * width
    return graph.where(common < 0.5, np.full((1, 1), NEVER), found) + length


def relative_weights(found: Value) -> tuple[Value, Value]:
    """Return the largest logit of each row, and the weights relative to it in single precision."""
    top = found.max(keep=True)
    # Differences are computed in double precision: logits of far rows are large numbers.
    shifted = (found - top).cast(np.float32).maximum(_LEAST_LOGIT)
    weights = found.graph.apply("ThresholdedRelu", shifted.exp(), alpha=_LEAST_RELATIVE)
    is_compared = top > NEVER / 2
    return top.graph.where(is_compared, top, np.zeros((1, 1))), weights


def read(memory: Memory, weights: Value) -> Value:
    """Return weighted means of the observed elements of stored rows, (n_rows, width)."""
    keys = array_of(memory.keys).T
    seen = memory.seen
    total = weights.sum(keep=True) if seen is None else weights @ array_of(seen).T
    rebuilt = (weights @ keys) / total.maximum(_LEAST_WEIGHT)
    return rebuilt.cast(np.float64) * float(memory.unit)


def rarity_and_residuals(
    memory: Memory, rows: ElementRows, left_out: Value | None
) -> tuple[Value, Value]:
    """Return the negative log density, (n_rows, 1), and squared residuals, (n_rows, width)."""
    values = scaled(memory, rows)
    top, weights = relative_weights(logits(memory, rows._replace(values=values), left_out))
    density = top + weights.sum(keep=True).log().cast(np.float64)
    rebuilt = read(memory, weights.square().square())
    squares = (rows.values - rebuilt).square()
    if rows.seen is not None:
        squares = squares * rows.seen
    return values.square().sum(keep=True) * 0.5 - density, squares
