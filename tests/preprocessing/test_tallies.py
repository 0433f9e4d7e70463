"""A table judged piece by piece is judged as a whole."""

import numpy as np
import pyarrow as pa
import pytest

from latently.datasets import make_transactions
from latently.exceptions import DataError, DataWarning
from latently.preprocessing import TablePreprocessor, _tallies
from latently.preprocessing._tallies import Moments


def pieces_of(table, size):
    return [table.slice(start, size) for start in range(0, table.num_rows, size)]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_moments_of_parts_add_up_to_those_of_the_whole(size):
    rng = np.random.default_rng(0)
    numbers = rng.normal(5.0, 3.0, size=(50, 4))
    numbers[rng.random(numbers.shape) < 0.3] = np.nan
    numbers[:20, 3] = np.nan
    whole = Moments.of(numbers)
    parts = [Moments.of(numbers[start : start + size]) for start in range(0, 50, size)]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined.joined(part)
    assert joined.n_rows == 50 and (joined.n_values == whole.n_values).all()
    np.testing.assert_allclose(joined.center, np.nanmean(numbers, 0), rtol=1e-12)
    np.testing.assert_allclose(joined.scale, np.nanstd(numbers, 0), rtol=1e-12)
    np.testing.assert_array_equal(joined.low, np.nanmin(numbers, 0))
    np.testing.assert_array_equal(joined.high, np.nanmax(numbers, 0))


def test_a_column_of_one_value_has_scale_one_however_it_is_cut():
    part = Moments.of(np.full((3, 1), 0.1))
    assert part.joined(part).scale == [1.0] and part.joined(part).center == [0.1]


def test_a_mixed_table_in_pieces_is_encoded_as_the_whole():
    table = make_transactions(300, random_state=0).data
    pieces = pieces_of(table, 41)
    streamed = TablePreprocessor.fit_pieces(iter(pieces))
    whole = TablePreprocessor.fit_pieces([table])
    assert streamed.spec == whole.spec and streamed.layout == whole.layout
    np.testing.assert_allclose(streamed.center, whole.center, rtol=1e-12)
    for one, other in zip(streamed.codecs, whole.codecs, strict=True):
        assert one.name == other.name
        assert getattr(one, "categories", ()) == getattr(other, "categories", ())
        assert getattr(one, "periods", ()) == getattr(other, "periods", ())


def test_frequent_texts_are_kept_where_there_are_too_many_to_count(monkeypatch):
    monkeypatch.setattr(_tallies, "_MAX_COUNTED", 200)
    rng = np.random.default_rng(0)
    words = [f"often {n % 5}" if n % 2 else f"once {n}" for n in range(4_000)]
    table = pa.table({"w": rng.permutation(words)})
    with pytest.warns(DataWarning, match=r"more than .* different values"):
        found = TablePreprocessor.fit_pieces(pieces_of(table, 100))
    kept = found.codecs[0].categories
    assert {f"often {n}" for n in range(5)} <= set(kept) and len(kept) == 100


def test_categories_of_later_pieces_are_known():
    pieces = [pa.table({"w": pa.array([w] * 3).dictionary_encode()}) for w in ("b", "a", "b")]
    assert TablePreprocessor.fit_pieces(pieces).codecs[0].categories == ("b", "a")


def test_infinity_in_a_later_piece_is_placed():
    pieces = [pa.table({"x": [0.0, 1.0]}), pa.table({"x": [0.0, np.inf]})]
    with pytest.raises(DataError, match=r"row 1, column 'x'.*counted from row 2 on"):
        TablePreprocessor.fit_pieces(pieces)
