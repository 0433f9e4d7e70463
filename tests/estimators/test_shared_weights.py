"""Weights shared by encoder and decoder stay shared in training, files and ensembles."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import latently
from latently import Autoencoder, CustomNetwork, EnsembleAutoencoder
from latently.exceptions import ParameterError


class Transposed(nn.Module):
    """Decoder that uses the transposed weight of the encoder."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.bias = encoder, nn.Parameter(torch.zeros(8))

    def forward(self, codes):
        return nn.functional.linear(codes, self.encoder.weight.t(), self.bias)


def transposed():
    encoder = nn.Linear(8, 3)
    return CustomNetwork(encoder, Transposed(encoder))


def made_by_a_callable():
    encoder = nn.Linear(8, 3)
    return CustomNetwork(encoder, lambda shape, size: Transposed(encoder))


def one_layer_twice():
    layer = nn.Linear(8, 8)
    encoder = nn.Sequential(layer, nn.GELU(), nn.Linear(8, 3))
    return CustomNetwork(encoder, nn.Sequential(nn.Linear(3, 8), nn.GELU(), layer))


def one_weight_twice():
    first, last = nn.Linear(8, 8), nn.Linear(8, 8)
    last.weight = first.weight
    encoder = nn.Sequential(first, nn.GELU(), nn.Linear(8, 3))
    return CustomNetwork(encoder, nn.Sequential(nn.Linear(3, 8), nn.GELU(), last))


SHARED = {
    f.__name__: f for f in (transposed, made_by_a_callable, one_layer_twice, one_weight_twice)
}
ROWS = np.random.default_rng(0).normal(size=(120, 8))


def n_shared(model):
    """Return the number of names of weights that are shared with another name."""
    every = [weight for _, weight in model.module_.named_parameters(remove_duplicate=False)]
    return len(every) - len({id(weight) for weight in every})


@pytest.mark.parametrize("network", SHARED.values(), ids=SHARED)
@pytest.mark.parametrize("refit", [False, True])
def test_shared_weights_stay_shared(network, refit, tmp_path):
    made = network()
    model = Autoencoder(3, network=made, max_epochs=12, refit=refit, random_state=0)
    before = [weight.clone() for weight in made.encoder.parameters()]
    fitted = clone(model).fit(ROWS)
    assert n_shared(fitted) > 0
    assert all(map(torch.equal, before, made.encoder.parameters()))
    fitted.save(tmp_path / "model")
    loaded = latently.load(tmp_path / "model", network=made)
    np.testing.assert_array_equal(loaded.transform(ROWS), fitted.transform(ROWS))
    assert n_shared(loaded.partial_fit(ROWS[:20])) == n_shared(fitted)


@pytest.mark.parametrize("network", SHARED.values(), ids=SHARED)
def test_members_of_an_ensemble_share_no_weights_but_their_own(network):
    member = Autoencoder(3, network=network(), max_epochs=12)
    ensemble = EnsembleAutoencoder(member, n_estimators=2, random_state=0).fit(ROWS)
    alone = clone(member).set_params(random_state=0).fit(ROWS)
    weights = [{id(w) for w in one.module_.parameters()} for one in ensemble.estimators_]
    assert all(n_shared(one) == n_shared(alone) > 0 for one in ensemble.estimators_)
    assert not weights[0] & weights[1]


@pytest.mark.parametrize("network", [one_layer_twice, one_weight_twice])
def test_a_recorded_step_sums_the_gradients_of_a_shared_weight(network, monkeypatch):
    made = network()
    model = Autoencoder(3, network=made, max_epochs=12, gradient_clip=None, random_state=0)
    recorded = clone(model).fit(ROWS)
    assert recorded.history_.steps == "recorded"
    monkeypatch.setattr("latently.training._step.can_record", lambda *args: False)
    eager = clone(model).fit(ROWS)
    for one, other in zip(recorded.module_.parameters(), eager.module_.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


def test_modules_in_double_precision_are_trained_in_single():
    model = Autoencoder(
        3, network=CustomNetwork(nn.Linear(8, 3).double(), nn.Linear(3, 8).double()), max_epochs=1
    ).fit(ROWS)
    assert {weight.dtype for weight in model.module_.parameters()} == {torch.float32}


def test_modules_without_values_are_refused():
    with torch.device("meta"):
        network = CustomNetwork(nn.Linear(8, 3), nn.Linear(3, 8))
    with pytest.raises(
        ParameterError, match=r"encoder must have weights with values.*Build it on the CPU"
    ):
        Autoencoder(3, network=network).fit(ROWS)
