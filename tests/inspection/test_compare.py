"""Synthetic rows beside real ones: what is like is found like, and what is not, not."""

import json

import numpy as np
import pandas as pd
import pytest

from latently import compare
from latently.exceptions import DataError


def people(n_rows, seed):
    """Return rows whose income goes with their trade and age."""
    rng = np.random.default_rng(seed)
    trade = rng.choice(["baker", "clerk", "pilot"], n_rows, p=[0.5, 0.3, 0.2])
    age = rng.integers(20, 60, n_rows)
    income = 10 * (trade == "pilot") + 0.2 * age + rng.normal(0, 1, n_rows)
    income[rng.random(n_rows) < 0.1] = np.nan
    return pd.DataFrame({"trade": trade, "age": age, "income": income})


@pytest.fixture(scope="module")
def real():
    return people(1_000, 0)


def test_rows_of_the_same_source_are_alike(real):
    found = compare(real, people(1_000, 1), holdout=people(1_000, 2), target="income")
    assert max(column.distance for column in found.columns) < 0.08
    assert found.dependence < 0.05
    assert 0.4 < found.discriminator < 0.6
    assert found.privacy.too_near == pytest.approx(0.05, abs=0.03)
    assert found.utility.synthetic == pytest.approx(found.utility.real, abs=0.05)
    assert found.utility.real > 0.8 and found.utility.measure == "R2"


def test_shuffled_columns_keep_their_margins_and_lose_their_ties(real):
    rng = np.random.default_rng(3)
    shuffled = real.apply(lambda column: rng.permutation(column))
    found = compare(real, shuffled, target="trade")
    assert max(column.distance for column in found.columns) < 1e-9
    assert found.dependence > 0.2
    assert found.discriminator > 0.7
    assert found.utility.synthetic < found.utility.real - 0.15


def test_copies_are_caught():
    real, other, held = (people(1_200, seed).dropna() for seed in (0, 4, 5))
    half = len(other) // 2
    found = compare(real, pd.concat([real.iloc[:half], other.iloc[:half]]), holdout=held)
    assert found.privacy.copies == pytest.approx(0.5, abs=0.01)
    assert found.privacy.too_near == pytest.approx(0.5 + 0.05 / 2, abs=0.03)
    assert compare(real, other, holdout=held).privacy.copies == 0


def test_the_column_that_differs_comes_first(real):
    moved = people(1_000, 6)
    moved["age"] += 15
    moved.loc[:400, "trade"] = "diver"  # unknown to the real rows
    found = compare(real, moved)
    assert found.columns[0].name == "age"
    trade = next(column for column in found.columns if column.name == "trade")
    assert trade.distance == pytest.approx(0.4, abs=0.05)
    assert found.discriminator > 0.9


def test_a_constant_column_and_arrays_are_compared():
    rng = np.random.default_rng(0)
    one, other = (np.column_stack([rng.normal(size=200), np.ones(200)]) for _ in range(2))
    found = compare(one, other)
    assert {column.name for column in found.columns} == {"x0", "x1"}
    assert np.isfinite(found.dependence)


def test_figures_are_plain_data_and_read_as_text(real):
    found = compare(real, people(300, 7), target="trade")
    assert json.loads(json.dumps(found.to_dict()))["n_synthetic"] == 300
    assert "300 synthetic rows beside 1,000 real ones" in str(found)
    assert "trade: accuracy" in str(found)


def test_what_cannot_be_compared_is_said(real):
    with pytest.raises(DataError, match="target must name a column, got 'height'"):
        compare(real, real, target="height")
    with pytest.raises(DataError, match="minimum of 10"):
        compare(real, real.iloc[:3])
    with pytest.raises(DataError, match="feature names"):
        compare(real, real.rename(columns={"age": "years"}))
    with pytest.raises(DataError, match="compare takes tables"):
        compare(np.ones((20, 4, 4)), np.ones((20, 4, 4)))


def test_copies_of_the_training_rows_are_judged_by_the_holdout():
    rng = np.random.default_rng(0)
    real, holdout = rng.normal(size=(2, 400, 4))
    copies = rng.permutation(real)
    alone, judged = compare(real, copies), compare(real, copies, holdout=holdout)
    assert alone.discriminator < 0.4
    assert "below it, synthetic rows repeat the real ones" in str(alone)
    assert judged.discriminator == pytest.approx(0.5, abs=0.1)
    assert "(0.5 is best)" in str(judged)
    assert judged.privacy.copies == 1
