"""Batches of one row have no variance and must not spoil a model."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn

from latently import Autoencoder, ConvolutionalAutoencoder, CustomNetwork, DenseNetwork
from latently.nn._layers import BatchNorm1d, BatchNorm2d
from tests.contract.estimators import ESTIMATORS
from tests.contract.samples import matrix

IMAGES = load_digits().images[:300] / 16
QUICK = {"random_state": 0, "engine": "cpu"}


def left(model, X=IMAGES):
    """Return the share of the variation that is not reconstructed."""
    return np.mean((model.reconstruct(X) - X) ** 2) / np.var(X - X.mean(0))


def own_batch_norm(shape, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.BatchNorm1d(32), nn.Linear(32, size))


OWN = CustomNetwork(own_batch_norm, lambda shape, size: nn.Linear(size, 64))
MODELS = [
    Autoencoder(8, **QUICK),
    ConvolutionalAutoencoder(8, **QUICK),
    Autoencoder(8, network=OWN, **QUICK),
]


@pytest.mark.parametrize("model", MODELS, ids=["dense", "convolutional", "torch's own"])
def test_images_that_come_one_by_one_do_not_ruin_a_model(model):
    fitted = clone(model).set_params(max_epochs=15).fit(IMAGES)
    before = left(fitted)
    for place in range(30):
        fitted.partial_fit(IMAGES[place : place + 1])
    assert before < 0.6
    assert left(fitted) < before + 0.35


@pytest.mark.parametrize("model", MODELS, ids=["dense", "convolutional", "torch's own"])
def test_a_batch_size_of_one_learns(model):
    fitted = clone(model).set_params(max_epochs=1, batch_size=1).fit(IMAGES)
    assert left(fitted) < 0.8


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4, 5)], ids=["row", "image"])
def test_one_row_is_normalised_by_the_running_moments_and_moves_them(shape):
    layer = (BatchNorm1d if len(shape) == 2 else BatchNorm2d)(3)
    layer.running_mean.fill_(2.0)
    values = torch.full(shape, 4.0, requires_grad=True)
    answer = layer.train()(values)
    share = layer.momentum / 16
    mean, variance = 2 + share * (4 - 2), 1 + share * (2**2 - 1)
    torch.testing.assert_close(layer.running_mean, torch.full((3,), mean))
    torch.testing.assert_close(layer.running_var, torch.full((3,), variance))
    expected = (4 - mean) / (variance + layer.eps) ** 0.5
    torch.testing.assert_close(answer, torch.full(shape, expected))
    answer.sum().backward()
    assert bool((values.grad != 0).all())


def test_running_moments_of_single_rows_become_those_of_all():
    layer = BatchNorm1d(1).train()
    rows = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0)) * 3 + 5
    for row in rows:
        layer(row[None])
    assert abs(float(layer.running_mean) - 5) < 1
    assert abs(float(layer.running_var) - 9) < 3


def test_several_rows_are_normalised_as_torch_does():
    rows = torch.randn(5, 3)
    own, plain = BatchNorm1d(3), nn.BatchNorm1d(3)
    assert torch.equal(own(rows), plain(rows))
    assert torch.equal(own.running_var, plain.running_var)


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if hasattr(e, "partial_fit")], ids=str)
def test_every_estimator_goes_on_with_one_row(estimator):
    X = matrix(60, 4)
    fitted = clone(estimator).fit(X).partial_fit(X[:1])
    answer = fitted.score_samples if hasattr(fitted, "score_samples") else fitted.transform
    assert np.isfinite(answer(X)).all()


def test_a_stream_of_single_rows_learns_from_nothing():
    model = Autoencoder(2, network=DenseNetwork(normalization="batch"), **QUICK)
    X = matrix(300, 5)
    model.partial_fit(X[:2])
    first = model.reconstruction_error(X).mean()
    for place in range(2, 300):
        model.partial_fit(X[place : place + 1])
    assert model.reconstruction_error(X).mean() < 0.7 * first
