"""Numbers of NumPy as parameters give the same model and are kept as given."""

import copy
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest
from sklearn.base import clone

from latently import Autoencoder, ConvNetwork, DenseNetwork, UNetAutoencoder
from latently.exceptions import ParameterError
from tests.contract.estimators import ESTIMATORS, IMAGE_AUTOENCODERS, SEARCH, load_own
from tests.contract.samples import matrix, stack

#: In the place of "auto" and None.
_LIMITS = {"batch_size": 16, "max_epochs": 2, "n_components": 2, "time_limit": 1000.0}


def as_numpy(value):
    """Return a parameter with numbers of NumPy, also inside networks and corruptions."""
    kinds = {bool: np.bool_, int: np.int64, float: np.float64}
    if type(value) in kinds:
        return kinds[type(value)](value)
    if isinstance(value, tuple):
        return tuple(as_numpy(item) for item in value)
    if hasattr(value, "get_params"):
        return with_parameters(value, as_numpy)
    if is_dataclass(value):
        own = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        return replace(value, **{name: as_numpy(item) for name, item in own.items()})
    return value


def with_parameters(estimator, change):
    own = estimator.get_params(deep=False)
    for name in _LIMITS.keys() & own.keys():
        own[name] = _LIMITS[name] if own[name] in (None, "auto") else own[name]
    return type(estimator)(**{name: change(value) for name, value in own.items()})


def answer(model, X):
    if not hasattr(model, "transform") and not hasattr(model, "score_samples"):
        return np.asarray(model.sample(len(X), random_state=0))
    ask = model.score_samples if hasattr(model, "score_samples") else model.transform
    return np.asarray(ask(X))


def assert_same_model(estimator, X, tmp_path):
    plain = with_parameters(copy.deepcopy(estimator), lambda value: value)
    numbers = with_parameters(copy.deepcopy(estimator), as_numpy)
    expected = answer(clone(plain).fit(X), X)
    fitted = clone(numbers).fit(X)
    np.testing.assert_array_equal(answer(fitted, X), expected)
    if hasattr(fitted, "save"):
        fitted.save(tmp_path / "model")
        np.testing.assert_array_equal(answer(load_own(tmp_path / "model"), X), expected)


@pytest.mark.parametrize("estimator", [*ESTIMATORS, SEARCH], ids=str)
def test_numbers_of_numpy_make_the_same_model(estimator, tmp_path):
    assert_same_model(estimator, matrix(40), tmp_path)


@pytest.mark.parametrize(
    "estimator",
    [
        *IMAGE_AUTOENCODERS,
        UNetAutoencoder(channels=(4, 8), patch_size=8, enlarge=2, max_epochs=1, random_state=0),
        Autoencoder(2, network=ConvNetwork((4, 8), kernel_size=5), max_epochs=1, random_state=0),
        Autoencoder(2, network=DenseNetwork((8, 4), dropout=0.1), max_epochs=1, random_state=0),
    ],
    ids=str,
)
def test_numbers_of_numpy_make_the_same_model_of_images(estimator, tmp_path):
    assert_same_model(estimator, stack(12, 12, 12), tmp_path)


def test_small_numbers_of_numpy_do_not_overflow():
    X = matrix(60)
    model = Autoencoder(
        2, max_epochs=np.uint8(200), batch_size=np.int8(16), patience=None, random_state=0
    ).fit(X)
    assert model.history_.last_step == 200 * 4
    assert type(model.get_params()["batch_size"]) is np.int8


@pytest.mark.parametrize("value", [np.array(16), np.float64(16.5), np.bool_(True), np.str_("many")])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ParameterError, match="batch_size"):
        Autoencoder(2, batch_size=value).fit(matrix())
