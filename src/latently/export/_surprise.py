"""The anomaly score of stored rows in a graph."""

from __future__ import annotations

import numpy as np

from latently._layout import Layout
from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export._stored import (
    ElementRows,
    array_of,
    elements,
    is_left_out,
    logits,
    rarity_and_residuals,
    read,
    relative_weights,
    scaled,
    viewed,
)
from latently.nn import MemoryModule, StoredRows
from latently.nn.memory import OFFSET, SHARPNESS


def surprise(module: StoredRows, encoded: Encoded) -> Value:
    """Return the surprise of each row, shape (n_rows,).

    Parameters
    ----------
    module : StoredRows
        Fitted memory.
    encoded : Encoded
        Encoded rows.
    """
    if isinstance(module, MemoryModule):
        return _of_views(module, encoded)
    raise ParameterError("no")


def _of_views(module: MemoryModule, encoded: Encoded) -> Value:
    """Return the largest weighted statistic of all views."""
    layout = module.likelihood.layout
    rows = elements(encoded, layout)
    out = is_left_out(module, rows)
    rarities, logs = [], []
    for place, (view, memory) in enumerate(zip(module.views, module.memories, strict=True)):
        here = ElementRows(viewed(view, layout, rows.values), rows.seen)
        rarity, squares = rarity_and_residuals(memory, here, out)
        rarities.append(rarity)
        residual = row_mean(squares, encoded.observed, layout)
        logs.append((residual + float(module.least[place, 0])).log())
    statistics = rows.values.graph.concat([*rarities, *logs] if module.uses_rarity else logs)
    level, spread, worth = (array_of(part)[:, 0] for part in (module.level, module.spread, module.worth))
    deviations = (statistics - level) / spread
    deviations = typical_if_empty(deviations, encoded.observed)
    return ((deviations + OFFSET) * worth).max() - OFFSET


def row_mean(squares: Value, observed: Value | None, layout: Layout) -> Value:
    """Return the mean over observed columns of sums over elements, (n_rows, 1)."""
    total = squares.sum(keep=True)
    if observed is None:
        return total / layout.n_columns
    return total / observed.cast(np.float64).sum(keep=True).maximum(1.0)


def typical_if_empty(deviations: Value, observed: Value | None) -> Value:
    """Return zeros for rows without observed cells, which get the score of a typical row."""
    if observed is None:
        return deviations
    is_some = observed.cast(np.float64).max(keep=True) > 0.5
    return deviations.graph.where(is_some, deviations, np.zeros((1, 1)))


def membership(module: StoredRows, encoded: Encoded) -> Value:
    """Return the code of each row: its weights over the stored rows, (n_rows, n_stored)."""
    rows = elements(encoded, module.likelihood.layout)
    values = scaled(module.memory, rows)
    found = logits(module.memory, values, rows.seen, is_left_out(module, rows))
    weights = relative_weights(found * SHARPNESS)[1]
    return weights / weights.sum(keep=True)


def remembered(module: StoredRows, code: Value) -> Value:
    """Return the weighted means of the stored rows, (n_rows, width)."""
    return read(module.memory, code)
