"""Rubin's rules against numbers worked out by hand."""

import math

import numpy as np
import pytest

from latently import pool_estimates
from latently.exceptions import DataError, ParameterError


def test_the_variance_has_the_part_within_and_the_part_between():
    pooled = pool_estimates([1.0, 2.0, 3.0], [0.5, 0.5, 0.5])
    assert pooled.estimate == 2.0
    assert pooled.within == 0.5
    assert pooled.between == 1.0
    assert pooled.variance == pytest.approx(0.5 + 4 / 3)
    assert pooled.degrees_of_freedom == pytest.approx(2 * (1 + 0.5 / (4 / 3)) ** 2)


def test_estimates_that_agree_lose_nothing_to_the_gaps():
    pooled = pool_estimates([[1.0, 2.0]] * 4, [[0.1, 0.2]] * 4)
    np.testing.assert_array_equal(pooled.variance, [0.1, 0.2])
    np.testing.assert_array_equal(pooled.missing_information, [0.0, 0.0])
    assert math.isinf(pooled.degrees_of_freedom[0])
    lower, upper = pooled.interval(0.95)
    np.testing.assert_allclose(upper - lower, 2 * 1.959964 * np.sqrt([0.1, 0.2]), rtol=1e-6)


def test_a_mean_of_imputed_rows_is_covered_as_often_as_said():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        seen = rng.normal(size=40)  # the others are missing at random, drawn from what was seen
        estimates, variances = [], []
        for _ in range(10):
            center = seen.mean() + rng.normal() * seen.std(ddof=1) / math.sqrt(40)
            whole = np.concatenate([seen, center + seen.std(ddof=1) * rng.normal(size=20)])
            estimates.append(whole.mean())
            variances.append(whole.var(ddof=1) / 60)
        lower, upper = pool_estimates(estimates, variances).interval(0.95)
        hits += bool(lower <= 0 <= upper)
    assert 0.92 <= hits / 400 <= 0.98


@pytest.mark.parametrize(
    "estimates, variances, words",
    [
        ([1.0], [1.0], "at least 2"),
        ([1.0, 2.0], [1.0], "needs a variance"),
        ([1.0, 2.0], [1.0, -1.0], "negative"),
        (1.0, 1.0, "needs a variance"),
    ],
)
def test_what_cannot_be_pooled_is_refused(estimates, variances, words):
    with pytest.raises(DataError, match=words):
        pool_estimates(estimates, variances)


@pytest.mark.parametrize("coverage", [0, 1, 1.5])
def test_a_coverage_that_is_no_chance_is_refused(coverage):
    with pytest.raises(ParameterError, match="coverage"):
        pool_estimates([1.0, 2.0], [1.0, 1.0]).interval(coverage)
