"""The result of a row does not depend on the batch, bitwise on the tested kernels."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latently import AnomalyDetector, NeighborAutoencoder
from tests.contract.estimators import AUTOENCODERS, ENSEMBLES, MASKED, MEMORIES

pytestmark = pytest.mark.trust("numbers")

SIZES = (1, 2, 15, 16, 17, 33, 47, 48, 49, 100)
_CPUS = Path("/proc/cpuinfo")
#: Products of matrices were tried on Intel's processors, with one thread: `make test-kernels`.
TRIED = (
    torch.get_num_threads() == 1
    and torch.backends.mkl.is_available()
    and _CPUS.is_file()
    and "GenuineIntel" in _CPUS.read_text()
    and os.environ.get("MKL_ENABLE_INSTRUCTIONS") != "SSE4_2"
)


def assert_same(found, expected):
    """Assert that results of the same rows are bitwise equal, or equal within the tolerance."""
    if TRIED:
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_does_not_depend_on_its_batch(model, dtype):
    rng = np.random.default_rng(0)
    rows = (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 9))).astype(dtype)
    rows[rng.random(rows.shape) < 0.05] = np.nan
    fitted = clone(model).fit(rows)
    scores, codes = fitted.score_samples(rows), fitted.transform(rows)
    for size in SIZES:
        assert_same(fitted.score_samples(rows[:size]), scores[:size])
        assert_same(fitted.transform(rows[:size]), codes[:size])
    for place in (5, 50, 299):
        assert_same(fitted.score_samples(rows[place:][:1]), scores[place : place + 1])


@pytest.mark.parametrize("n_stored", [300, 3000])
def test_a_memory_of_any_size_does_not_depend_on_the_batch(n_stored):
    rng = np.random.default_rng(0)
    fitted = NeighborAutoencoder(random_state=0).fit(rng.normal(size=(n_stored, 5)))
    rows = rng.normal(size=(200, 5))
    scores = fitted.score_samples(rows)
    for size in SIZES:
        assert_same(fitted.score_samples(rows[:size]), scores[:size])


def test_flags_and_p_values_do_not_depend_on_the_batch():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).round(1)
    detector = AnomalyDetector(random_state=0).fit(X)
    # Rows that were stored, and copies of them, have scores equal to those of calibration.
    flags, p_values = detector.predict(X), detector.p_values(X)
    for place in (0, 7, 77, 250):
        alone = X[place : place + 1]
        assert detector.predict(alone) == flags[place]
        np.testing.assert_allclose(detector.p_values(alone), p_values[place], atol=0.01)
