"""Nearest neighbours, and the optimisation of map coordinates that preserve them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Number of distances that are computed at once, and of those that are computed repeatedly and
#: should stay in the processor's cache.
_BLOCK, _SMALL_BLOCK = 1 << 24, 1 << 18
#: Number of passes over the rows, and smallest number of steps, of the optimisation of a map.
_EPOCHS, _MIN_STEPS = 100, 500
#: Number of anchors in each step, and of random rows that repel them.
_BATCH = 1_000
#: Learning rate in units of the kernel, and the fraction of the steps in which it increases.
_RATE, _WARMUP = 0.5, 0.05
#: Factor of the attraction at the start, and the fraction of the steps in which it applies (early
#: exaggeration of t-SNE).
_EXAGGERATION, _EXAGGERATED = 4.0, 0.25
#: Number of steps of the embedding of a new row, and the learning rate of the first one.
EMBEDDING_STEPS, EMBEDDING_RATE = 15, 4.0
#: Number of nearest neighbours whose median is the initial position of a new row.
N_START = 5


def nearest(queries: Tensor, keys: Tensor, n: int) -> Tensor:
    """Return the indices of the ``n`` nearest keys of each query, in blocks of bounded memory.

    Parameters
    ----------
    queries : Tensor of shape (n_queries, n_axes)
        Rows whose neighbours are searched.
    keys : Tensor of shape (n_keys, n_axes)
        Candidate rows, at least ``n``.
    n : int
        Number of neighbours.

    Returns
    -------
    Tensor of int64, shape (n_queries, n)
        Indices of the keys by increasing distance.
    """
    blocks = torch.split(queries, max(1, _BLOCK // len(keys)))
    return torch.cat([_squared(b, keys).topk(n, dim=1, largest=False).indices for b in blocks])


def _squared(left: Tensor, right: Tensor) -> Tensor:
    """Return squared distances, (n_left, n_right), by one matrix product."""
    sizes = left.square().sum(1)[:, None] + right.square().sum(1)
    return torch.addmm(sizes, left, right.T, alpha=-2).clamp_(min=0)


def fit_map(keys: Tensor, n_components: int, n_neighbors: int) -> Tensor:
    r"""Compute map coordinates that preserve the neighbours of each row.

    With the kernel :math:`q_{ij} = 1/(1+\|z_i-z_j\|^2)` and the neighbours :math:`N_i` of row
    :math:`i`, the loss is [1]_, [2]_

    .. math:: \sum_i \Big(-\frac1{|N_i|}\sum_{j\in N_i}\log q_{ij} + \log\sum_{k\in S} q_{ik}\Big)

    with a new random sample :math:`S` of rows in every step, so that a pass takes linear time. The
    optimisation starts from the first principal components and uses torch's global random state.

    Parameters
    ----------
    keys : Tensor of shape (n_rows, n_axes)
        Rows in coordinates of their principal components.
    n_components : int
        Number of map coordinates.
    n_neighbors : int
        Number of neighbours of a row, reduced to ``n_rows - 1`` if there are fewer rows. Larger
        values preserve more global structure.

    Returns
    -------
    Tensor of shape (n_rows, n_components)
        Coordinates with mean zero, in units of the kernel.

    References
    ----------
    .. [1] van der Maaten and Hinton (2008), Visualizing Data using t-SNE.
    .. [2] Damrich, Böhm, Hamprecht and Kobak (2023), From t-SNE to UMAP with Contrastive Learning.
    """
    n_rows = len(keys)
    neighbors = _other_neighbors(keys, min(n_neighbors, n_rows - 1))
    places = _initial_places(keys, n_components)
    per_epoch = math.ceil(n_rows / _BATCH)
    n_steps = max(_EPOCHS * per_epoch, _MIN_STEPS)
    optimizer = torch.optim.Adam([places], lr=_RATE, betas=(0.9, 0.99))
    for step in range(n_steps):
        if step % per_epoch == 0:
            batches = torch.randperm(n_rows).chunk(per_epoch)
        share = (step + 1) / n_steps
        pull = _EXAGGERATION if share < _EXAGGERATED else 1.0
        anchors = batches[step % per_epoch]
        optimizer.param_groups[0]["lr"] = _RATE * min(share / _WARMUP, 1.0) * (1 - step / n_steps)
        places.grad = _gradient(places, anchors, neighbors[anchors], pull)
        optimizer.step()
    return places - places.mean(0)


def _other_neighbors(keys: Tensor, n: int) -> Tensor:
    """Return the nearest other rows of each row; an equal row counts, the row itself does not."""
    near = nearest(keys, keys, n + 1)
    own = near == torch.arange(len(keys))[:, None]
    own[~own.any(1), -1] = True  # a row with many copies may not be among its own neighbours
    return near[~own].view(len(keys), n)


def _initial_places(keys: Tensor, n_components: int) -> Tensor:
    """Return the first components, scaled so that the first has standard deviation one."""
    places = torch.zeros(len(keys), n_components, dtype=keys.dtype)
    first = keys[:, :n_components]
    places[:, : first.shape[1]] = first / first[:, :1].std(correction=0).clamp(min=1e-12)
    return places + 1e-4 * torch.randn_like(places)  # separates equal rows


def _gradient(places: Tensor, anchors: Tensor, neighbors: Tensor, pull: float) -> Tensor:
    """Return the gradient of the loss of the anchors by all coordinates, (n_rows, n_components)."""
    here = places[anchors]
    away = here[:, None] - places[neighbors]
    pulls = (2 * pull / neighbors.shape[1]) * away / (1 + away.square().sum(2, keepdim=True))
    sample = torch.randint(len(places), (_BATCH,))
    push = _push(here, places[sample], anchors[:, None] == sample)
    gradient = torch.zeros_like(places)
    gradient.index_add_(
        0, anchors, pulls.sum(1) - _weighted_differences(here, places[sample], push)
    )
    gradient.index_add_(0, neighbors.flatten(), -pulls.flatten(0, 1))
    gradient.index_add_(0, sample, -_weighted_differences(places[sample], here, push.T))
    return gradient


def _push(here: Tensor, others: Tensor, same: Tensor | None = None) -> Tensor:
    """Return the repulsion between each pair of points, 2 q^2 / sum(q), (n_here, n_others)."""
    kernel = _squared(here, others).add_(1).reciprocal_()
    if same is not None:
        kernel.masked_fill_(same, 0.0)
    total = kernel.sum(1, keepdim=True).clamp(min=1e-12)
    return kernel.square_().mul_(2 / total)


def _weighted_differences(here: Tensor, others: Tensor, push: Tensor) -> Tensor:
    """Return the sum of the differences to the others, weighted by the repulsion."""
    return here * push.sum(1, keepdim=True) - push @ others


def embed_rows(near: Tensor, others: Tensor) -> Tensor:
    """Compute the coordinates of new rows on a fixed map.

    Each row starts at the median of its five nearest neighbours and minimises the loss of
    ``fit_map`` over its own coordinates.

    Parameters
    ----------
    near : Tensor of shape (n_rows, n_neighbors, n_components)
        Coordinates of the neighbours of each row, by increasing distance.
    others : Tensor of shape (n_others, n_components)
        Coordinates of the points that repel the rows.

    Returns
    -------
    Tensor of shape (n_rows, n_components)
        Coordinates in units of the kernel.
    """
    blocks = torch.split(near, max(1, _SMALL_BLOCK // len(others)))
    return torch.cat([_embedded_block(block, others) for block in blocks])


def _embedded_block(near: Tensor, others: Tensor) -> Tensor:
    here = near[:, :N_START].median(1).values
    for step in range(EMBEDDING_STEPS):
        away = here[:, None] - near
        pull = (2 * away / (1 + away.square().sum(2, keepdim=True))).mean(1)
        gradient = pull - _weighted_differences(here, others, _push(here, others))
        here = here - EMBEDDING_RATE * (1 - step / EMBEDDING_STEPS) * gradient
    return here
