"""Plain columns are read quickly: the answer is that of the careful way."""

from __future__ import annotations

import warnings

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latently.exceptions import DataError
from latently.io import TextOptions
from latently.io.text import _infer
from latently.io.text._column import ColumnPlace
from latently.io.text._notes import Notes
from latently.schema import ColumnType, Notation, TableSpec

PLAIN = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.integers(0, 2**66).map(str),
    st.floats(-1e6, 1e6).map(lambda x: f"{x:.3f}"),
    st.floats(allow_nan=False).map(repr),
    st.integers(1_000, 999_999).map(lambda n: f"{n // 1000}.{n % 1000:03d}"),
)
ODD = st.sampled_from(
    [
        *("007", "-0", "+5", "0x1F", "1e5", "1E-3", "5.", ".5", "inf", "-Infinity", "NAN", "nan"),
        *("20240301", "19991231", "20240230", "true", "False", "TRUE", "yes", "1,5", "1.234,5"),
        *("2024-03-01", "2024-03-01 10:00", "2024-03-01T10:00:00Z", "2024-02-30", "31.12.2023"),
        *("10:30", "unknown", "#N/A", ".", "-", "", "x", "A1", "9007199254740993", "1'000", "(5)"),
        *("<3", "5%", " 4"),
    ]
)
COLUMNS = st.one_of(
    st.lists(PLAIN, min_size=1, max_size=12),
    st.lists(ODD, min_size=1, max_size=4),
    st.tuples(st.lists(PLAIN, min_size=1, max_size=30), st.lists(ODD, max_size=2)).map(
        lambda pair: pair[0] + pair[1]
    ),
    st.sampled_from(["007", "2024-03-01", "20240301", "true", "1.234"]).map(lambda c: [c] * 5),
)
SPECS = st.sampled_from(
    [
        None,
        *map(ColumnType, ("double", "int64", "bool", "date32", "string")),
        ColumnType("int64", notation=Notation(".")),
        ColumnType("double", notation=Notation(",")),
    ]
)


def answer(cells: list[str], place: ColumnPlace, *, quick: bool) -> object:
    """Return type, values, notation and decimal sign, or the words of the error."""
    column = pa.chunked_array([pa.array([cell or None for cell in cells], pa.string())])
    try:
        draft = _infer.draft_column(column, place, quick=quick)
        read = draft.finish([draft.decimal] if draft.decimal else [])
    except DataError as error:
        return str(error)
    values = [str(value) for value in read.values.to_pylist()]
    return read.values.type, values, read.notation, draft.decimal, str(read.problem)


@settings(max_examples=400, deadline=None)
@given(
    cells=COLUMNS,
    delimiter=st.sampled_from([",", ";", "\t"]),
    decimal=st.sampled_from([None, ".", ","]),
    kind=SPECS,
)
def test_the_quick_way_and_the_careful_way_give_one_answer(cells, delimiter, decimal, kind):
    like = None if kind is None else TableSpec("pyarrow", "float64", ("v",), (kind,))
    options = TextOptions(decimal=decimal, like=like)
    answers = []
    for quick in (True, False):
        notes = Notes()
        place = ColumnPlace("t.csv", "v", delimiter, options, notes)
        answers.append((answer(cells, place, quick=quick), _words(notes)))
    assert answers[0] == answers[1]


def _words(notes: Notes) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        notes.warn()
    return [str(entry.message) for entry in caught]


@pytest.mark.parametrize("cells", [["1", "2"], ["1.5", "2"], ["true"], ["2024-01-01"]])
def test_plain_cells_are_read_quickly(cells):
    place = ColumnPlace("t.csv", "v", ",", TextOptions(), Notes())
    assert _infer._quick_draft(pa.chunked_array([cells]), place) is not None
