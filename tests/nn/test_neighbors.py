"""Neighbours are the nearest, and a map keeps them together."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from latently.nn.map import _neighbors
from latently.nn.map._neighbors import embed_rows, fit_map, nearest


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def blobs(n_each=40, n_blobs=5, width=8, apart=10.0):
    """Return rows of clusters far from each other, and which cluster each is of."""
    centers = apart * torch.randn(n_blobs, width)
    labels = torch.arange(n_blobs).repeat_interleave(n_each)
    return centers[labels] + torch.randn(len(labels), width), labels


@pytest.mark.parametrize("block", [10, 1 << 20])
def test_nearest_agrees_with_brute_force(block, monkeypatch):
    monkeypatch.setattr(_neighbors, "_BLOCK", block)
    keys, queries = torch.randn(70, 6).double(), torch.randn(30, 6).double()

    near = nearest(queries, keys, 4)

    places = NearestNeighbors(n_neighbors=4).fit(keys).kneighbors(queries, return_distance=False)
    assert np.array_equal(near, places)


def test_a_row_is_no_neighbour_of_its_own_but_its_double_is():
    rows = torch.randn(12, 3).repeat(3, 1)
    others = _neighbors._other_neighbors(rows, 2)
    assert (others % 12 == (torch.arange(36) % 12)[:, None]).all()
    assert (others != torch.arange(36)[:, None]).all()


def test_clusters_that_are_apart_stay_apart():
    rows, labels = blobs()
    places = fit_map(rows, 2, 10)
    near = _neighbors._other_neighbors(places, 5)
    assert (labels[near] == labels[:, None]).float().mean() > 0.99
    torch.testing.assert_close(places.mean(0), torch.zeros(2), atol=1e-3, rtol=0)


def test_a_circle_in_space_is_a_ring_on_the_map():
    angle = torch.linspace(0, 2 * torch.pi, 201)[:-1]
    rows = torch.stack([angle.cos(), angle.sin(), *torch.zeros(4, 200)], 1)
    places = fit_map(rows, 2, 6)
    step = (torch.arange(200)[:, None] - _neighbors._other_neighbors(places, 4)).abs()
    assert torch.minimum(step, 200 - step).float().quantile(0.95) <= 4


def test_the_gradient_is_that_of_the_loss_it_descends():
    rows = torch.randn(9, 2).double()
    anchors, neighbors = torch.arange(9), torch.randint(9, (9, 3))
    state = torch.random.get_rng_state()
    gradient = _neighbors._gradient(rows, anchors, neighbors, 1.0)

    torch.random.set_rng_state(state)
    sample = torch.randint(9, (_neighbors._BATCH,))
    places = rows.clone().requires_grad_()
    kernel = 1 / (1 + (places[:, None] - places[None]).square().sum(2))
    attraction = -kernel[anchors[:, None], neighbors].log().mean(1)
    others = torch.where(anchors[:, None] == sample, 0.0, kernel[:, sample])
    loss = (attraction + others.sum(1).log()).sum()
    (expected,) = torch.autograd.grad(loss, places)

    torch.testing.assert_close(gradient, expected)


def test_a_new_row_is_embedded_among_its_neighbours_in_any_batch():
    rows, labels = blobs()
    places = fit_map(rows, 2, 10)
    strangers = rows + 0.3 * torch.randn_like(rows)
    near = places[nearest(strangers, rows, 10)]

    together = embed_rows(near, places)
    alone = embed_rows(near[:1], places)

    assert (labels[nearest(together, places, 5)] == labels[:, None]).float().mean() > 0.99
    torch.testing.assert_close(alone, together[:1], rtol=1e-4, atol=1e-4)
