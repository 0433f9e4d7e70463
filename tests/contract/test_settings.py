"""Global settings of torch and NumPy change no model and are restored."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latently import Autoencoder, EnsembleAutoencoder
from latently.estimators import fit_seeds
from tests.contract.estimators import ESTIMATORS, IMAGE_AUTOENCODERS, SEARCH, load_own
from tests.contract.samples import answers, matrix, stack

pytestmark = pytest.mark.long


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
        assert torch.get_default_device().type == name
    finally:
        torch.set_default_device(None)


@contextmanager
def no_gradients():
    torch.set_grad_enabled(False)
    try:
        yield
        assert not torch.is_grad_enabled()
    finally:
        torch.set_grad_enabled(True)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


SETTINGS = {
    "double": lambda: default_dtype(torch.float64),
    "half": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "meta context": lambda: torch.device("meta"),
    "no_grad": torch.no_grad,
    "gradients off": no_gradients,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "deterministic": deterministic,
    "NumPy raises": lambda: np.errstate(all="raise"),
    "NumPy is silent": lambda: np.errstate(all="ignore"),
}
OF_ALL = ("double", "meta", "inference mode", "NumPy raises")


def everything(model, X, path):
    """Fit, save, load and update a model, and return all results."""
    model.fit(X)
    found = list(answers(model, X).values())
    if model is not SEARCH and hasattr(model, "save"):
        model.save(path)
        found += answers(load_own(path), X).values()
    if hasattr(model, "partial_fit") and hasattr(model, "score_samples"):
        found.append(model.partial_fit(X[:20]).score_samples(X))
    return found


def assert_same_under(setting, model, X, path):
    expected = everything(clone(model), X, path)
    with SETTINGS[setting]():
        got = everything(clone(model), X, path)
    assert len(got) == len(expected) > 0
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_changes_nothing(setting, tmp_path):
    assert_same_under(
        setting, Autoencoder(2, max_epochs=2, random_state=0), matrix(), tmp_path / "m"
    )


# Some have no partial_fit.
@pytest.mark.parametrize("setting", OF_ALL)
@pytest.mark.parametrize("model", [m for m in ESTIMATORS if hasattr(m, "reconstruct")], ids=str)
def test_a_setting_changes_no_autoencoder(model, setting, tmp_path):
    assert_same_under(setting, model, matrix(40), tmp_path / "m")


@pytest.mark.parametrize("setting", OF_ALL)
@pytest.mark.parametrize("model", IMAGE_AUTOENCODERS, ids=str)
def test_a_setting_changes_no_autoencoder_of_images(model, setting, tmp_path):
    assert_same_under(setting, model, stack(12, 8, 8), tmp_path / "m")


@pytest.mark.parametrize("setting", OF_ALL)
def test_a_setting_changes_no_seeds_and_no_search(setting):
    X = matrix(40)
    model = Autoencoder(2, max_epochs=30, engine="cpu")

    def found():
        seeds = [one.transform(X) for one in fit_seeds(clone(model), X, [0, 1])]
        ensemble = EnsembleAutoencoder(clone(model), n_estimators=2, random_state=0).fit(X)
        return [*seeds, ensemble.transform(X), clone(SEARCH).fit(X).transform(X)]

    expected = found()
    with SETTINGS[setting]():
        got = found()
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_fits_in_threads_do_not_see_each_others_settings():
    X = matrix()
    expected = Autoencoder(2, max_epochs=5, random_state=0).fit(X).transform(X)
    found = []

    def fit():
        found.append(Autoencoder(2, max_epochs=5, random_state=0).fit(X).transform(X))

    with default_dtype(torch.float64):
        threads = [threading.Thread(target=fit) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 3
    for one in found:
        np.testing.assert_array_equal(one, expected)
