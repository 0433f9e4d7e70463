"""Nearest rows, and places on a map where neighbours stay neighbours."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Elements of a table of distances that are worked on at once, and of one that is worked on again
#: and again, which should stay near the processor.
_BLOCK, _SMALL_BLOCK = 1 << 24, 1 << 18
#: Passes over the anchors, and at least so many steps, that a map is drawn in.
_EPOCHS, _MIN_STEPS = 100, 500
#: Anchors of a step, and places drawn at random that they are kept apart from.
_BATCH = 1_000
#: First step in units of the kernel; the share of the steps in which it rises.
_RATE, _WARMUP = 0.5, 0.05
#: Neighbours pull so many times as hard at first, over a share of the steps: clusters find
#: together before they are kept apart (early exaggeration of t-SNE).
_EXAGGERATION, _EXAGGERATED = 4.0, 0.25
#: Steps that a new row takes from among its neighbours, the first of this length.
_SETTLING, _SETTLING_RATE = 15, 4.0
#: Neighbours whose median a new row starts from.
_N_START = 5


def nearest(queries: Tensor, keys: Tensor, n: int) -> Tensor:
    """Return the ``n`` nearest keys of each query, in blocks of bounded memory.

    Parameters
    ----------
    queries : Tensor of shape (n_queries, n_axes)
        Rows.
    keys : Tensor of shape (n_keys, n_axes)
        Rows to choose from, at least ``n``.
    n : int
        How many.

    Returns
    -------
    Tensor of int64, shape (n_queries, n)
        Places of the keys, the nearest first.
    """
    blocks = torch.split(queries, max(1, _BLOCK // len(keys)))
    return torch.cat([_squared(b, keys).topk(n, dim=1, largest=False).indices for b in blocks])


def _squared(left: Tensor, right: Tensor) -> Tensor:
    """Return squared distances, (n_left, n_right), by one product of matrices."""
    sizes = left.square().sum(1)[:, None] + right.square().sum(1)
    return torch.addmm(sizes, left, right.T, alpha=-2).clamp_(min=0)


def draw_map(keys: Tensor, n_components: int, n_neighbors: int) -> Tensor:
    r"""Find places where rows lie beside those that they are like.

    With the kernel :math:`q_{ij} = 1/(1+\|z_i-z_j\|^2)` and the neighbours :math:`N_i` of a row,
    what is descended is [1]_, [2]_

    .. math:: \sum_i \Big(-\frac1{|N_i|}\sum_{j\in N_i}\log q_{ij} + \log\sum_{k\in S} q_{ik}\Big)

    with another random sample :math:`S` of rows in every step, so that a pass is linear in the
    rows. It starts from the first principal components, and uses torch's random state.

    Parameters
    ----------
    keys : Tensor of shape (n_rows, n_axes)
        Rows along their principal components.
    n_components : int
        Axes of the map.
    n_neighbors : int
        Neighbours of a row; at most all others are taken.

    Returns
    -------
    Tensor of shape (n_rows, n_components)
        Places, in units of the kernel.

    References
    ----------
    .. [1] van der Maaten and Hinton (2008), Visualizing Data using t-SNE.
    .. [2] Damrich, Böhm, Hamprecht and Kobak (2023), From t-SNE to UMAP with Contrastive Learning.
    """
    n_rows = len(keys)
    neighbors = _others(keys, min(n_neighbors, n_rows - 1))
    places = _start(keys, n_components)
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
        places.grad = _slope(places, anchors, neighbors[anchors], pull)
        optimizer.step()
    return places - places.mean(0)


def _others(keys: Tensor, n: int) -> Tensor:
    """Return the nearest other rows of each row: its double is one, itself is not."""
    near = nearest(keys, keys, n + 1)
    own = near == torch.arange(len(keys))[:, None]
    own[~own.any(1), -1] = True  # among many doubles a row may not find itself
    return near[~own].view(len(keys), n)


def _start(keys: Tensor, n_components: int) -> Tensor:
    """Return the first components, at the scale where the kernel tells near from far."""
    places = torch.zeros(len(keys), n_components, dtype=keys.dtype)
    first = keys[:, :n_components]
    places[:, : first.shape[1]] = first / first[:, :1].std(correction=0).clamp(min=1e-12)
    return places + 1e-4 * torch.randn_like(places)  # doubles must be able to part


def _slope(places: Tensor, anchors: Tensor, neighbors: Tensor, pull: float) -> Tensor:
    """Return the gradient of the anchors' loss by all places, (n_rows, n_components)."""
    here = places[anchors]
    away = here[:, None] - places[neighbors]
    pulls = (2 * pull / neighbors.shape[1]) * away / (1 + away.square().sum(2, keepdim=True))
    sample = torch.randint(len(places), (_BATCH,))
    push = _push(here, places[sample], anchors[:, None] == sample)
    slope = torch.zeros_like(places)
    slope.index_add_(0, anchors, pulls.sum(1) - _moved(here, places[sample], push))
    slope.index_add_(0, neighbors.flatten(), -pulls.flatten(0, 1))
    slope.index_add_(0, sample, -_moved(places[sample], here, push.T))
    return slope


def _push(here: Tensor, others: Tensor, same: Tensor | None = None) -> Tensor:
    """Return how hard each place is pushed away by each of the others: twice q^2 / sum of q."""
    kernel = _squared(here, others).add_(1).reciprocal_()
    if same is not None:
        kernel.masked_fill_(same, 0.0)
    total = kernel.sum(1, keepdim=True).clamp(min=1e-12)
    return kernel.square_().mul_(2 / total)


def _moved(here: Tensor, others: Tensor, push: Tensor) -> Tensor:
    """Return the sum of differences to the others, each times its push."""
    return here * push.sum(1, keepdim=True) - push @ others


def settle(near: Tensor, others: Tensor) -> Tensor:
    """Find the places of new rows on a map that stays as it is.

    Each row starts at the median of its nearest neighbours and descends what ``draw_map``
    descends.

    Parameters
    ----------
    near : Tensor of shape (n_rows, n_neighbors, n_components)
        Places of the neighbours of each row, the nearest first.
    others : Tensor of shape (n_others, n_components)
        Places to be kept apart from.

    Returns
    -------
    Tensor of shape (n_rows, n_components)
        Places.
    """
    blocks = torch.split(near, max(1, _SMALL_BLOCK // len(others)))
    return torch.cat([_settled(block, others) for block in blocks])


def _settled(near: Tensor, others: Tensor) -> Tensor:
    here = near[:, :_N_START].median(1).values
    for step in range(_SETTLING):
        away = here[:, None] - near
        pull = (2 * away / (1 + away.square().sum(2, keepdim=True))).mean(1)
        slope = pull - _moved(here, others, _push(here, others))
        here = here - _SETTLING_RATE * (1 - step / _SETTLING) * slope
    return here
