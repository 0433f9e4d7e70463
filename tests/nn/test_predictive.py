"""The distribution of a missing number has its nominal coverage on held-out cells."""

import numpy as np
import pytest
import torch

from latently.nn.masked._predictive import HeldOutCells, Predictive, _distribution


def cells(n, seed):
    """Return cells whose noise grows with a spread that their atoms show, skewed."""
    rng = np.random.default_rng(seed)
    expected, spread = rng.normal(size=n), 0.2 + rng.random(n)
    truth = expected + spread * (rng.exponential(size=n) - 1)
    atoms = expected[:, None] + 0.5 * spread[:, None] * rng.normal(size=(n, 40))
    return HeldOutCells(*(torch.from_numpy(part) for part in (expected, truth, atoms)), (-9.0, 9.0))


def quantiles(model, held, *levels):
    wanted = torch.tensor(levels, dtype=torch.float64)[:, None].expand(-1, len(held.truth))
    return model.quantiles(0, held.predicted, held.atoms, wanted, held.bounds)


def interval(model, held, coverage):
    reach = float(model.reach(coverage)[0])
    return quantiles(model, held, 0.5 - reach, 0.5 + reach)


@pytest.fixture(scope="module")
def model():
    fitted = Predictive(1)
    fitted.fit({0: cells(4_000, 0)}, np.random.default_rng(0))
    return fitted


@pytest.mark.parametrize("n_atoms", [4, 16, 40])
def test_half_of_a_distribution_are_residuals_however_many_trees_there_are(model, n_atoms):
    held = cells(10, 5)
    parts = held.predicted, held.atoms[:, :n_atoms], held.bounds, model.residuals[0], 1.0
    values, shares = _distribution(*parts)
    own = torch.isin(values, held.atoms[:, :n_atoms])
    torch.testing.assert_close(
        torch.where(own, shares, 0.0).sum(1), torch.full((10,), 0.5).double()
    )
    torch.testing.assert_close(shares.sum(1), torch.ones(10).double())


def test_frequent_values_do_not_raise_the_coverage_of_intervals():
    def rounded(held):
        return held._replace(truth=held.truth.round(), atoms=held.atoms.round())

    fitted = Predictive(1)
    fitted.fit({0: rounded(cells(4_000, 0))}, np.random.default_rng(0))
    new = rounded(cells(20_000, 1))
    lower, upper = interval(fitted, new, 0.8)
    inside = (lower <= new.truth) & (new.truth <= upper)
    assert 0.78 <= float(inside.double().mean()) <= 0.85


def test_draws_at_even_levels_are_spread_as_truths_are(model):
    new = cells(20_000, 6)
    even = torch.rand(1, 20_000, generator=torch.Generator().manual_seed(0)).double()
    level = model.calibrated(even[:, :, None])[:, :, 0]
    drawn = model.quantiles(0, new.predicted, new.atoms, level, new.bounds)[0]
    shares = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95], dtype=torch.float64)
    found = torch.quantile(drawn - new.predicted, shares)
    expected = torch.quantile(new.truth - new.predicted, shares)
    torch.testing.assert_close(found, expected, atol=0.1, rtol=0)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9])
def test_an_interval_has_its_nominal_coverage(model, coverage):
    new = cells(20_000, 1)
    lower, upper = interval(model, new, coverage)
    inside = (lower <= new.truth) & (new.truth <= upper)
    # A step from one of the 100 values to the next may hold a few cells in a hundred.
    assert coverage - 0.02 <= float(inside.double().mean()) <= coverage + 0.04


def test_intervals_are_wider_where_the_atoms_are(model):
    new = cells(5_000, 2)
    lower, upper = quantiles(model, new, 0.1, 0.9)
    wide = new.atoms.std(1) > new.atoms.std(1).median()
    assert float((upper - lower)[wide].mean()) > 1.5 * float((upper - lower)[~wide].mean())


def test_quantiles_rise_with_their_level_within_the_range_seen(model):
    found = quantiles(model, cells(500, 3), 0.0, 0.1, 0.5, 0.9, 1.0)
    assert bool((found.diff(dim=0) >= 0).all())
    assert float(found.min()) >= -9.0 and float(found.max()) <= 9.0


def test_where_nothing_was_held_out_the_atoms_alone_speak():
    held = cells(300, 4)
    middle = quantiles(Predictive(1).double(), held, 0.5)[0]
    assert float((middle - held.atoms.median(1).values).abs().mean()) < 0.5
