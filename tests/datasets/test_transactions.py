"""The made transactions: repeatable, consistent with themselves, and true to what they claim."""

import builtins
import doctest
import importlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from latently.datasets import Transactions, make_transactions
from latently.exceptions import MissingExtraError, ParameterError


@pytest.fixture(scope="module")
def made() -> Transactions:
    return make_transactions(4000, fraud_fraction=0.05, missing_fraction=0.1)


def test_the_same_seed_gives_the_same_rows_and_leaves_the_global_state_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002  # the global state is the subject
    one, two, three = (make_transactions(300, random_state=seed) for seed in (1, 1, 2))
    assert one.data.equals(two.data) and np.array_equal(one.guilty, two.guilty)
    assert not one.data.equals(three.data)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_columns_have_the_types_they_promise(made: Transactions) -> None:
    kinds = {field.name: field.type for field in made.data.schema}
    assert kinds["amount"] == kinds["distance_km"] == pa.float64()
    assert kinds["items"] == kinds["customer_age"] == kinds["velocity_24h"] == pa.int64()
    assert kinds["merchant"] == kinds["channel"] == kinds["country"] == pa.string()
    assert kinds["is_weekend"] == kinds["card_present"] == pa.bool_()
    assert kinds["timestamp"] == pa.timestamp("us")
    assert kinds["risk_tier"].ordered and len(kinds) == 13


@pytest.mark.parametrize(("column", "levels"), [("merchant", 8), ("channel", 4), ("country", 6)])
def test_every_category_occurs(made: Transactions, column: str, levels: int) -> None:
    assert len(made.complete[column].unique()) == levels


def test_frauds_are_as_many_as_asked_for_with_two_to_four_guilty_columns(
    made: Transactions,
) -> None:
    counts = made.guilty.sum(axis=1)
    assert made.is_fraud.sum() == 200
    assert set(counts[made.is_fraud]) == {2, 3, 4} and not counts[~made.is_fraud].any()


def test_guilty_cells_are_those_that_differ_from_the_rows_without_fraud(
    made: Transactions,
) -> None:
    honest = make_transactions(4000, fraud_fraction=0, missing_fraction=0.1).complete
    for place, name in enumerate(honest.column_names):
        differs = np.asarray(pc.not_equal(made.complete[name], honest[name]))
        assert np.array_equal(differs, made.guilty[:, place]), name


def test_ordinary_rows_keep_their_relations(made: Transactions) -> None:
    rows = made.complete.filter(pa.array(~made.is_fraud))
    weekend = pc.greater_equal(pc.day_of_week(rows["timestamp"]), 5)
    at_hand = pc.is_in(rows["channel"], value_set=pa.array(["chip", "contactless"]))
    assert rows["is_weekend"].equals(weekend) and rows["card_present"].equals(at_hand)
    held = np.asarray(rows["account_age_days"]) / 365
    assert (held <= np.asarray(rows["customer_age"]) - 15.9).all()


def test_gaps_fall_everywhere_alike_and_nothing_else_changes(made: Transactions) -> None:
    for name in made.data.column_names:
        gaps = np.asarray(made.data[name].is_null())
        kept = pa.array(~gaps)
        assert 0.07 < gaps.mean() < 0.13
        assert made.data[name].filter(kept).equals(made.complete[name].filter(kept))
        assert made.complete[name].null_count == 0


def test_three_components_tell_most_of_the_numbers(made: Transactions) -> None:
    names = ["amount", "distance_km", "velocity_24h", "customer_age", "account_age_days"]
    rows = made.complete.filter(pa.array(~made.is_fraud))
    values = np.log1p(np.column_stack([np.asarray(rows[name]) for name in names]))
    share = np.linalg.eigvalsh(np.corrcoef(values.T))[::-1]
    assert share[:3].sum() / share.sum() > 0.75


def test_cells_of_frauds_stay_within_what_ordinary_rows_hold(made: Transactions) -> None:
    for name in ("amount", "items", "distance_km", "velocity_24h", "customer_age"):
        values = np.asarray(made.complete[name])
        honest = values[~made.is_fraud]
        assert honest.min() <= values.min() * 1.5 + 1 and values.max() <= honest.max() * 1.2


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_frames_hold_the_same_cells_and_the_order_of_tiers(kind: str) -> None:
    table = make_transactions(200, missing_fraction=0.2)
    frame = make_transactions(200, missing_fraction=0.2, as_frame=kind).data
    if kind == "pandas":
        assert frame["risk_tier"].cat.ordered
        assert list(frame["risk_tier"].cat.categories) == ["low", "medium", "high"]
        back = pa.Table.from_pandas(frame, preserve_index=False)
    else:
        assert frame["risk_tier"].dtype.categories.to_list() == ["low", "medium", "high"]
        back = frame.to_arrow()
    assert back.to_pydict() == table.data.to_pydict()


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_a_missing_package_names_its_install_command(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.split(".")[0] == kind:
            raise ImportError(name)
        return genuine(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=rf'pip install "latently\[{kind}\]"'):
        make_transactions(10, as_frame=kind)


@pytest.mark.parametrize(
    "wrong",
    [{"n_samples": 0}, {"fraud_fraction": 1.5}, {"missing_fraction": 1}, {"as_frame": "numpy"}],
    ids=str,
)
def test_parameters_out_of_range_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        make_transactions(**wrong)


@pytest.mark.parametrize("n_samples", [1, 2, 50])
def test_small_tables_of_frauds_only_still_have_guilty_columns(n_samples: int) -> None:
    made = make_transactions(n_samples, fraud_fraction=1)
    assert made.is_fraud.all() and (made.guilty.sum(axis=1) >= 2).all()


def test_the_examples_run() -> None:
    results = doctest.testmod(importlib.import_module("latently.datasets._transactions"))
    assert results.attempted > 0 and results.failed == 0
