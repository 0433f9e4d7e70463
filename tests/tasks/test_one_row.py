"""A row of plain values scores in a stream as in a table, without a frame."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from latently import AnomalyDetector
from latently.datasets import make_transactions
from latently.exceptions import DataWarning
from latently.preprocessing import TablePreprocessor
from latently.tasks.anomaly._one_row import OneRowScorer


@pytest.fixture(scope="module", params=[0.0, 0.05], ids=["no gaps", "gaps"])
def detector(request):
    rows = make_transactions(300, random_state=0, missing_fraction=request.param).data
    return AnomalyDetector(random_state=0).fit(rows)


def scored(detector, rows):
    scorer = OneRowScorer.of(detector)
    return [scorer.score(row) for row in rows]


def test_mixed_rows_with_gaps_score_as_in_a_table(detector):
    table = make_transactions(60, random_state=1).data

    found = scored(detector, table.to_pylist())

    wanted = detector.anomaly_score(table)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)
    cut = detector.threshold_.cut
    np.testing.assert_array_equal(np.array(found) > cut, wanted > cut)


def test_stored_rows_are_scored_without_themselves(detector):
    table = detector.autoencoder_.preprocessor_.decode(
        detector.autoencoder_.module_.rows.numpy()[:20], like=pa.table({})
    )

    found = scored(detector, table.to_pylist())

    np.testing.assert_allclose(found, detector.anomaly_score(table), rtol=1e-4, atol=1e-4)


def test_a_row_without_any_value_is_typical(detector):
    names = detector.feature_names_in_

    assert scored(detector, [dict.fromkeys(names)]) == [0.0]


def test_arrays_score_as_in_a_batch():
    rows = np.random.default_rng(0).normal(size=(300, 4)) * [1, 10, 0.1, 5]
    detector = AnomalyDetector(random_state=0).fit(rows)
    new = rows[:50] * 1.3
    new[3, 1] = np.nan

    found = scored(detector, new)

    np.testing.assert_allclose(found, detector.anomaly_score(new), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", ["12", True, 1e30, float("inf"), datetime.date(2024, 1, 1)])
def test_uncommon_numbers_are_left_to_the_checks_of_a_table(value):
    rows = np.random.default_rng(0).normal(size=(60, 2))
    detector = AnomalyDetector(random_state=0).fit(rows)

    assert scored(detector, [[0.5, value]]) == [None]


def test_unknown_categories_are_warned_of(detector):
    row = make_transactions(1, random_state=1).data.to_pylist()[0]
    name = next(key for key, value in row.items() if isinstance(value, str))

    with pytest.warns(DataWarning, match="never seen"):
        detector.stream().score(row | {name: "elsewhere"})


def test_the_window_of_single_rows_equals_that_of_a_sorted_ring():
    rows = np.random.default_rng(0).normal(size=(400, 3))
    detector = AnomalyDetector(random_state=0).fit(rows[:200])
    alone, together = detector.stream(window=100), detector.stream(window=100)

    found = [alone.score(row) for row in rows[200:]]
    wanted = [together.score_rows(row[None]) for row in rows[200:]]

    p_values = [one.p_value[0] for one in wanted]
    np.testing.assert_allclose([one.p_value for one in found], p_values, atol=0.03)
    assert alone.cut == pytest.approx(together.cut, rel=1e-4)


def test_rows_tied_with_the_calibration_have_the_p_value_of_the_table():
    rows = np.random.default_rng(0).integers(0, 3, size=(400, 3)).astype(float)
    detector = AnomalyDetector(random_state=0).fit(rows)

    found = [detector.stream(window=10**6).score(row) for row in rows[:20]]

    assert [one.p_value for one in found] == detector.p_values(rows[:20]).tolist()
    flags = detector.anomaly_score(rows[:20]) > detector.threshold_.cut
    assert [one.is_anomaly for one in found] == flags.tolist()


def test_other_models_have_no_scorer_of_single_rows():
    rows = np.random.default_rng(0).normal(size=(60, 2))

    assert OneRowScorer.of(AnomalyDetector(robust=True, random_state=0).fit(rows)) is None
    assert isinstance(
        AnomalyDetector(random_state=0).fit(rows).autoencoder_.preprocessor_, TablePreprocessor
    )
