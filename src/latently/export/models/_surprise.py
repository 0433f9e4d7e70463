"""The anomaly score of stored rows in a graph."""

from __future__ import annotations

import numpy as np

from latently._layout import Layout
from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export.models._robust import robust_surprise
from latently.export.models._single import single_surprise
from latently.export.models._stored import (
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
from latently.nn import MemoryModule, SingleColumnModule, StoredRows
from latently.nn.memory import OFFSET, SHARPNESS
from latently.nn.memory.robust import RobustMemoryModule


def check_memory(module: StoredRows) -> None:
    """Raise ParameterError if the surprise of a memory has no operators."""
    if not isinstance(module, MemoryModule | RobustMemoryModule | SingleColumnModule):
        raise ParameterError(
            "model must be a detector of a table to be exported if robust=True, got one of images. "
            "Use robust=False."
        )


def surprise(module: StoredRows, encoded: Encoded) -> Value:
    """Return the surprise of each row, shape (n_rows,).

    Parameters
    ----------
    module : StoredRows
        Fitted memory.
    encoded : Encoded
        Encoded rows.
    """
    if isinstance(module, RobustMemoryModule):
        return robust_surprise(module, encoded)
    if isinstance(module, SingleColumnModule):
        return single_surprise(module, encoded)
    assert isinstance(module, MemoryModule)
    return _of_views(module, encoded)


def _of_views(module: MemoryModule, encoded: Encoded) -> Value:
    """Return the largest weighted statistic of all views.

    Most rows have no missing cell and equal no stored row. The graph then takes a shorter way.
    """
    layout, graph = module.likelihood.layout, encoded.values.graph
    rows = elements(encoded, layout)
    out = is_left_out(module, rows)
    is_special = out.any().any(0)
    if encoded.observed is not None:
        is_special = is_special | ~encoded.observed.all().all(0)

    def general() -> Value:
        statistics = _statistics(module, rows, encoded.observed, out)
        return typical_if_empty(_standardised(module, statistics), encoded.observed)

    def plain() -> Value:
        return _standardised(module, _statistics(module, rows._replace(seen=None), None, None))

    deviations = graph.choose(is_special, general, plain)
    worth = array_of(module.worth)[:, 0]
    return ((deviations + OFFSET) * worth).max() - OFFSET


def _standardised(module: MemoryModule, statistics: Value) -> Value:
    level, spread = (array_of(part)[:, 0] for part in (module.level, module.spread))
    return (statistics - level) / spread


def _statistics(
    module: MemoryModule, rows: ElementRows, observed: Value | None, out: Value | None
) -> Value:
    """Return the negative log densities and the log residuals in all views."""
    layout = module.likelihood.layout
    rarities, logs = [], []
    for place, (view, memory) in enumerate(zip(module.views, module.memories, strict=True)):
        here = rows._replace(values=viewed(view, layout, rows.values))
        rarity, squares = rarity_and_residuals(memory, here, out)
        rarities.append(rarity)
        residual = row_mean(squares, observed, layout)
        logs.append((residual + float(module.least[place, 0])).log())
    return rows.values.graph.concat([*rarities, *logs] if module.uses_rarity else logs)


def row_mean(squares: Value, observed: Value | None, layout: Layout) -> Value:
    """Return the mean over observed columns of sums over elements, (n_rows, 1)."""
    total = squares.sum(keep=True)
    if observed is None:
        return total / layout.n_columns
    return total / observed.cast(total.dtype).sum(keep=True).maximum(1.0)


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
    out = is_left_out(module, rows)
    found = logits(module.memory, rows._replace(values=values), out)
    weights = relative_weights(found * SHARPNESS)[1]
    return (weights / weights.sum(keep=True)).cast(np.float64)


def remembered(module: StoredRows, code: Value) -> Value:
    """Return the weighted means of the stored rows, (n_rows, width)."""
    return read(module.memory, code)
