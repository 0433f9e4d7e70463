"""Drift is found where columns or scores changed, and rarely where they did not."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently import AnomalyDetector, load, plot_drift
from latently.exceptions import DataError, DataWarning, DriftWarning, NotFittedError, ParameterError
from latently.io import TableDataset
from latently.tasks import Drift, DriftTally
from latently.tasks.anomaly._reference import below_cuts, cuts_of
from tests.tasks.test_alarms import SAME

#: Rare cities are beyond the categories that are kept, or were never seen.
pytestmark = pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")


def table(rng, n):
    """Numbers that go together, heavy tails, counts, flags, categories, a long tail, gaps."""
    size = rng.normal(size=n)
    rows = pd.DataFrame(
        {
            "size": size,
            "weight": 2 * size + 0.3 * rng.normal(size=n),
            "price": np.exp(2 * rng.normal(size=n)),
            "count": rng.poisson(3, n),
            "flag": (rng.random(n) < 0.03).astype(int),
            "kind": rng.choice(list("abcd"), n, p=[0.6, 0.3, 0.08, 0.02]),
            "city": [f"c{min(int(k), 10**6)}" for k in rng.zipf(1.6, n)],
            "open": rng.random(n) < 0.3,
            "took": pd.to_timedelta(np.round(rng.exponential(60, n)), unit="s"),
        }
    )
    rows.loc[rng.random(n) < 0.1, "price"] = np.nan
    rows.loc[rng.random(n) < 0.05, "kind"] = None
    rows.loc[rng.random(n) < 0.3, "weight"] = np.nan
    return rows


def at_seed(seed, n):
    return table(np.random.default_rng(seed), n)


def fitted_on(rows):
    return AnomalyDetector(random_state=0).fit(rows)


@pytest.fixture(scope="module")
def detector():
    return fitted_on(at_seed(0, 1000))


def moved(found):
    return {entry.column for entry in found if entry.drifted}


@pytest.mark.parametrize(("n", "n_new", "n_times"), [(50, 50, 20), (50, 500, 20), (300, 300, 10)])
def test_new_rows_of_the_same_kind_rarely_drift(n, n_new, n_times):
    alarms = [
        fitted_on(at_seed(seed, n)).drift(at_seed(seed + 999, n_new)).drifted
        for seed in range(n_times)
    ]
    assert sum(alarms) <= 3  # with a chance of 98 % if the level is kept


@pytest.mark.parametrize(("n", "n_times"), [(60, 12), (240, 12), (500, 6), (1000, 4)])
def test_scores_of_many_new_rows_rarely_drift(n, n_times):
    # Two columns that go together: folds of few rows had scales of their own.
    def pair(seed, n):
        rng = np.random.default_rng(seed)
        size = rng.normal(size=n)
        return np.column_stack([size, 2 * size + 0.1 * rng.normal(size=n), rng.standard_t(2, n)])

    alarms = [
        fitted_on(pair(seed, n)).drift(pair(seed + 999, 2000)).drifted for seed in range(n_times)
    ]
    assert sum(alarms) <= 2  # with a chance of 98 % if the level is kept


def test_the_rows_of_fit_do_not_drift(detector):
    assert not detector.drift(at_seed(0, 1000)).drifted


@pytest.mark.parametrize(
    ("change", "column", "words"),
    [
        (lambda t: t.assign(size=t["size"] + 1), "size", "higher"),
        (lambda t: t.assign(size=2.5 * t["size"]), "size", "wider spread"),
        (lambda t: t.assign(price=t["price"] * 1000), "price", "higher"),
        (lambda t: t.assign(took=t["took"] / 60), "took", "lower"),
        (lambda t: t.assign(count=t["count"] + 2), "count", "higher"),
        (lambda t: t.assign(flag=(t.index % 8 == 0).astype(int)), "flag", "higher"),
        (lambda t: t.assign(open=t.index % 2 == 0), "open", "frequent"),
        (lambda t: t.assign(kind=t["kind"].replace("d", "new")), "kind", "new value 'new'"),
        (lambda t: t.assign(kind=t["kind"].where(t.index % 5 > 0)), "kind", "more gaps"),
        (lambda t: t.assign(price=t["price"].where(t.index % 3 > 0)), "price", "more gaps"),
        (lambda t: t.assign(weight=t["weight"].fillna(0.1)), "weight", ""),
    ],
)
def test_a_planted_change_is_found_in_its_column(detector, change, column, words):
    found = detector.drift(change(at_seed(5, 800)))
    entry = next(entry for entry in found if entry.column == column)
    assert entry.drifted and words in entry.change and entry.p_value <= 0.05
    assert moved(found) <= {column, "anomaly score"}
    assert column in str(found)


def test_columns_that_no_longer_go_together_are_found_by_the_scores(detector):
    rows = at_seed(5, 800)
    rows["size"] = np.random.default_rng(0).permutation(rows["size"])
    found = detector.drift(rows)
    assert moved(found) == {"anomaly score"}
    assert found.changes[0].change == "higher (more unusual)"


def test_copies_of_one_observation_count_once(detector):
    rows = at_seed(7, 60)
    once, often = detector.drift(rows), detector.drift(pd.concat([rows] * 20))
    sizes = [{e.column: e.p_value for e in found} for found in (once, often)]
    assert sizes[0] == pytest.approx(sizes[1])


@pytest.mark.parametrize("made", [pl.from_pandas, pa.table], ids=["polars", "pyarrow"])
def test_the_library_of_the_rows_makes_no_difference(made):
    rows, new = (at_seed(seed, 300).drop(columns="took") for seed in (0, 1))
    expected = fitted_on(rows).drift(new)
    found = fitted_on(made(rows)).drift(made(new))
    assert found.changes == expected.changes
    assert type(found.to_frame()).__module__.partition(".")[0] in ("polars", "pyarrow")


def test_pieces_and_whole_tables_compare_alike(detector, tmp_path):
    rows = pa.Table.from_pandas(at_seed(6, 600), preserve_index=False)
    whole = detector.drift(rows)
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=70)
    pieces = detector.drift(TableDataset(tmp_path / "rows.parquet"))
    tally = DriftTally(detector)
    for start in range(0, 600, 150):
        piece = rows.slice(start, 150)
        tally.add(piece, detector.anomaly_score(piece))
    for found in (pieces, tally.result(0.05)):
        assert [e.column for e in found] == [e.column for e in whole]
        np.testing.assert_allclose([e.p_value for e in found], [e.p_value for e in whole])


def test_single_precision_is_no_drift():
    rng = np.random.default_rng(0)
    rows = rng.choice([0.1, 0.3, 0.7], size=(400, 3))
    found = fitted_on(rows).drift(rng.choice([0.1, 0.3, 0.7], size=(400, 3)).astype(np.float32))
    assert not moved(found) - {"anomaly score"}


def test_a_constant_that_changes_is_drift():
    rows = np.random.default_rng(0).normal(size=(200, 2))
    rows[:, 1] = 0.5
    detector = fitted_on(rows)
    assert not detector.drift(rows[:50]).drifted
    assert "x1" in moved(detector.drift(rows[:50] + np.array([0, 0.1])))


def test_dates_move_on_and_are_no_drift():
    start = pd.Timestamp("2026-01-01")
    rows = at_seed(0, 300)[["size", "count"]].assign(day=start + pd.to_timedelta(range(300), "h"))
    later = at_seed(1, 200)[["size", "count"]].assign(
        day=start + pd.to_timedelta(range(300, 500), "h")
    )
    found = fitted_on(rows).drift(later)
    assert "day" not in moved(found) and "Dates move on: of day" in str(found)


def test_images_are_compared_by_their_scores():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 90, (80, 6, 6), dtype=np.uint8)
    detector = fitted_on(images)
    assert detector.reference_ is None
    same, other = detector.drift(images), detector.drift(rng.integers(0, 90, (80, 6, 6)) // 30 * 30)
    assert not same.drifted and len(same) == 1 and "Of images only" in str(same)
    assert moved(other) == {"anomaly score"}


def test_a_saved_detector_compares_as_before_and_an_old_one_by_its_scores(detector, tmp_path):
    rows = at_seed(5, 300)
    detector.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.drift(rows).changes == detector.drift(rows).changes
    del again.reference_, again.fit_scores_
    again.save(tmp_path / "old.safetensors")
    found = load(tmp_path / "old.safetensors").drift(rows)
    assert [entry.column for entry in found] == ["anomaly score"]
    assert "Fit again to compare columns" in str(found)


def test_new_rows_that_are_learnt_join_the_reference(detector):
    import copy

    newer = copy.deepcopy(detector).partial_fit(at_seed(2, 300))
    assert 1200 < newer.reference_.n_rows <= 1300
    newer.reference_.check_consistent()
    assert not newer.drift(at_seed(3, 300)).drifted


@pytest.mark.parametrize(
    "change",
    [
        lambda r: {"n_rows": 0},
        lambda r: {"n_units": r.n_rows + 1},
        lambda r: {"cuts": r.cuts[:, ::-1].copy()},
        lambda r: {"cuts": r.cuts * np.inf},
        lambda r: {"below": r.below + r.n_rows},
        lambda r: {"below": r.below[:, :3]},
        lambda r: {"counts": -r.counts},
        lambda r: {"n_values": r.n_values.astype(float)},
        lambda r: {"levels": r.levels[1:]},
        lambda r: {"totals": r.totals[1:]},
    ],
)
def test_a_file_with_other_summaries_is_refused(detector, change):
    from dataclasses import replace

    with pytest.raises(DataError, match="reference_"):
        replace(detector.reference_, **change(detector.reference_)).check_consistent()


def test_answers_are_a_table_a_text_and_plain_values(detector):
    found = detector.drift(at_seed(5, 300).assign(size=9.0))
    assert isinstance(found, Drift) and found.drifted
    frame = found.to_frame("pandas")
    assert list(frame["column"][:2]) == [found.changes[0].column, found.changes[1].column]
    assert found.to_dict()["changes"][0]["p_value"] == frame["p_value"][0]
    assert "<table>" in found._repr_html_()
    lines = str(found).splitlines()
    assert lines[1].split() == ["column", "change", "before", "now", "size", "p"]
    assert any(line.startswith("size ") for line in lines[2:])
    labels = [text.get_text() for text in plot_drift(found).axes[0].get_yticklabels()]
    assert labels == [entry.column for entry in found]


def test_a_higher_level_finds_no_less(detector):
    rows = at_seed(5, 200).assign(size=lambda t: t["size"] + 0.4)
    strict, loose = (detector.drift(rows, level=level) for level in (1e-6, 0.5))
    assert moved(strict) < moved(loose)
    with pytest.raises(ParameterError, match="level"):
        detector.drift(rows, level=1.0)
    with pytest.raises(NotFittedError):
        AnomalyDetector().drift(rows)


def test_cuts_lie_between_values_and_count_each_of_them():
    rng = np.random.default_rng(0)
    for values in (rng.normal(size=5000), rng.poisson(2, 500) * 1.0, np.full(9, 3.0), np.zeros(4)):
        cuts = cuts_of(values, 40)
        below = below_cuts(values, cuts)
        assert (np.diff(cuts) >= 0).all() and not np.isin(cuts, values).any()
        assert below[0] == 0 and below[-1] == len(values)
    assert (cuts_of(np.array([np.nan]), 5) == 0).all()


def test_identifiers_and_long_tails_are_no_drift():
    rows = at_seed(0, 400)[["size", "weight"]].assign(name=[f"n{k}" for k in range(400)])
    new = at_seed(1, 900)[["size", "weight"]].assign(name=[f"n{k}" for k in range(400, 1300)])
    assert "name" not in moved(fitted_on(rows).drift(new))


def test_rows_of_other_columns_are_refused(detector):
    with pytest.raises(DataError, match="seen at fit time"):
        detector.drift(at_seed(0, 50).drop(columns="size"))
    with pytest.warns(DataWarning, match="never seen"):
        detector.drift(at_seed(0, 50).assign(kind="zzz"))


@pytest.mark.parametrize("n", [100, 500])
def test_new_rows_of_the_same_kind_raise_no_warning_of_drift(n):
    # Given: calibration by folds, whose scores are of smaller memories.
    rng = np.random.default_rng(0)
    detector = AnomalyDetector(random_state=0).fit(rng.standard_t(2, size=(n, 4)))
    stream, new = detector.stream(window=1_000), rng.standard_t(2, size=(1_500, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error", DriftWarning)
        detector.predict(new)
    stream.score_rows(new)
    assert not stream.drift().drifted
    with pytest.warns(DriftWarning, match="higher"):
        detector.predict(new + 3)


@pytest.mark.parametrize("name", ["zero-inflated", "categories"])
def test_scores_that_tie_are_no_drift_of_a_stream(name):
    # Given: values that many rows share, so that leaving out one row more moves all their scores.
    rng = np.random.default_rng(0)
    detector = AnomalyDetector(random_state=0).fit(SAME[name](rng, 500))
    stream = detector.stream(window=1_000)
    stream.score_rows(SAME[name](rng, 1_500))
    assert not stream.drift().drifted
