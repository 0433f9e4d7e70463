"""A budget holds for the batch at hand, or for each hour, day, week or month of it."""

import warnings
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently import AlertBudget, AnomalyDetector, FalseAlarmRate, load
from latently.exceptions import DataError, DataWarning, ParameterError
from latently.io import TableDataset
from latently.tasks.thresholds._budgets import periods_of

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
NAMES = ["a", "b", "c"]


def week(n_a_day=50, seed=1, days=7):
    """Rows of a week, the first days the wildest."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n_a_day * days, 3))
    values[:n_a_day] *= 8
    times = [
        START + timedelta(days=day, minutes=20 * place % 1440)
        for day in range(days)
        for place in range(n_a_day)
    ]
    return pd.DataFrame(values, columns=NAMES).assign(when=pd.to_datetime(times))


@pytest.fixture(scope="module")
def detector():
    rows = week(60, seed=0)[NAMES][60:]
    return AnomalyDetector(threshold=FalseAlarmRate(0.05), random_state=0).fit(rows)


def per_day(n):
    return AlertBudget(n, per="day", time="when")


def test_a_budget_on_a_batch_flags_the_most_unusual_rows(detector):
    rows = week()
    flags = detector.alerts(rows[NAMES], AlertBudget(20)) == -1
    scores = detector.anomaly_score(rows[NAMES])
    assert flags.sum() == 20 and scores[flags].min() > scores[~flags].max()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "dataset"])
def test_each_day_has_its_own_budget_in_any_library(detector, library, tmp_path):
    rows = week()
    days, scores = rows.when.dt.date, detector.anomaly_score(rows[NAMES])
    made = {"pandas": rows, "polars": pl.from_pandas(rows), "pyarrow": pa.table(rows)}.get(library)
    if library == "dataset":
        pq.write_table(pa.table(rows), tmp_path / "rows.parquet", row_group_size=40)
        made = TableDataset(tmp_path / "rows.parquet")
    flags = detector.alerts(made, per_day(4)) == -1
    assert pd.Series(flags).groupby(days).sum().tolist() == [4] * 7
    for day in days.unique():
        here = (days == day).to_numpy()
        assert scores[here & flags].min() > scores[here & ~flags].max()


def test_a_fixed_cut_keeps_the_budget_of_every_day_it_was_chosen_by(detector):
    import copy

    rows = week()
    fitted = copy.deepcopy(detector).set_threshold(per_day(4), rows)
    flags = fitted.decision_function(rows[NAMES]) < 0
    counts = pd.Series(flags).groupby(rows.when.dt.date).sum()
    assert counts.max() == 4 and counts.min() < 4
    assert "4 alerts at most in each of 7 days" in str(fitted.threshold_)


def test_a_time_may_be_a_column_of_the_model_and_the_rule_is_saved(tmp_path):
    rows = week()
    with pytest.warns(DataWarning, match=r"fixed cut .* later batches varies"):
        fitted = AnomalyDetector(threshold=per_day(3), random_state=0).fit(rows)
    fitted.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.rule_.get_params() == {"n_alerts": 3, "per": "day", "time": "when"}
    np.testing.assert_array_equal(again.alerts(rows, again.rule_), fitted.alerts(rows, per_day(3)))
    with pytest.warns(DataWarning, match="fixed cut"):
        AnomalyDetector(threshold=AlertBudget(3), random_state=0).fit(rows)


def test_none_of_the_rows_that_tie_at_the_end_of_a_budget_is_flagged():
    scores = np.array([5.0, 4.0, 4.0, 4.0, 1.0, 9.0, 1.0, 0.0])
    periods = np.array([0, 0, 0, 0, 0, 1, 1, 1])
    budget = AlertBudget(2, per="day", time="when")
    with pytest.warns(DataWarning, match="3 rows share the score at the end of the budget"):
        flags = budget.flags(scores, periods)
    assert flags.tolist() == [True, *[False] * 4, True, True, False]


def test_days_with_fewer_rows_than_the_budget_are_flagged_whole_and_counted(detector):
    rows = week()
    with pytest.warns(DataWarning, match="1 of 2 days have no more than 4 rows, all of which"):
        flags = detector.alerts(rows[:53], per_day(4)) == -1
    assert flags[:50].sum() == 4 and flags[50:].all()
    with pytest.raises(DataError, match="would flag all 3 rows"):
        detector.alerts(rows[:3], per_day(4))


def test_rows_without_a_time_share_a_budget_of_their_own(detector):
    rows = week()
    rows.loc[rows.index[::10], "when"] = pd.NaT
    with pytest.warns(DataWarning, match="35 rows have no time in column 'when'"):
        flags = detector.alerts(rows, per_day(4)) == -1
    assert flags[::10].sum() == 4 and flags.sum() == 4 * 8


def test_days_are_those_of_the_zone_of_the_column():
    berlin = ZoneInfo("Europe/Berlin")
    late = datetime(2026, 7, 1, 23, 30, tzinfo=UTC)  # the second of July in Berlin
    early = datetime(2026, 7, 1, 1, 0, tzinfo=UTC)
    for zone, n_days in ((UTC, 1), (berlin, 2)):
        column = pa.chunked_array([pa.array([early.astimezone(zone), late.astimezone(zone)])])
        assert len(set(periods_of(column, "day", "when"))) == n_days


def test_an_hour_that_the_clock_repeats_is_two_hours():
    zone = ZoneInfo("Europe/Berlin")
    minutes = [datetime(2026, 10, 25, 0, 30, tzinfo=UTC) + timedelta(hours=h) for h in range(4)]
    column = pa.chunked_array([pa.array([moment.astimezone(zone) for moment in minutes])])
    assert len(set(periods_of(column, "hour", "when"))) == 4
    assert len(set(periods_of(column, "day", "when"))) == 1


@pytest.mark.parametrize(("per", "n"), [("hour", 240), ("day", 10), ("week", 2), ("month", 1)])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_periods_are_those_of_the_calendar_in_any_unit(per, n, unit):
    moments = [START + timedelta(hours=hour) for hour in range(240)]
    column = pa.chunked_array([pa.array(moments, pa.timestamp(unit, "UTC"))])
    assert len(set(periods_of(column, per, "when"))) == n
    texts = pa.chunked_array([pa.array([moment.isoformat() for moment in moments])])
    np.testing.assert_array_equal(
        np.unique(periods_of(texts, per, "when"), return_inverse=True)[1],
        np.unique(periods_of(column, per, "when"), return_inverse=True)[1],
    )


@pytest.mark.parametrize(
    ("column", "per", "words"),
    [
        (pa.array([1.0, 2.0]), "day", "must name a column of dates or times, got double"),
        (pa.array(["x", "y"]), "day", "must name a column of dates or times, got string"),
        (pa.array([None, None]), "day", "must name a column of dates"),
        (pa.array([None, None], pa.timestamp("us")), "day", "holds no time at all"),
        (pa.array([START.date()] * 2), "hour", 'per="hour" needs a time of day'),
    ],
    ids=str,
)
def test_columns_that_hold_no_times_are_refused(column, per, words):
    with pytest.raises(DataError, match=words):
        periods_of(pa.chunked_array([column]), per, "when")


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (AlertBudget(3, per="day"), "time must name a column"),
        (AlertBudget(3, time="when"), "time must be None unless per is a period"),
        (AlertBudget(3, per=100, time="when"), "time must be None unless per is a period"),
        (AlertBudget(3, per="year", time="when"), "per"),
    ],
    ids=str,
)
def test_budgets_whose_parts_do_not_fit_are_refused(detector, budget, words):
    with pytest.raises(ParameterError, match=words):
        detector.alerts(week(), budget)


def test_rows_without_the_time_are_refused(detector):
    with pytest.raises(DataError, match=r"time must be a column of the rows, got 'day'"):
        detector.alerts(week(), AlertBudget(3, per="day", time="day"))
    with pytest.raises(DataError, match="rows without column names"):
        detector.alerts(week()[NAMES].to_numpy(), per_day(3))


def test_a_budget_set_on_a_batch_given_for_it_does_not_warn(detector):
    import copy

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy.deepcopy(detector).set_threshold(AlertBudget(5), week()[NAMES])
