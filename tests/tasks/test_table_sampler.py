"""Rows of a TableSampler have the dependences of the table, and no other values."""

import numpy as np
import pandas as pd
import pytest

from latently import TableSampler, load
from latently.exceptions import DataError, ParameterError
from tests.contract.samples import same


def orders(n=600):
    """Return orders with a key, a determined column, gaps, zeros and two ordered dates."""
    rng = np.random.default_rng(0)
    country = rng.choice(["NL", "DE", "FR"], n, p=[0.2, 0.5, 0.3])
    amount = np.round(rng.gamma(2.0, 40.0, n) * (1 + (country == "NL")), 2)
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 300, n), unit="D")
    return pd.DataFrame(
        {
            "id": np.arange(1_000, 1_000 + n),
            "country": country,
            "currency": np.where(country == "NL", "gulden", "euro"),
            "amount": np.where(rng.random(n) < 0.2, 0.0, amount),
            "rate": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "is_new": rng.random(n) < 0.5,
            "start": start,
            "end": start + pd.to_timedelta(rng.integers(0, 30, n), unit="D"),
        }
    )


TABLE = orders()


@pytest.fixture(scope="module")
def sampler():
    return TableSampler(n_trees=3, constraints=["start <= end"], random_state=0).fit(TABLE)


@pytest.fixture(scope="module")
def drawn(sampler):
    return sampler.sample(500, random_state=0)


def test_types_and_columns_are_those_of_fit(drawn):
    pd.testing.assert_series_equal(drawn.dtypes, TABLE.dtypes)


def test_keys_are_new_and_unique(drawn):
    assert drawn["id"].is_unique
    assert not drawn["id"].isin(TABLE["id"]).any()


def test_a_column_stays_determined_by_another(drawn):
    assert ((drawn["country"] == "NL") == (drawn["currency"] == "gulden")).all()


def test_zeros_decimals_and_gaps_are_as_frequent_as_in_the_table(drawn):
    assert (drawn["amount"] == 0).mean() == pytest.approx(0.2, abs=0.07)
    assert drawn["rate"].isna().mean() == pytest.approx(0.1, abs=0.05)
    np.testing.assert_allclose(drawn["amount"], drawn["amount"].round(2), atol=1e-9)
    assert drawn["amount"].between(0, TABLE["amount"].max()).all()


def test_a_constraint_holds_in_every_row(drawn):
    assert (drawn["start"] <= drawn["end"]).all()


def test_rows_meet_what_is_given(sampler):
    given = {"country": "NL", "amount": (50, 150)}
    drawn = sampler.sample(60, given=given, random_state=0)
    assert (drawn["country"] == "NL").all()
    assert drawn["amount"].between(50, 150).all()


def test_a_loaded_sampler_draws_the_same_rows(sampler, drawn, tmp_path):
    sampler.save(tmp_path / "model")
    assert same(load(tmp_path / "model").sample(500, random_state=0), drawn)


def test_batches_have_as_many_rows_and_keys_that_go_on(sampler):
    batches = list(sampler.sample_batches(50, batch_size=20, random_state=0))
    assert [len(batch) for batch in batches] == [20, 20, 10]
    assert pd.concat(batches)["id"].is_unique


def test_few_rows_equal_a_training_row_where_no_two_training_rows_are_equal():
    X = np.random.default_rng(0).normal(size=(300, 3))
    made = TableSampler(n_trees=2, refine=False, random_state=0).fit(X).sample(300, random_state=0)
    assert not (made[:, None] == X[None]).all(2).any()


@pytest.mark.parametrize(
    "given", [{"country": "XX"}, {"amount": (-5, -1)}, {"amount": (9, 1)}, {"none": 1}]
)
def test_impossible_conditions_are_refused(sampler, given):
    with pytest.raises(ParameterError, match="given"):
        sampler.sample(5, given=given)


def test_a_constraint_that_training_rows_break_is_refused():
    with pytest.raises(ParameterError, match="constraints"):
        TableSampler(constraints=["end <= start"]).fit(TABLE)


@pytest.mark.parametrize("X", [np.ones((1, 2)), np.ones((5, 3)), np.arange(30.0)[:, None]])
def test_one_row_constants_and_a_single_column_are_sampled(X):
    assert TableSampler(n_trees=2, random_state=0).fit(X).sample(4, random_state=0).shape == (
        4,
        X.shape[1],
    )


def test_images_are_refused():
    with pytest.raises(DataError, match="table"):
        TableSampler().fit(np.random.default_rng(0).integers(0, 255, (20, 6, 6), dtype=np.uint8))
