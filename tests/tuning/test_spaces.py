"""Search spaces and their defaults."""

import numpy as np
import optuna
import pytest
from sklearn.base import clone

from latently import (
    Autoencoder,
    ConvNetwork,
    ConvolutionalAutoencoder,
    DenoisingAutoencoder,
    DenseNetwork,
    EnsembleAutoencoder,
    GaussianNoise,
    ImputationAutoencoder,
    MapAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
)
from latently.exceptions import ParameterError
from latently.tuning import default_space
from latently.tuning._objectives import fit_model
from latently.tuning._rows import Rows
from latently.tuning._spaces import read_space
from tests.contract.samples import matrix

MODEL = Autoencoder(2, network=DenseNetwork())
KINDS = [
    MODEL,
    VariationalAutoencoder(2, network=DenseNetwork()),
    SparseAutoencoder(8),
    DenoisingAutoencoder(2, network=DenseNetwork()),
    MapAutoencoder(2, network=DenseNetwork()),
    ConvolutionalAutoencoder(2, network=ConvNetwork()),
    ImputationAutoencoder(),
    NeighborAutoencoder(),
    UNetAutoencoder(),
]


@pytest.mark.parametrize("sizes_too", [False, True])
@pytest.mark.parametrize("model", KINDS, ids=str)
def test_every_kind_comes_with_a_space_of_its_own_parameters(model, sizes_too):
    space = read_space(default_space(model, sizes_too=sizes_too), model)
    trial = optuna.create_study().ask({name: d.distribution for name, d in space.items()})
    chosen = {name: space[name].value_of(drawn) for name, drawn in trial.params.items()}
    model.__class__(**model.get_params(deep=False)).set_params(**chosen)._check_parameters()


@pytest.mark.parametrize("model", KINDS[:6], ids=str)
def test_the_default_lies_in_its_own_space(model):
    space = read_space(default_space(model, sizes_too=False), model)
    values = model.get_params()
    assert all(d.drawn_for(values[name]) is not None for name, d in space.items())


def test_groups_reach_every_kind_that_takes_them():
    rows = Rows(matrix(40), None, np.arange(40) // 4)
    member = Autoencoder(1, max_epochs=1, batch_size=20)
    model = EnsembleAutoencoder(member, n_estimators=1, random_state=0)
    expected = clone(model).fit(rows.X, groups=rows.groups).transform(rows.X)
    np.testing.assert_array_equal(fit_model(clone(model), rows).transform(rows.X), expected)
    assert (clone(model).fit(rows.X).transform(rows.X) != expected).any()


def test_choices_may_be_of_any_kind():
    values = [None, True, 3, "x", (64, 32), GaussianNoise(0.1), GaussianNoise(0.2)]
    dimension = read_space({"corruption": values}, MODEL)["corruption"]
    drawn = [dimension.drawn_for(value) for value in values]
    assert len(set(drawn)) == 7
    assert [dimension.value_of(one) for one in drawn] == values


@pytest.mark.parametrize(
    ("values", "kind", "log"),
    [
        ((1, 9), optuna.distributions.IntDistribution, False),
        ((1, 9, "log"), optuna.distributions.IntDistribution, True),
        ((0.1, 9), optuna.distributions.FloatDistribution, False),
        ((1e-4, 1e-2, "log"), optuna.distributions.FloatDistribution, True),
    ],
)
def test_a_pair_is_a_range(values, kind, log):
    distribution = read_space({"batch_size": values}, MODEL)["batch_size"].distribution
    assert isinstance(distribution, kind) and distribution.log is log
    assert (distribution.low, distribution.high) == values[:2]


def test_a_distribution_of_optunas_is_taken_as_it_is():
    given = optuna.distributions.IntDistribution(16, 64, step=16)
    assert read_space({"batch_size": given}, MODEL)["batch_size"].distribution is given


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"learning_rat": (0.1, 0.2)}, "does not have. Did you mean 'learning_rate'"),
        ({"network__drop": (0.1, 0.2)}, "Did you mean 'network__dropout'"),
        ({"random_state": [0, 1]}, "does not have"),
        ({"qqq": [0, 1]}, "Try one of"),
        ({"batch_size": []}, "no values"),
        ({"batch_size": (9, 1)}, "a \\(low, high\\) tuple"),
        ({"batch_size": (0, 9, "log")}, "a \\(low, high\\) tuple"),
        ({"batch_size": (1, 9, "logarithm")}, "a \\(low, high\\) tuple"),
        ({"batch_size": 32}, "list of choices"),
        ({"batch_size": np.array([1, 2])}, "list of choices"),
        ({}, "one at least"),
    ],
    ids=str,
)
def test_a_space_that_is_none_is_refused_in_a_sentence(space, words):
    with pytest.raises(ParameterError, match=words):
        read_space(space, MODEL)
