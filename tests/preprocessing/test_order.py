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
    assert same(rows[canonical_order(rows).places], turned[canonical_order(turned).places])


@pytest.mark.parametrize("library", LIBRARIES)
def test_frames_are_sorted_the_same_in_any_order(library):
    frame = nw.from_native(transactions(library), eager_only=True)
    turned = frame[PERMUTATION.tolist()]
    one = frame[canonical_order(frame).places.tolist()].to_native()
    other = turned[canonical_order(turned).places.tolist()].to_native()
    assert to_arrow(one).to_pylist() == to_arrow(other).to_pylist()


def test_three_libraries_have_one_order():
    orders = [
        canonical_order(nw.from_native(transactions(lib), eager_only=True)).places
        for lib in LIBRARIES
    ]
    assert same(orders[0], orders[1])
    assert same(orders[0], orders[2])


def test_equal_rows_lie_together():
    rows = np.repeat(matrix(40), 5, axis=0)[PERMUTATION]
    groups = rows[canonical_order(rows).places].reshape(40, 5, 5)
    assert (groups == groups[:, :1]).all()


def test_every_row_occurs_once():
    assert sorted(canonical_order(matrix(200)).places) == list(range(200))


def test_minus_zero_is_zero():
    rows = matrix(50)
    rows[::2, 1] = 0.0
    signed = rows.copy()
    signed[::4, 1] = -0.0
    assert same(canonical_order(rows).places, canonical_order(signed).places)


def test_one_changed_bit_changes_the_place_of_no_other_row():
    rows = matrix(200)
    changed = rows.copy()
    changed[7, 3] = np.nextafter(changed[7, 3], np.inf)
    before, after = canonical_order(rows).places, canonical_order(changed).places
    assert same(before[before != 7], after[after != 7])


def test_the_order_has_nothing_to_do_with_the_values():
    rows = np.arange(2_000.0)[:, None]
    assert abs(np.corrcoef(canonical_order(rows).places, rows[:, 0])[0, 1]) < 0.1


def test_a_row_keeps_its_place_when_others_leave():
    frame = nw.from_native(transactions("pandas"), eager_only=True)
    order = canonical_order(frame).places
    half = frame[list(range(100))]
    assert same(canonical_order(half).places, order[order < 100])


def test_equal_rows_and_no_others_have_one_number():
    rows = matrix(50)[np.array([0, 1, 2, 1, 0, 3])]
    places, content = canonical_order(rows)
    numbers = dict(zip(places.tolist(), content.tolist(), strict=True))
    assert numbers[0] == numbers[4] and numbers[1] == numbers[3]
    assert len(set(numbers.values())) == 4
