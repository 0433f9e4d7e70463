"""The coordinates of rows on a map in a graph."""

from __future__ import annotations

import numpy as np

from latently.export._graph import Value
from latently.export.models._layers import weights
from latently.nn import MapModule
from latently.nn.map import EMBEDDING_RATE, EMBEDDING_STEPS, N_START, ROUNDING


def coordinates(module: MapModule, rows: Value) -> Value:
    """Return the coordinates of each row, shape (n_rows, n_components).

    Parameters
    ----------
    module : MapModule
        Trained module.
    rows : Value of shape (n_rows, width)
        Centred rows, zero where a cell is missing.
    """
    graph, keys = rows.graph, weights(module.keys, rows)
    reduced = rows @ weights(module.basis, rows)
    squares = reduced.square().sum(keep=True)
    distances = squares + np.square(keys).sum(1) - (reduced @ keys.T) * 2.0
    n_near = min(module.n_neighbors, len(keys))
    near = graph.apply(
        "TopK", distances.maximum(0.0), np.array([n_near]), dtype=np.int64, n_outputs=2, output=1,
        axis=1, largest=0,
    )  # fmt: skip
    landmarks = graph.constant(weights(module.latent.places, rows))
    nearest = near.columns(0, 1)
    own_key = graph.constant(keys).take(nearest.reshape(-1))
    distance = (reduced - own_key).square().sum(keep=True)
    is_new = distance > (squares + 1.0) * ROUNDING
    embedded = _embedded(landmarks.take(near), weights(module.others, rows))
    return graph.where(is_new, embedded, landmarks.take(nearest.reshape(-1)))


def _embedded(near: Value, others: np.ndarray) -> Value:
    """Return coordinates after some steps from the median of the first neighbours."""
    first = near.columns(0, N_START)
    here = _median(first, min(N_START, others.shape[0]))
    for step in range(EMBEDDING_STEPS):
        away = here.expanded(1) - near
        pull = (away * 2.0 / (away.square().sum(2, keep=True) + 1.0)).mean(1)
        kernel = _kernel(here, others)
        push = kernel.square() * 2.0 / kernel.sum(keep=True).maximum(1e-12)
        repelled = here * push.sum(keep=True) - push @ others
        rate = EMBEDDING_RATE * (1 - step / EMBEDDING_STEPS)
        here = here - (pull - repelled) * rate
    return here


def _kernel(here: Value, others: np.ndarray) -> Value:
    """Return 1 / (1 + d^2) for the distances to the others, (n_rows, n_others)."""
    squared = here.square().sum(keep=True) + np.square(others).sum(1) - (here @ others.T) * 2.0
    distances = squared.maximum(0.0) + 1.0
    return here.graph.apply("Reciprocal", distances)


def _median(values: Value, n_values: int) -> Value:
    """Return the lower median over the second axis."""
    half = np.array([(n_values + 1) // 2])
    smallest = values.graph.apply("TopK", values, half, n_outputs=2, axis=1, largest=0)
    return smallest.max(1)
