"""Rows have one order, whatever order they came in."""

import narwhals as nw
import numpy as np
import pytest

from latently.preprocessing import canonical_order
from tests.contract.samples import LIBRARIES, matrix, same, stack, to_arrow, transactions

PERMUTATION = np.random.default_rng(1).permutation(200)


@pytest.mark.parametrize(
    "rows",
    [
        matrix(200),
        matrix(200).astype("float32"),
        (matrix(200) * 10).astype("int8"),
        matrix(200) > 0,
        np.where(matrix(200) > 0, matrix(200), np.nan),
        stack(200, 3, 3),
        stack(200, 3, 3, 3, dtype="uint8"),
    ],
    ids=["double", "single", "whole", "truths", "gaps", "images", "colours"],
)
def test_arrays_are_sorted_the_same_in_any_order(rows):
    turned = rows[PERMUTATION]
    assert same(rows[canonical_order(rows)], turned[canonical_order(turned)])


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_are_sorted_the_same_in_any_order(library):
    frame = nw.from_native(transactions(library), eager_only=True)
    turned = frame[PERMUTATION.tolist()]
    one = frame[canonical_order(frame).tolist()].to_native()
    other = turned[canonical_order(turned).tolist()].to_native()
    assert to_arrow(one).to_pylist() == to_arrow(other).to_pylist()


def test_three_libraries_have_one_order():
    orders = [
        canonical_order(nw.from_native(transactions(lib), eager_only=True)) for lib in LIBRARIES
    ]
    assert same(orders[0], orders[1])
    assert same(orders[0], orders[2])


def test_equal_rows_lie_together():
    rows = np.repeat(matrix(40), 5, axis=0)[PERMUTATION]
    groups = rows[canonical_order(rows)].reshape(40, 5, 5)
    assert (groups == groups[:, :1]).all()


def test_every_row_occurs_once():
    assert sorted(canonical_order(matrix(200))) == list(range(200))


def test_minus_zero_is_zero():
    rows = matrix(50)
    rows[::2, 1] = 0.0
    signed = rows.copy()
    signed[::4, 1] = -0.0
    assert same(canonical_order(rows), canonical_order(signed))


def test_one_changed_bit_changes_the_place_of_no_other_row():
    rows = matrix(200)
    changed = rows.copy()
    changed[7, 3] = np.nextafter(changed[7, 3], np.inf)
    before, after = canonical_order(rows), canonical_order(changed)
    assert same(before[before != 7], after[after != 7])


def test_the_order_has_nothing_to_do_with_the_values():
    rows = np.arange(2_000.0)[:, None]
    assert abs(np.corrcoef(canonical_order(rows), rows[:, 0])[0, 1]) < 0.1


def test_a_row_keeps_its_place_when_others_leave():
    frame = nw.from_native(transactions("pandas"), eager_only=True)
    order = canonical_order(frame)
    half = frame[list(range(100))]
    assert same(canonical_order(half), order[order < 100])
