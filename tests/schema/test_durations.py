"""Durations in text: as pandas, Python and ISO 8601 write them."""

import datetime as dt

import pandas as pd
import pyarrow as pa
import pytest

from latently.schema import parse_durations, write_durations

SPANS = ["1 days 02:03:04", "-1 days +23:59:00", "0 days 10:00:00", "0 days 00:10:20.5",
         "-3 days +00:00:00", "1 days 00:00:00.000000001"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 days 02:03:04", 93_784),
        ("02:03:04.5", 7384.5),
        ("-00:01:00", -60),
        ("-1 days +23:59:00", -60),
        ("-1 day, 23:59:00", -60),
        ("-1 days 00:01:00", -86_460),
        ("2 days", 172_800),
        ("P1DT2H3M4S", 93_784),
        ("-PT1M", -60),
        ("PT0.25S", 0.25),
    ],
)
def test_a_duration_is_read(text, seconds):
    assert parse_durations(pa.array([text])).to_pylist() == [dt.timedelta(seconds=seconds)]


@pytest.mark.parametrize("text", ["", "P", "5", "12:30", "soon", "999999 days", "1 days 2"])
def test_other_text_is_no_duration(text):
    assert parse_durations(pa.array([text])).null_count == 1


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_written_durations_are_those_of_pandas_and_are_read_again(unit):
    spans = pd.Series(pd.to_timedelta([*SPANS, None])).astype("timedelta64[ns]")
    column = pa.chunked_array([pa.array(spans)]).cast(pa.duration(unit), safe=False)
    texts = write_durations(column)
    nanoseconds = pa.duration("ns")
    assert parse_durations(texts).cast(nanoseconds).equals(column.cast(nanoseconds))
    if unit == "ns":
        assert texts.to_pylist() == [*SPANS, None]
        assert pd.to_timedelta(texts.to_pandas()).equals(spans)
