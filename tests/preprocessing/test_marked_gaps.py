"""Words that stand for gaps in frames: numbers beside them are numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently.preprocessing import fill_missing, mark_missing, restore

NUMBERS = [1.5, "unknown", 2.5, "?"]


def test_numbers_and_words_in_a_frame_of_objects_are_numbers_with_gaps():
    frame = pd.DataFrame({"a": NUMBERS, "b": [1, 2, 3, 4]})
    marked = mark_missing(frame, ["unknown", "?"])
    assert marked.to_pydict() == {"a": [1.5, None, 2.5, None], "b": [1, 2, 3, 4]}


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_texts_of_numbers_are_numbers_once_the_word_is_gone(library):
    frame = library({"a": ["1.5", "unknown", "2.5"], "b": ["x", "unknown", "y"]})
    marked = mark_missing(frame, "unknown")
    assert marked.to_pydict() == {"a": [1.5, None, 2.5], "b": ["x", None, "y"]}


def test_a_list_of_marks_counts_in_arrays():
    found = mark_missing(np.array([[1.0, -999.0], [-1.0, 2.0]]), [-999, -1, "unknown"])
    np.testing.assert_array_equal(found, [[1.0, np.nan], [np.nan, 2.0]])


def test_words_that_were_not_filled_come_back():
    frame = pd.DataFrame({"a": NUMBERS, "b": ["unknown", 1, 2, 3]})
    words = ["unknown", "?"]
    filled = mark_missing(frame, words).set_column(1, "b", pa.array([0.0, 1, 2, 3]))
    back = restore(frame, filled, words)
    assert back["a"].tolist() == NUMBERS
    assert back["b"].tolist() == [0, 1, 2, 3]


def test_the_notation_of_a_table_survives_its_marking():
    field = pa.field("a", pa.string(), metadata={b"latently.notation": b"{}"})
    table = pa.table([["x", "gone"]], schema=pa.schema([field]))
    assert mark_missing(table, "gone").schema.field("a").metadata == field.metadata


@pytest.mark.parametrize("kind", ["Int64", "UInt64", "int64[pyarrow]", object])
def test_large_whole_numbers_keep_their_digits_beside_gaps(kind):
    numbers = pd.Series([2**60 + 1, None, 2**60 + 3], dtype=kind)
    rows = pd.DataFrame({"number": numbers, "x": [1.0, 2.0, np.nan]})
    filled = fill_missing(rows, rows.assign(x=[1.0, 2.0, 3.0]), [1])
    assert filled["number"].dtype == numbers.dtype
    assert [filled["number"][0], filled["number"][2]] == [2**60 + 1, 2**60 + 3]
    assert pd.isna(filled["number"][1])
