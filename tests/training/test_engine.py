"""Precision: where half of it is taken, and that the loss follows."""

import numpy as np
import pytest
import torch

from latently import (
    Autoencoder,
    ConvolutionalAutoencoder,
    DenseNetwork,
    MapAutoencoder,
    UNetAutoencoder,
)
from latently._layout import Block, Layout
from latently.estimators.fit._prepare import default_network
from latently.exceptions import ParameterError
from latently.nn import AutoencoderModule, Cells, Deterministic, Likelihood
from latently.training import LocalEngine, TrainingData, _engine

WIDTH = 200


def module(likelihood, *hidden_sizes):
    layout = Layout((WIDTH,), (Block(likelihood, 1, WIDTH),))
    encoder, decoder = DenseNetwork(hidden_sizes).build((WIDTH,), 4, 4, WIDTH)
    zeros = torch.zeros(WIDTH)
    return AutoencoderModule(encoder, Deterministic(4), decoder, Likelihood(layout, zeros), zeros)


EXAMPLE = TrainingData(Cells(torch.rand(9, WIDTH, generator=torch.Generator().manual_seed(0))))


def halves(engine, module, example=None):
    with engine.autocast(module, example):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("likelihood", "hidden_sizes", "expected"),
    [("bernoulli", (512, 256), True), ("bernoulli", (8,), False), ("gaussian", (512, 256), False)],
)
def test_only_large_networks_over_pixels_are_trained_in_half_precision(
    likelihood, hidden_sizes, expected, monkeypatch
):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(_engine, "_is_faster", lambda *_: True)
    assert halves(LocalEngine("cpu"), module(likelihood, *hidden_sizes)) is expected


def test_a_processor_that_would_emulate_it_is_spared(monkeypatch):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: False)
    assert not halves(LocalEngine("cpu"), module("bernoulli", 512, 256))
    assert halves(LocalEngine("cpu", precision="bfloat16"), module("gaussian", 8))


def test_half_precision_is_taken_only_where_a_trial_shows_it_to_be_faster(monkeypatch):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: True)
    for seconds, expected in (([4.0] * 5 + [2.0] * 5, True), ([4.0] * 5 + [3.9] * 5, False)):
        _engine._is_faster.cache_clear()
        times = iter(seconds)
        monkeypatch.setattr(_engine, "_seconds", lambda work, times=times: next(times))
        assert halves(LocalEngine("cpu"), module("bernoulli", 512, 256)) is expected
    _engine._is_faster.cache_clear()


def test_half_precision_is_not_taken_where_the_loss_does_not_follow(monkeypatch):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(_engine, "_is_faster", lambda *_: True)
    network = module("bernoulli", 512, 256)
    with torch.no_grad():  # what two large numbers leave of each other
        first, last = network.decoder[-1], torch.full((WIDTH,), 1e6)
        first.bias.copy_(last)
        network.likelihood.offset.copy_(-last)
    assert not halves(LocalEngine("cpu"), network, EXAMPLE)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (MapAutoencoder(2, network=DenseNetwork((512, 512)), max_epochs=1), (20, 16, 16)),
        (UNetAutoencoder(channels=(4, 8), enlarge=2, max_epochs=1), (20, 16, 16)),
        (ConvolutionalAutoencoder(2, max_epochs=1), (20, 8, 8)),
    ],
    ids=["from places", "to larger images", "to the same"],
)
def test_a_trial_compares_losses_on_the_inputs_of_the_module(model, shape, monkeypatch):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(_engine, "_is_faster", lambda *_: True)
    images = np.random.default_rng(0).random(shape)
    assert np.isfinite(model.fit(images).transform(images)).all()


def test_a_trial_draws_nothing_and_leaves_the_module_as_it_was(monkeypatch):
    monkeypatch.setattr(_engine, "_multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(_engine, "_is_faster", lambda *_: True)
    network, before = module("bernoulli", 512, 256).train(), torch.get_rng_state()
    LocalEngine("cpu").autocast(network, EXAMPLE)
    assert network.training and torch.equal(torch.get_rng_state(), before)


def test_the_loss_in_half_precision_follows_that_in_single():
    rng = np.random.default_rng(0)
    traits = rng.normal(size=(200, 3)) @ rng.normal(size=(3, WIDTH))
    X = (1 / (1 + np.exp(-traits))).astype(np.float32)

    histories = [
        Autoencoder(3, max_epochs=5, random_state=0, engine=LocalEngine("cpu", precision))
        .fit(X)
        .history_["valid_loss"]
        for precision in ("float32", "bfloat16")
    ]

    np.testing.assert_allclose(*histories, rtol=0.01)
    assert not np.array_equal(*histories)


def test_an_unknown_precision_is_named():
    engine = LocalEngine("cpu", precision="half")
    with pytest.raises(ParameterError, match=r"precision must be .* got 'half'"):
        Autoencoder(2, engine=engine).fit(np.eye(20))


@pytest.mark.parametrize(
    ("likelihood", "width", "normalization"),
    [("bernoulli", 784, "batch"), ("bernoulli", 20, None), ("gaussian", 784, None)],
)
def test_many_pixels_are_normalised_by_batch(likelihood, width, normalization):
    network = default_network(Layout((width,), (Block(likelihood, 1, width),)))
    assert network.normalization == normalization
