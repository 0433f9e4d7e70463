"""The surprise of a single column of numbers in a graph."""

from __future__ import annotations

import numpy as np

from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export.models._stored import (
    array_of,
    count_below,
    elements,
    is_left_out,
    rarity_and_residuals,
    viewed,
)
from latently.nn import SingleColumnModule
from latently.nn.memory import EQUAL


def single_surprise(module: SingleColumnModule, encoded: Encoded) -> Value:
    """Return the surprise of each value in standard deviations, shape (n_rows,).

    Parameters
    ----------
    module : SingleColumnModule
        Fitted memory of one column.
    encoded : Encoded
        Encoded rows.
    """
    layout = module.likelihood.layout
    rows = elements(encoded, layout)
    out = is_left_out(module, rows)
    mapped = viewed(module.view, layout, rows.values)
    rarity = rarity_and_residuals(module.density, rows._replace(values=mapped), out)[0]
    for side, end, start in zip((-1, 1), module.ends, module.rarity_of_ends, strict=True):
        rarity = _with_tail(module, mapped, out, rarity, (side, float(end), float(start)))
    surprise = (rarity - float(module.level)) / float(module.spread)
    if encoded.observed is not None:
        surprise = surprise.graph.where(encoded.observed, surprise, np.zeros((1, 1)))
    return surprise.reshape(-1)


def _with_tail(
    module: SingleColumnModule,
    values: Value,
    left_out: Value,
    rarity: Value,
    tail: tuple[int, float, float],
) -> Value:
    """Return the rarity with that of values beyond an end, which never decreases outwards."""
    side, end, start = tail
    ladder = module.ladder[module.ladder.isfinite()].numpy()
    beyond = values * float(side)
    n_beyond = -count_below(beyond - EQUAL, np.sort(side * ladder)[None]) + len(ladder)
    stored = side * array_of(module.view(module.rows))[:, 0]
    is_own = left_out & (beyond - EQUAL <= stored[None])
    n_beyond = n_beyond - is_own.any().expanded(1).cast(np.int64)
    n_tail = module.n_tail
    share = (n_beyond.maximum(0).minimum(n_tail) + 1).cast(np.float64)
    distance = beyond - side * end
    found = -share.log() + (np.log(n_tail + 1) + start) + distance
    return rarity.graph.where(distance > EQUAL, found, rarity)
