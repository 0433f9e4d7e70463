"""The normal distribution of rows with gaps: closed forms, two forms of one covariance."""

import numpy as np
import pytest
import torch

from latently.nn import Rows
from latently.nn.masked._conditional import FULL_WIDTH, ConditionalGaussian


def drawn_rows(n_rows, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator, dtype=torch.float64)
    return torch.randn(n_rows, width, generator=generator, dtype=torch.float64) @ mixing / width


def holes(shape, rate=0.3, seed=1):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) >= rate


def fitted(rows, seen=None):
    model = ConditionalGaussian(rows.shape[1]).double()
    model.fit(Rows(rows, seen))
    return model


def of_factors(width, seed=0):
    """Return a model of factors, and the same covariance written out."""
    generator = torch.Generator().manual_seed(seed)
    model = ConditionalGaussian(width).double()
    model.loadings.copy_(torch.randn(model.loadings.shape, generator=generator) / 3)
    model.noise.copy_(0.2 + torch.rand(width, generator=generator))
    model.mean.copy_(torch.randn(width, generator=generator))
    return model, model.full_covariance


def test_complete_rows_give_their_own_mean_and_nearly_their_own_covariance():
    rows = drawn_rows(4_000, 5)
    model = fitted(rows)
    torch.testing.assert_close(model.mean, rows.mean(0))
    torch.testing.assert_close(
        model.full_covariance, torch.cov(rows.T, correction=0), rtol=0.05, atol=0.01
    )


def test_gaps_at_random_hardly_change_what_is_learnt():
    rows = drawn_rows(5_000, 4)
    model = fitted(rows, holes(rows.shape))
    whole = torch.cov(rows.T, correction=0)
    torch.testing.assert_close(model.full_covariance, whole, rtol=0.15, atol=0.03)


def test_a_gap_is_filled_by_the_conditional_mean():
    rows = drawn_rows(500, 6)
    model, seen = fitted(rows), holes(rows.shape)
    filled = model(rows, seen)
    mean, covariance = model.mean.numpy(), model.full_covariance.numpy()
    for row, known, answer in zip(rows.numpy()[:50], seen.numpy(), filled.numpy(), strict=False):
        expected = mean + covariance[:, known] @ np.linalg.solve(
            covariance[np.ix_(known, known)], row[known] - mean[known]
        )
        np.testing.assert_allclose(answer[~known], expected[~known], atol=1e-9)
        np.testing.assert_array_equal(answer[known], row[known])


def test_factors_fill_as_the_covariance_that_they_stand_for():
    width = FULL_WIDTH + 3
    model, covariance = of_factors(width)
    rows, seen = drawn_rows(20, width), holes((20, width))
    filled, mean = model(rows, seen), model.mean
    for row, known, answer in zip(rows, seen, filled, strict=True):
        solved = torch.linalg.solve(covariance[known][:, known], (row - mean)[known])
        expected = mean + covariance[:, known] @ solved
        torch.testing.assert_close(answer[~known], expected[~known])


def test_factors_are_found_again_from_rows_with_gaps():
    width = FULL_WIDTH + 8
    _, covariance = of_factors(width)
    generator = torch.Generator().manual_seed(3)
    normal = torch.randn(5_000, width, generator=generator, dtype=torch.float64)
    rows = normal @ torch.linalg.cholesky(covariance).T
    learnt = fitted(rows, holes(rows.shape, 0.2)).full_covariance
    assert float((learnt - covariance).norm() / covariance.norm()) < 0.15


def test_a_regression_is_the_conditional_mean_of_one_column_given_all_others():
    rows = drawn_rows(300, 5)
    model, whose = fitted(rows), torch.tensor([0, 1, 1, 2, 3])
    expected = model.mean + (rows - model.mean) @ model.regression(whose)
    for column in range(4):
        own = whose == column
        filled = model(rows, (~own).expand(rows.shape))
        torch.testing.assert_close(expected[:, own], filled[:, own])


@pytest.mark.parametrize("width", [4, FULL_WIDTH + 1])
def test_deviates_depend_on_each_other_as_the_gaps_do(width):
    rows = drawn_rows(2_000, width)
    model = fitted(rows) if width <= FULL_WIDTH else of_factors(width)[0]
    known = torch.zeros(width, dtype=torch.bool)
    known[::2] = True
    noise = torch.randn(40_000, 1, model.n_noise, generator=torch.Generator().manual_seed(0))
    drawn = model.deviates(known[None], noise)[:, 0, ~known]
    covariance = model.full_covariance
    inner, cross = covariance[~known][:, ~known], covariance[~known][:, known]
    left = inner - cross @ torch.linalg.solve(covariance[known][:, known], cross.T)
    scale = left.diagonal().rsqrt()
    expected = left * scale[:, None] * scale
    torch.testing.assert_close(torch.corrcoef(drawn.T), expected, atol=0.03, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.ones_like(scale), atol=0.03, rtol=0)
