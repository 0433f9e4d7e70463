"""A column of a batch is read into its kind of fit, or refused."""

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from latently.exceptions import DataError, DataWarning
from latently.schema import ColumnType, conform, like_categories

NUMBER, TRUTH, TEXT = ColumnType("double"), ColumnType("bool"), ColumnType("string")
INSTANT = ColumnType("timestamp", unit="us")
ZONED = ColumnType("timestamp", unit="us", zone="Europe/Berlin")
DATE, SPAN, CLOCK = ColumnType("date32"), ColumnType("duration", unit="s"), ColumnType("time64")
NOON = dt.datetime(2024, 5, 1, 12)


def read(values, kind):
    column = values if isinstance(values, pa.ChunkedArray) else pa.chunked_array([pa.array(values)])
    return conform(column, kind, "col")


@pytest.mark.parametrize("kind", [NUMBER, TRUTH, TEXT, INSTANT, ZONED, DATE, SPAN, CLOCK])
@pytest.mark.parametrize(
    "empty", [[None, None], [float("nan"), None], pa.array([None], pa.string())], ids=str
)
def test_a_column_without_values_is_missing_whatever_its_type(kind, empty):
    assert read(empty, kind).null_count == len(empty)


@pytest.mark.parametrize(
    ("values", "kind", "answer"),
    [
        (["1.5", " 2 ", None], NUMBER, [1.5, 2.0, None]),
        (["1e3", "", "nan"], NUMBER, [1000.0, None, None]),
        ([True, False], NUMBER, [1, 0]),
        ([Decimal("1.25")], NUMBER, [Decimal("1.25")]),
        (["true", "FALSE", None], TRUTH, [True, False, None]),
        ([1.0, 0.0, None], TRUTH, [True, False, None]),
        (["2024-05-01T12:00:00"], INSTANT, [NOON]),
        (["2024-05-01"], DATE, [dt.datetime(2024, 5, 1)]),
        (["12:00:30"], CLOCK, [dt.time(12, 0, 30)]),
        ([dt.timedelta(seconds=3)], SPAN, [dt.timedelta(seconds=3)]),
    ],
    ids=str,
)
def test_values_of_another_type_are_read_as_the_kind_of_fit(values, kind, answer):
    assert read(values, kind).to_pylist() == answer


@pytest.mark.parametrize(
    ("values", "kind", "match"),
    [
        ([1, 2], INSTANT, "must hold dates"),
        ([1.0], DATE, "must hold dates"),
        ([dt.timedelta(1)], INSTANT, "must hold dates"),
        ([1], SPAN, "must hold durations"),
        ([1], CLOCK, "must hold times of day"),
        ([NOON], NUMBER, "must hold numbers"),
        (["1", "one"], NUMBER, "'one' in row 1"),
        ([2, 1], TRUTH, "must hold true and false"),
        (["maybe"], TRUTH, "must hold true and false"),
        (["2024-13-45"], INSTANT, "'2024-13-45' in row 0"),
    ],
    ids=str,
)
def test_values_of_another_kind_are_refused_with_the_column_and_the_remedy(values, kind, match):
    with pytest.raises(DataError, match=f"'col' .*{match}|{match}"):
        read(values, kind)


def test_instants_of_any_zone_are_those_of_a_fit_with_a_zone():
    berlin = pa.chunked_array([pa.array([NOON]).cast(pa.timestamp("us", "America/New_York"))])
    assert read(berlin, ZONED).cast(pa.int64()) == berlin.cast(pa.int64())


def test_times_without_a_zone_are_clock_times_of_the_zone_of_fit_and_this_is_said():
    with pytest.warns(DataWarning, match="taken for times in Europe/Berlin: 'col'"):
        found = read([NOON], ZONED)
    assert found.cast(pa.int64()).to_pylist() == [int(dt.datetime(2024, 5, 1, 10, tzinfo=dt.UTC).timestamp()) * 10**6]  # fmt: skip # noqa: E501


def test_times_with_a_zone_are_their_clock_times_for_a_fit_without_and_this_is_said():
    aware = pa.chunked_array([pa.array([NOON]).cast(pa.timestamp("us", "UTC"))])
    with pytest.warns(DataWarning, match="have a time zone"):
        assert read(aware, INSTANT).to_pylist() == [NOON]


@pytest.mark.parametrize(
    ("values", "categories", "answer"),
    [
        ([12, 7], ("12", "a"), ["12", "7"]),
        ([12.0, None], ("12", "a"), ["12", None]),
        ([1.5], ("1.5",), ["1.5"]),
        ([True], ("True", "False"), ["True"]),
        ([True], ("true", "maybe"), ["true"]),
        (["3", "4"], (3, 4), [3, 4]),
        ([3.0, None], (3, 4), [3, None]),
        ([3], (3.0, 4.5), [3.0]),
    ],
    ids=str,
)
def test_values_are_compared_in_the_type_of_the_categories(values, categories, answer):
    column = pa.chunked_array([pa.array(values)])
    assert like_categories(column, categories, "col").to_pylist() == answer


def test_a_number_with_decimals_is_none_of_whole_categories():
    found = like_categories(pa.chunked_array([pa.array([3.5])]), (3, 4), "col").to_pylist()
    assert found[0] is not None
    assert found[0] not in (3, 4)


def test_dates_are_no_texts():
    with pytest.raises(DataError, match="must hold texts"):
        like_categories(pa.chunked_array([pa.array([NOON])]), ("a",), "col")
