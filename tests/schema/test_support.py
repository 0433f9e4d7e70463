"""Values that a column can hold are found, and answers are moved onto them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latently.schema import Evidence, evidence_of, support_of

RNG = np.random.default_rng(0)
DAY = 86_400


def support(*columns, masses=True):
    matrix = np.column_stack(columns).astype(float)
    spreads = np.array([spread(column) for column in matrix.T])
    gaps = np.isnan(matrix).mean(0)
    n = matrix.shape[1]
    return support_of(evidence_of(matrix), [0] * n, spreads, gaps, [masses] * n)


def spread(values):
    return values[~np.isnan(values)].std() if (~np.isnan(values)).any() else 1.0


def of_times(seconds, **kind):
    evidence = Evidence(10**9, **kind).update(np.asarray(seconds, np.int64), len(seconds))
    origin = int(min(seconds))
    found = support_of([evidence], [origin], np.array([np.std(seconds)]), np.zeros(1), [True])
    return lambda answers: found.snapped(np.array(answers, float)[:, None] - origin)[:, 0] + origin


def snapped(values, answers, rounding="nearest"):
    return support(values).snapped(np.array(answers, float)[:, None], rounding)[:, 0].tolist()


@pytest.mark.parametrize(
    ("values", "answers", "expected"),
    [
        (np.full(9, 3.5), [3.1, 7.0, -1], [3.5, 3.5, 3.5]),
        (np.arange(30.0), [2.4, 2.6, -3.0, 99.0], [2.0, 3.0, 0.0, 29.0]),
        (np.arange(30) / 10, [0.34, 0.06], [0.3, 0.1]),
        (np.arange(30) * 0.25, [0.3, 0.4], [0.25, 0.5]),
        (np.arange(30) * 500.0, [740.0, 760.0], [500.0, 1000.0]),
        (np.arange(30) * 3.0 + 1, [5.0, 6.0], [4.0, 7.0]),
        (-np.arange(30.0), [-2.4, 3.0], [-2.0, 0.0]),
    ],
    ids=["constant", "whole", "tenths", "quarters", "hundreds", "every third", "negative"],
)
def test_answers_are_moved_to_the_grid_within_the_bounds(values, answers, expected):
    assert snapped(values, answers) == expected


def test_few_values_show_decimals_but_no_coarser_step():
    assert snapped([10.0, 20.0, 40.0], [17.3]) == [17.0]


def test_numbers_without_a_grid_are_only_held_to_their_bounds():
    values = RNG.normal(size=500)
    answers = [0.123456789, 1e9]
    assert snapped(values, answers) == [0.123456789, values.max()]


def test_single_precision_has_the_grid_of_its_decimals():
    values = np.round(RNG.random(300), 2).astype(np.float32)
    assert snapped(values, [0.1234]) == [0.12]


def test_floats_too_large_for_decimals_have_no_grid():
    values = RNG.random(50) * 1e150
    assert snapped(values, [5e149]) == [5e149]


def test_ends_of_intervals_are_moved_outwards_and_values_of_the_grid_stay():
    values = np.arange(30) / 10
    assert snapped(values, [0.34, 0.3], "down") == [0.3, 0.3]
    assert snapped(values, [0.34, 0.3], "up") == [0.4, 0.3]


def test_free_answers_stay_as_they_are():
    assert snapped(np.arange(9.0), [2.34, 99.0], "free") == [2.34, 99.0]


def test_a_point_mass_takes_answers_nearer_to_it_than_to_the_next_value():
    values = np.r_[np.zeros(80), RNG.uniform(100, 200, 20)]
    least = values[values > 0].min()
    assert snapped(values, [0.4 * least, -3.0, 0.6 * least]) == [0.0, 0.0, 0.6 * least]


def test_a_calibrated_mass_takes_its_share_of_the_answers():
    values = np.r_[np.zeros(700), RNG.exponential(size=300)]
    answers = RNG.normal(size=(2_000, 1))
    found = support(values).calibrated(answers).snapped(answers)
    assert (found == 0).mean() == pytest.approx(0.7, abs=0.01)


@pytest.mark.parametrize("levels", [[0, 1], [0, 1, 2, 3], [1, 2.5, 7]])
def test_generated_rows_hold_few_levels_as_often_as_the_training_rows(levels):
    shares = np.array([0.9, *([0.1 / (len(levels) - 1)] * (len(levels) - 1))])
    values = np.repeat(levels, (1_000 * shares).round().astype(int))
    drawn = RNG.normal(np.mean(values), np.std(values), size=(3_000, 1))
    found = support(values).calibrated(drawn, generated=True).snapped(drawn)[:, 0]
    for level, share in zip(levels, shares, strict=True):
        assert (found == level).mean() == pytest.approx(share, abs=2e-3)


def test_reconstructions_of_few_levels_go_to_the_nearest():
    values = np.repeat([0.0, 1.0], [95, 5])
    answers = RNG.uniform(0, 1, size=(100, 1))
    found = support(values).calibrated(answers).snapped(answers)
    assert np.array_equal(found, np.rint(answers))


def test_masses_take_no_answer_nearer_to_another_mass():
    values = np.repeat([0.0, 100.0, 200.0], 50) + np.r_[1e-3, np.zeros(149)]
    crowded = np.r_[np.full(100, 1.0), np.full(50, 199.0)][:, None]
    found = support(values).calibrated(crowded).snapped(crowded)
    assert set(found.ravel()) == {0.0, 200.0}


def test_a_column_without_values_answers_nothing():
    found = support(np.full(5, np.nan), np.arange(5.0)).snapped(np.ones((1, 2)))
    assert math.isnan(found[0, 0])
    assert found[0, 1] == 1


def test_whole_days_stay_whole_days():
    snap = of_times(np.arange(40) * DAY, is_instant=True)
    assert snap([5.4 * DAY, 5.6 * DAY, -DAY]).tolist() == [5 * DAY, 6 * DAY, 0]


def test_a_time_of_every_day_comes_back_on_any_day():
    snap = of_times(np.arange(40) * DAY + 9 * 3_600, is_instant=True)
    assert (snap(np.linspace(0, 40 * DAY, 99)) % DAY == 9 * 3_600).all()


def test_hours_of_business_hold_and_the_night_is_parted_in_its_middle():
    opened, closed = 9 * 3_600, 17 * 3_600
    days = np.repeat(np.arange(30), 20) * DAY
    snap = of_times(
        days + np.tile(np.linspace(opened, closed, 20).astype(int), 30), is_instant=True
    )
    evening, morning = 3 * DAY + 20 * 3_600, 4 * DAY + 7 * 3_600
    assert snap([evening, morning]).tolist() == [3 * DAY + closed, 4 * DAY + opened]
    phases = snap(np.linspace(0, 30 * DAY, 999)) % DAY
    assert phases.min() >= opened
    assert phases.max() <= closed


def test_durations_have_no_hours():
    snap = of_times(np.arange(0, 40 * DAY, 7_201))
    assert snap([DAY * 3.0]) % 1 == 0


columns = hnp.arrays(
    np.float64,
    st.integers(1, 40),
    elements=st.one_of(
        st.integers(-50, 50).map(float),
        st.integers(-500, 500).map(lambda n: n / 100),
        st.floats(-1e9, 1e9, allow_nan=False),
        st.just(math.nan),
    ),
)


@given(values=columns, answers=hnp.arrays(np.float64, 7, elements=st.floats(-1e12, 1e12)))
def test_answers_lie_within_the_support_and_stay_there(values, answers):
    """Bounds hold, values of training rows stay, and a second move changes nothing."""
    found = support(values)
    once = found.snapped(answers[:, None])
    assert np.array_equal(found.snapped(once), once, equal_nan=True)
    seen = values[~np.isnan(values)]
    if len(seen):
        assert once.min() >= seen.min()
        assert once.max() <= seen.max()
        assert np.array_equal(found.snapped(seen[:, None])[:, 0], seen)


@given(values=columns, cut=st.integers(0, 40))
def test_pieces_give_the_support_of_the_whole(values, cut):
    whole = support(values)
    first = evidence_of(values[:cut, None])
    merged = Evidence()
    for part in (first[0], evidence_of(values[cut:, None])[0]):
        merged.merge(part.state())
    gaps = np.array([np.isnan(values).mean()])
    found = support_of([merged], [0], np.array([spread(values)]), gaps, [True])
    for name in ("low", "high", "factor"):
        assert np.array_equal(getattr(found, name), getattr(whole, name), equal_nan=True), name
    # A part with few values may show a common step of its own only by chance.
    assert (whole.step == 0).all() == (found.step == 0).all()


def test_further_rows_widen_bounds_and_end_a_grid_that_they_do_not_lie_on():
    found = support(np.arange(30.0), np.arange(30.0))
    more = found.extended(np.array([[50.0, 3.5], [np.nan, np.nan]]), np.full(2, 1e-6))
    assert more.snapped(np.array([[48.6, 3.4], [-1.0, 60.0]])).tolist() == [
        [49.0, 3.4],
        [0.0, 29.0],
    ]


def test_further_rows_within_the_support_change_nothing_but_rounding():
    found = support(np.arange(30) / 10)
    again = found.extended((np.arange(30) / 10)[:, None] * (1 + 1e-15), np.full(1, 1e-6))
    for name in ("low", "high", "step"):
        assert np.array_equal(getattr(again, name), getattr(found, name))


# ---------------------------------------------------------------- calendars
def at(*texts):
    return np.array(texts, dtype="datetime64[s]").astype(np.int64)


def read(seconds):
    return [str(moment) for moment in np.array(seconds, np.int64).astype("datetime64[s]")]


def test_hours_over_midnight_hold_and_the_nearer_end_takes_what_is_outside():
    days = np.repeat(np.arange(30), 5)
    snap = of_times(days * DAY + RNG.choice([22, 23, 24, 25, 26], 150) * 3_600, is_instant=True)
    noon = at("1970-01-10T09:00", "1970-01-10T18:00", "1970-01-10T23:00", "1970-01-10T01:00")
    assert read(snap(noon)) == [
        "1970-01-10T02:00:00",
        "1970-01-10T22:00:00",
        "1970-01-10T23:00:00",
        "1970-01-10T01:00:00",
    ]


STARTS = np.arange("1999-01", "2009-01", dtype="datetime64[M]").astype("datetime64[s]")
ENDS = (STARTS.astype("datetime64[M]") + 1).astype("datetime64[D]") - 1


@pytest.mark.parametrize(
    ("dates", "answers", "expected"),
    [
        (STARTS, ("2004-02-14", "2004-02-20"), ["2004-02-01", "2004-03-01"]),
        (STARTS[::3], ("2004-02-14", "2004-02-20"), ["2004-01-01", "2004-04-01"]),
        (STARTS[::12], ("2004-05-14", "2004-08-14"), ["2004-01-01", "2005-01-01"]),
        (ENDS, ("2004-02-12", "2004-02-20"), ["2004-01-31", "2004-02-29"]),
    ],
    ids=["months", "quarters", "years", "ends of months"],
)
def test_first_and_last_days_of_months_come_back(dates, answers, expected):
    snap = of_times(dates.astype("datetime64[s]").astype(np.int64), is_instant=True)
    assert [text[:10] for text in read(snap(at(*answers)))] == expected


def test_weekdays_hold():
    every = np.arange("2024-01-01", "2024-06-01", dtype="datetime64[D]")
    weekdays = every[np.is_busday(every)]
    snap = of_times(weekdays.astype("datetime64[s]").astype(np.int64), is_instant=True)
    answer = snap(every.astype("datetime64[s]").astype(np.int64))
    moved = answer.astype(np.int64).astype("datetime64[s]").astype("datetime64[D]")
    assert np.is_busday(moved).all()
    assert (moved == every)[np.is_busday(every)].all()


def test_dates_of_any_day_keep_any_day():
    snap = of_times(np.arange(400) * DAY, is_instant=True)
    assert (snap(np.arange(400) * DAY) == np.arange(400) * DAY).all()


@pytest.mark.parametrize("dates", [STARTS, ENDS], ids=["first days", "last days"])
def test_pieces_give_the_calendar_of_the_whole(dates):
    seconds = dates.astype("datetime64[s]").astype(np.int64)
    merged = Evidence(10**9, is_instant=True)
    for part in (seconds[:50], seconds[50:]):
        merged.merge(Evidence(10**9, is_instant=True).update(part, len(part)).state())
    whole = Evidence(10**9, is_instant=True).update(seconds, len(seconds))
    assert merged.month(0) == whole.month(0)
    assert merged.day(0) == whole.day(0)
    assert merged.week(0) == whole.week(0)
    assert merged.month(0)[0] == 1


def test_further_times_widen_hours_over_midnight_at_the_nearer_end():
    days = np.repeat(np.arange(30), 5)
    seconds = days * DAY + RNG.choice([22, 23, 24, 25, 26], 150) * 3_600
    evidence = Evidence(10**9, is_instant=True).update(seconds, len(seconds))
    found = support_of([evidence], [0], np.array([np.std(seconds)]), np.zeros(1), [True])
    more = found.extended(np.array([[10 * DAY + 4 * 3_600.0], [11 * DAY + 20 * 3_600.0]]),
                          np.full(1, 1e-6))  # fmt: skip
    answers = np.array([[5], [19], [3], [21]]) * 3_600.0 + 10 * DAY
    hours = (more.snapped(answers)[:, 0] % DAY / 3_600).tolist()
    assert hours == [4, 20, 3, 21]


def test_further_dates_off_the_first_day_of_the_month_end_that_rule():
    seconds = STARTS.astype(np.int64)
    evidence = Evidence(10**9, is_instant=True).update(seconds, len(seconds))
    found = support_of([evidence], [0], np.array([np.std(seconds)]), np.zeros(1), [True])
    middle = at("2004-02-14").astype(float)[:, None]
    assert found.snapped(middle)[0] != middle[0]
    assert found.extended(middle, np.full(1, 1e-6)).snapped(middle)[0] == middle[0]
