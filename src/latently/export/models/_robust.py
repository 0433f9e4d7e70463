"""The statistics of a robust memory of tables in a graph."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export.models._stored import (
    NEVER,
    ElementRows,
    array_of,
    elements,
    is_left_out,
    logits,
)
from latently.nn.memory.robust import (
    RANGE,
    Codes,
    Encoder,
    GapCategories,
    Histograms,
    IsolationTrees,
    LinearResiduals,
    NeighborDistance,
    RobustMemoryModule,
    SmallMemories,
)


class _Scaled(NamedTuple):
    """Rows in both scales, (n_rows, width), and the mask of elements."""

    plain: Value
    bent: Value
    seen: Value | None


def robust_surprise(module: RobustMemoryModule, encoded: Encoded) -> Value:
    """Return the sum of the standardised statistics of each row, shape (n_rows,).

    Parameters
    ----------
    module : RobustMemoryModule
        Fitted memory.
    encoded : Encoded
        Encoded rows of a table.
    """
    level, spread = (array_of(part)[:, 0] for part in (module.level, module.spread))
    low, high = RANGE
    deviations = ((_statistics(module, encoded) - level) / spread).maximum(low).minimum(high)
    forest = deviations.columns(4, 5)
    total = deviations.columns(0, 4).sum(keep=True) + forest * forest.abs()
    surprise = (total - float(module.center_of_sum)) / float(module.scale_of_sum)
    if encoded.observed is not None:
        graph, is_some = surprise.graph, encoded.observed.any().expanded(1)
        surprise = graph.where(is_some, surprise, np.zeros((1, 1)))
    return surprise.reshape(-1)


def _statistics(module: RobustMemoryModule, encoded: Encoded) -> Value:
    """Return the five statistics of each row, shape (n_rows, 5)."""
    layout, graph = module.likelihood.layout, encoded.values.graph
    out = is_left_out(module, elements(encoded, layout))
    filled = _with_gap_categories(module.gaps, encoded)
    rows = elements(filled, layout)
    scaled = _scaled(module.scaling, rows.values, rows.seen)
    codes = _codes(module.codes, filled.values, scaled.bent)
    forest_codes = _codes(module.codes, filled.values, scaled.plain)
    members = module.gaps(module.stored.take(module.small.members.flatten()))
    own = module.scaling.plain(module.flat(members)).numpy()
    statistics = [
        _rarity(module.histograms, codes, filled.observed),
        _unexplained(module.linear, scaled),
        _log_distance(module.neighbors, scaled.bent, out),
        _log_distance_to_few(module.small, scaled.plain, own, out),
        _isolation(module.trees, forest_codes),
    ]
    return graph.concat(statistics)


def _with_gap_categories(gaps: GapCategories, encoded: Encoded) -> Encoded:
    """Return rows in which gaps of some columns are a category."""
    counted = gaps.counted.numpy()
    if encoded.observed is None or not counted.any():
        return encoded
    places, last = np.flatnonzero(counted), gaps.last.numpy()[counted]
    width = np.zeros((len(places), int(gaps.last.max()) + 1))
    width[np.arange(len(places)), last] = 1.0
    missing = (~encoded.observed).cast(np.float64).take(places, axis=1)
    return Encoded(encoded.values + missing @ width, encoded.observed | counted[None])


def _scaled(encoder: Encoder, values: Value, seen: Value | None) -> _Scaled:
    center, scale = array_of(encoder.center), array_of(encoder.scale)
    plain = (values - center[0]) / scale[0]
    if seen is not None:
        plain = values.graph.where(seen > 0.5, plain, array_of(encoder.middle)[None])
    return _Scaled(plain, (plain.arcsinh() - center[1]) / scale[1], seen)


def _codes(codes: Codes, values: Value, numbers: Value) -> Value:
    """Return a number, or the index of a category, for each column."""
    parts, start = [], 0
    for block in codes.blocks:
        stop = start + block.n_columns * block.width
        if block.width == 1:
            parts.append(numbers.columns(start, stop))
        else:
            own = values.columns(start, stop).reshape(-1, block.n_columns, block.width)
            is_choice = block.likelihood == "categorical"
            code = own.argmax(2) if is_choice else (own > 0.5).cast(np.float64).sum(2)
            parts.append(code.cast(np.float64))
        start = stop
    return values.graph.concat(parts)


def _rarity(histograms: Histograms, codes: Value, observed: Value | None) -> Value:
    """Return the sum of the negative log frequencies of the cells, (n_rows, 1)."""
    graph, (low, high) = codes.graph, array_of(histograms.ends)
    n_bins, usual = array_of(histograms.n_bins), array_of(histograms.usual)
    bins = ((codes - low) * (n_bins / (high - low))).floor().minimum(n_bins - 1)
    inside = (codes >= low) & (codes <= high)
    outside = np.full((1, 1), float(histograms.outside))
    bins = graph.where(inside, bins, outside).maximum(0.0)
    place = bins.cast(np.int64) + histograms.first.numpy()
    rarity = graph.constant(array_of(histograms.rarity).ravel()).take(place)
    if observed is not None:
        rarity = graph.where(observed, rarity, usual[None])
    return rarity.sum(keep=True)


def _unexplained(linear: LinearResiduals, rows: _Scaled) -> Value:
    """Return the weighted sum of log(1 + r^2) over the residuals, (n_rows, 1)."""
    if not len(linear.weight):
        return rows.bent.sum(keep=True) * 0.0
    residuals = rows.bent @ array_of(linear.prediction)
    found = (residuals.square() + 1.0).log() * array_of(linear.weight)
    return (found if rows.seen is None else found * rows.seen).sum(keep=True)


def _log_distance(neighbors: NeighborDistance, rows: Value, out: Value) -> Value:
    """Return the log distance to one of the nearest stored rows, (n_rows, 1)."""
    starts = np.arange(neighbors.memory.keys.shape[0])
    found = logits(neighbors.memory, ElementRows(rows, None, starts), out)
    n_neighbors = np.array([neighbors.n_neighbors])
    nearest = rows.graph.apply("TopK", found, n_neighbors, axis=1, n_outputs=2).min(keep=True)
    squared = (rows.square().sum(keep=True) - nearest * 2.0).maximum(0.0)
    return (squared.sqrt() + float(neighbors.least)).log()


def _log_distance_to_few(small: SmallMemories, rows: Value, own: np.ndarray, out: Value) -> Value:
    """Return the mean log distance to the nearest row of small memories, (n_rows, 1)."""
    graph, members = rows.graph, small.members.numpy()
    half = rows @ own.T - 0.5 * np.square(own).sum(1)
    half = graph.where(out.take(members.ravel(), axis=1), np.full((1, 1), NEVER), half)
    nearest = half.reshape(-1, *members.shape).max(2)
    squared = (rows.square().sum(keep=True) - nearest * 2.0).maximum(0.0)
    return (squared.sqrt() + float(small.least)).log().mean(keep=True)


def _isolation(trees: IsolationTrees, codes: Value) -> Value:
    """Return the score of the isolation forest, read level by level, (n_rows, 1)."""
    graph, (n_trees, n_nodes) = codes.graph, trees.feature.shape
    single = codes.cast(np.float32)
    features = graph.constant(trees.feature.numpy().astype(np.int64).ravel())
    thresholds = graph.constant(trees.threshold.numpy().ravel())
    first = np.arange(n_trees)[None]
    node = (codes.columns(0, 1) * 0.0).cast(np.int64) + np.zeros((1, n_trees), dtype=np.int64)
    for _ in range(trees.n_levels):
        place = node + first * n_nodes
        value = graph.apply("GatherElements", single, features.take(place), axis=1)
        node = node * 2 + 1 + (value > thresholds.take(place)).cast(np.int64)
    leaf = node - n_nodes + first * (n_nodes + 1)
    depth = graph.constant(array_of(trees.depth).ravel()).take(leaf).mean(keep=True)
    return (depth * (-math.log(2) / float(trees.usual_depth))).exp()
