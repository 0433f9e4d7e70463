"""Denormal numbers are flushed while networks compute, and the setting is restored."""

import threading

import numpy as np
import pytest
import torch

from latently import Autoencoder, VariationalAutoencoder
from latently.nn import flushing_denormals

SMALL = torch.tensor([1e-40])


def are_flushed():
    return float((SMALL * 1.0)[0]) == 0.0


def test_they_are_flushed_for_a_while():
    assert not are_flushed()
    with flushing_denormals():
        assert are_flushed()
        with flushing_denormals():
            assert are_flushed()
        assert are_flushed()
    assert not are_flushed()


def test_an_error_leaves_no_trace():
    with pytest.raises(ValueError), flushing_denormals():
        raise ValueError
    assert not are_flushed()


def test_a_caller_who_flushes_them_goes_on_to():
    def body():
        torch.set_flush_denormal(True)
        with flushing_denormals():
            pass
        seen.append(are_flushed())

    seen = []
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [True]


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
def test_a_fit_and_its_predictions_restore_the_setting(kind):
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = kind(2, max_epochs=2, random_state=0).fit(X)
    model.score_samples(X)
    assert not are_flushed()
