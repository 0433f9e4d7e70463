"""Times are the same numbers whatever their unit."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latently.schema import NANOSECONDS, ticks_of

SECOND = 10**9
UNITS = ("s", "ms", "us", "ns")


@given(
    seconds=st.lists(st.integers(-9 * 10**9, 9 * 10**9), min_size=1, max_size=5),
    unit=st.sampled_from(UNITS),
    fitted=st.sampled_from(UNITS),
    data=st.data(),
)
def test_equal_instants_of_any_unit_give_equal_bits(seconds, unit, fitted, data):
    origin = data.draw(st.sampled_from(seconds)) * SECOND // NANOSECONDS[fitted]
    counts = [second * SECOND // NANOSECONDS[unit] for second in seconds]
    column = pa.chunked_array([pa.array(counts, pa.int64()).cast(pa.timestamp(unit))])
    own = [second * SECOND // NANOSECONDS[fitted] for second in seconds]
    expected = np.array([count - origin for count in own], dtype=np.float64)
    assert np.array_equal(ticks_of(column).since(origin, NANOSECONDS[fitted]), expected)


def test_stamps_a_nanosecond_apart_differ_in_any_year():
    late = 4 * 10**18
    column = pa.chunked_array([pa.array([late, late + 1]).cast(pa.timestamp("ns"))])
    assert ticks_of(column).since(late, 1).tolist() == [0.0, 1.0]


def test_the_rest_of_a_finer_unit_is_a_fraction_of_a_tick():
    column = pa.chunked_array([pa.array([1_500]).cast(pa.timestamp("ms"))])
    assert ticks_of(column).since(0, SECOND).tolist() == [1.5]


def test_years_beyond_the_range_of_nanoseconds_stay_in_order():
    seconds = [-(10**11), -(10**10), 0, 10**10, 10**11]
    column = pa.chunked_array([pa.array(seconds).cast(pa.timestamp("s"))])
    ticks = ticks_of(column).since(1_700_000_000 * SECOND, 1)
    assert (np.diff(ticks) > 0).all()
    assert np.isfinite(ticks).all()


@pytest.mark.parametrize("kind", [pa.date32(), pa.timestamp("s"), pa.timestamp("ns")])
def test_the_phase_of_a_week_begins_on_the_same_weekday(kind):
    days = pa.array(["2024-01-01", "2024-01-08", "2024-01-03"]).cast(pa.timestamp("s")).cast(kind)
    monday, next_monday, wednesday = ticks_of(pa.chunked_array([days])).phase(7 * 86_400.0)
    assert monday == next_monday
    assert wednesday - monday == 2 * 86_400
