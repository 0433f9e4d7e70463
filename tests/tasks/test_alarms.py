"""False alarms come at the rate asked for, or below, however the rows repeat."""

import numpy as np
import pyarrow as pa
import pytest

import latently
from latently import AnomalyDetector, Autoencoder, FalseAlarmRate
from latently.exceptions import DataError, DataWarning
from latently.tasks import Calibration
from latently.tasks.anomaly._repeats import Repeats

RATE, SEEDS, NEW = 0.1, 2, 500
COPIES = "ignore:.*Repetitions count once:latently.exceptions.DataWarning"
MIXING = np.random.default_rng(9).normal(size=(3, 6))
POPULATION = np.random.default_rng(8).normal(size=(200, 4))


def continuous(rng, n):
    return rng.normal(size=(n, 3)) @ MIXING + 0.3 * rng.normal(size=(n, 6))


def mixed(rng, n):
    letters = rng.choice([*"abc"], n, p=[0.5, 0.3, 0.2])
    return pa.table({"x": rng.normal(size=n), "y": rng.lognormal(size=n), "kind": letters})


def categories(rng, n):
    draw = [rng.choice([*"abc"], n, p=[0.7, 0.25, 0.05]) for _ in range(4)]
    return pa.table({f"c{i}": column for i, column in enumerate(draw)})


def oversampled(rng, n):
    return continuous(rng, n // 3)[rng.integers(0, n // 3, n)]


def nearly_twice(rng, n):
    rows = np.repeat(continuous(rng, n // 2), 2, axis=0)
    return rows + rng.uniform(-1e-6, 1e-6, size=rows.shape)


SAME = {
    "continuous": continuous,
    "heavy tails": lambda rng, n: rng.standard_t(2, size=(n, 4)),
    "mixed": mixed,
    "zero-inflated": lambda rng, n: np.where(
        rng.random((n, 5)) < 0.7, 0, rng.lognormal(size=(n, 5))
    ),
    "counts": lambda rng, n: rng.poisson(2, size=(n, 4)),
    "flags": lambda rng, n: (rng.random((n, 7)) < 0.3).astype(float),
    "categories": categories,
    "lattice": lambda rng, n: np.rint(1.5 * rng.normal(size=(n, 2))),
    "answers": lambda rng, n: rng.integers(0, 4, size=(n, 4)).astype(float),
    "zipf": lambda rng, n: np.minimum(rng.zipf(1.8, size=(n, 3)), 10**6).astype(float),
    "rows of 200": lambda rng, n: POPULATION[rng.integers(0, 200, n)],
}
OTHER = {
    "each row twice": lambda rng, n: np.repeat(continuous(rng, n // 2), 2, axis=0),
    "oversampled": oversampled,
    "near copies": nearly_twice,
}


def fitted(draw, seed, n, **options):
    rng = np.random.default_rng(seed)
    model = AnomalyDetector(random_state=0, threshold=FalseAlarmRate(RATE), **options)
    return model.fit(draw(rng, n)), rng


def error(rates, n_calibration):
    """Return three standard errors of a mean rate; where scores tie, rates scatter more."""
    binomial = RATE * (1 - RATE) * (1 / n_calibration + 1 / NEW)
    return 3 * (max(binomial, np.var(rates, ddof=1)) / len(rates)) ** 0.5


@pytest.mark.filterwarnings(COPIES)
@pytest.mark.parametrize("n", [90, 620])
@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_no_more_normal_rows_than_asked_for_raise_alarms(name, n):
    rates, sizes = [], []
    for seed in range(6 if n < 100 else SEEDS):
        detector, rng = fitted(SAME.get(name) or OTHER[name], seed, n)
        new = SAME.get(name, continuous)(rng, NEW)
        rates.append((detector.decision_function(new) < 0).mean())
        sizes.append(len(detector.calibration_.scores))
    assert np.mean(rates) <= RATE + error(rates, np.mean(sizes))
    if name in ("continuous", "heavy tails", *OTHER):  # scores without ties
        assert np.mean(rates) >= RATE / 2 - error(rates, np.mean(sizes))


@pytest.mark.filterwarnings(COPIES)
@pytest.mark.parametrize("n", [90, 620])
@pytest.mark.parametrize("name", [*SAME, *OTHER])
def test_a_robust_detector_keeps_its_rate(name, n):
    rates, sizes = [], []
    for seed in range(SEEDS):
        detector, rng = fitted(SAME.get(name) or OTHER[name], seed, n, robust=True)
        new = SAME.get(name, continuous)(rng, NEW)
        rates.append((detector.decision_function(new) < 0).mean())
        sizes.append(len(detector.calibration_.scores))
    assert np.mean(rates) <= RATE + error(rates, np.mean(sizes))


@pytest.mark.parametrize("name", ["continuous", "mixed"])
def test_a_robust_detector_of_many_rows_keeps_its_rate(name):
    detector, rng = fitted(SAME[name], 0, 3_000, robust=True)
    assert len(detector.calibration_.scores) == 600  # held out
    rate = (detector.decision_function(SAME[name](rng, NEW)) < 0).mean()
    assert rate <= RATE + error([rate, rate], 600)


@pytest.mark.parametrize("name", ["continuous", "answers"])
def test_every_way_to_score_raises_the_same_alarms(tmp_path, name):
    detector, rng = fitted(SAME[name], 0, 300)
    new = SAME[name](rng, NEW)
    flags = detector.predict(new) == -1
    np.testing.assert_array_equal(detector.p_values(new) <= RATE, flags)
    scores, _, streamed = detector.stream().score_rows(new)
    np.testing.assert_array_equal(streamed, flags)
    np.testing.assert_array_equal(scores, -detector.score_samples(new))
    alone = [detector.stream().score(row).anomaly_score for row in new[:20]]
    np.testing.assert_allclose(alone, scores[:20], rtol=1e-4, atol=1e-4)
    detector.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict(new) == -1, flags)


@pytest.mark.parametrize(
    ("name", "n", "seeds"), [("continuous", 200, SEEDS), ("flags", 200, SEEDS), ("answers", 30, 12)]
)
def test_the_rate_holds_after_partial_fit(name, n, seeds):
    rates = []
    for seed in range(seeds):
        detector, rng = fitted(SAME[name], seed, n)
        for _ in range(3):
            detector.partial_fit(SAME[name](rng, n))
        rates.append((detector.decision_function(SAME[name](rng, NEW)) < 0).mean())
    assert np.mean(rates) <= RATE + error(rates, n)
    assert np.max(rates) < 4 * RATE  # the memory and its calibration are on one scale


def test_copies_of_new_rows_count_once_in_partial_fit():
    detector, rng = fitted(SAME["continuous"], 0, 300)
    n_scores = len(detector.calibration_.scores)
    detector.partial_fit(np.repeat(continuous(rng, 30), 10, axis=0))
    assert len(detector.calibration_.scores) == n_scores + 30


def test_normal_rows_give_few_discoveries():
    detector, rng = fitted(SAME["answers"], 0, 600)
    assert not (detector.discover(SAME["answers"](rng, NEW)) == -1).any()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.float16, np.float32])
def test_the_rate_holds_for_numbers_of_few_bits(kind):
    def draw(rng, n):
        return np.concatenate([[[0, 1]], rng.poisson(9, size=(n - 1, 2))]).astype(kind)

    rates = []
    for seed in range(SEEDS):
        detector, rng = fitted(draw, seed, 400)
        rates.append((detector.decision_function(draw(rng, NEW)) < 0).mean())
    assert np.mean(rates) <= RATE + error(rates, 400)


@pytest.mark.parametrize(("n", "rate"), [(30, 0.05), (30, 0.1), (100, 0.05), (19, 0.05)])
def test_few_scores_flag_the_largest_multiple_of_one_in_n_plus_one(n, rate):
    # Given: scores without ties; the rank of a new one among them is uniform on 0 ... n.
    calibration = Calibration.of(np.arange(n, dtype=float))
    places = np.arange(n + 1) - 0.5  # one new score for each rank
    flagged = (places > calibration.cut_for_rate(rate)).mean()
    assert flagged == np.floor(rate * (n + 1)) / (n + 1)


# ------------------------------------------------------------------ repeated rows
@pytest.mark.parametrize("times", [2, 3, 10])
def test_a_table_given_several_times_is_one_table(times):
    rng = np.random.default_rng(0)
    X, new = continuous(rng, 200), continuous(rng, 300)
    with pytest.warns(DataWarning, match=f"occur {times} times.*Leave them out"):
        repeated = AnomalyDetector(random_state=0).fit(rng.permutation(np.repeat(X, times, axis=0)))
    once = AnomalyDetector(random_state=0).fit(X)
    np.testing.assert_array_equal(repeated.score_samples(new), once.score_samples(new))
    np.testing.assert_array_equal(repeated.p_values(new), once.p_values(new))


@pytest.mark.parametrize("name", ["counts", "flags", "lattice", "answers", "zipf"])
def test_values_that_coincide_are_no_copies(name):
    X = SAME[name](np.random.default_rng(0), 1000)
    assert Repeats.of(X).n_copies < 10


@pytest.mark.parametrize("name", ["oversampled", "rows of 200"])
def test_copies_of_a_row_are_one_unit(name):
    X = {**SAME, **OTHER}[name](np.random.default_rng(0), 600)
    repeats = Repeats.of(X)
    assert len(X) - repeats.n_copies == len(np.unique(X, axis=0))
    for unit in np.unique(repeats.units)[:20]:
        assert len(np.unique(X[repeats.units == unit], axis=0)) == 1


def test_few_rows_that_were_copied_cannot_resolve_a_small_rate():
    X = oversampled(np.random.default_rng(0), 30)
    with pytest.warns(DataWarning, match="copies of another"), pytest.raises(DataError):
        AnomalyDetector(threshold=FalseAlarmRate(0.05), random_state=0).fit(X)


def test_near_copies_are_found_in_any_order():
    X = nearly_twice(np.random.default_rng(0), 600)
    repeats = Repeats.of(np.random.default_rng(1).permutation(X))
    assert (repeats.n_times, len(repeats.kept)) == (2, 300)


def test_a_state_that_half_the_rows_are_in_is_normal_and_hides_nothing():
    rng = np.random.default_rng(0)
    running = rng.normal(size=(500, 4)) + 100
    X = np.vstack([np.zeros((500, 4)), running])
    detector = AnomalyDetector(random_state=0).fit(X)
    np.testing.assert_array_equal(detector.predict(X[:3]), [1, 1, 1])
    np.testing.assert_array_equal(detector.predict([[50.0] * 4, [100, 100, 100, 0]]), [-1, -1])


@pytest.mark.parametrize("robust", [False, True])
def test_another_row_than_the_only_one_is_an_anomaly(robust):
    detector = AnomalyDetector(robust=robust, random_state=0).fit(np.ones((300, 3)))
    np.testing.assert_array_equal(detector.predict([[1, 1, 1], [2, 2, 2]]), [1, -1])


@pytest.mark.parametrize("robust", [False, True])
def test_a_pair_of_categories_that_never_came_together_is_an_anomaly(robust):
    letters = np.random.default_rng(0).choice([*"xyz"], 2000)
    detector = AnomalyDetector(robust=robust, random_state=0)
    detector.fit(pa.table({"a": letters, "b": letters}))
    pairs = pa.table({"a": ["x", "x"], "b": ["x", "y"]})
    np.testing.assert_array_equal(detector.predict(pairs), [1, -1])


@pytest.mark.filterwarnings("ignore:.*validation rows have a copy in training")
def test_a_network_is_not_calibrated_by_copies_of_its_training_rows():
    rng = np.random.default_rng(0)
    base = continuous(rng, 300)
    X = base[rng.integers(0, 300, 900)]
    network = Autoencoder(5, max_epochs=5, random_state=0, engine="cpu")
    with pytest.warns(DataWarning, match="copies of another"):
        detector = AnomalyDetector(autoencoder=network, random_state=0).fit(X)
    assert len(detector.calibration_.scores) == pytest.approx(
        0.2 * len(np.unique(X, axis=0)), abs=1
    )


def test_equal_rows_are_not_flagged_by_rounding():
    calibration = Calibration.of(np.r_[np.zeros(50), np.full(50, 2.0)])
    nearly = np.nextafter(np.float32(2), np.float32(3)).astype(float)
    assert calibration.p_values(np.array([nearly]))[0] == 51 / 101
    assert calibration.cut_for_rate(0.1) > nearly
    assert calibration.n_tied(calibration.cut_for_rate(0.1)) == 50


def test_a_threshold_counts_the_rows_that_share_its_score():
    detector, _ = fitted(SAME["categories"], 0, 600)
    gaps = detector.threshold_.cut - detector.calibration_.scores
    shared = (abs(gaps) < 1e-4).sum()
    assert detector.threshold_.n_tied == shared > 1
    assert f"{shared} rows share this score" in str(detector.threshold_)


# ------------------------------------------------------------------ one column
@pytest.mark.parametrize("n", [100, 3_000])
@pytest.mark.parametrize("draw", ["normal", "standard_t", "lognormal", "poisson"])
def test_a_value_of_one_column_is_the_more_unusual_the_further_out(draw, n):
    rng = np.random.default_rng(0)
    options = {"standard_t": {"df": 2}, "poisson": {"lam": 3}}.get(draw, {})
    X = getattr(rng, draw)(size=(n, 1), **options).astype(float)
    detector = AnomalyDetector(random_state=0).fit(X)
    middle = np.median(X)
    for start, end in ((X.max(), 4 * X.max()), (X.min(), X.min() - 3 * (middle - X.min()))):
        scores = detector.score_samples(np.linspace(start, end, 200)[:, None])
        assert (np.diff(scores) <= 1e-6).all()
        assert scores[-1] < scores[0]


def test_a_share_of_one_column_is_flagged_and_all_beyond_it():
    X = np.random.default_rng(0).normal(size=(20_000, 1))
    detector = AnomalyDetector(contamination=0.01, random_state=0).fit(X)
    assert (detector.predict(X) == -1).sum() == 200
    np.testing.assert_array_equal(detector.predict([[0.0], [4.5], [6.0], [50.0]]), [1, -1, -1, -1])


DENSE = {
    "normal": lambda rng, n: rng.normal(size=n),
    "lognormal": lambda rng, n: rng.lognormal(sigma=2, size=n),
    "heavy tails": lambda rng, n: rng.standard_t(2, size=n),
    "float32": lambda rng, n: rng.normal(size=n).astype(np.float32),
}


@pytest.mark.parametrize("n_flags", [0, 1, 3])
@pytest.mark.parametrize("n", [20_000, 100_000])
@pytest.mark.parametrize("name", DENSE)
def test_dense_values_are_no_copies(name, n, n_flags):
    rng = np.random.default_rng(0)
    dense = np.column_stack([DENSE[name](rng, n), rng.integers(0, 2, size=(n, n_flags))])
    n_equal = n - len(np.unique(dense, axis=0))
    assert Repeats.of(dense).n_copies <= n_equal + n // 100


@pytest.mark.parametrize("n_flags", [0, 1, 3])
def test_jittered_copies_of_dense_values_are_found(n_flags):
    rng = np.random.default_rng(0)
    dense = np.column_stack([rng.normal(size=10_000), rng.integers(0, 2, size=(10_000, n_flags))])
    jitter = np.column_stack([rng.normal(0, 1e-6, 5_000), np.zeros((5_000, n_flags))])
    copied = np.concatenate([dense, dense[:5_000] + jitter])
    assert 4_900 <= Repeats.of(copied).n_copies <= 6_000


def test_a_value_between_two_modes_of_one_column_is_unusual():
    rng = np.random.default_rng(0)
    X = np.concatenate([rng.normal(-5, 1, 500), rng.normal(5, 1, 500)])[:, None]
    detector = AnomalyDetector(random_state=0).fit(X)
    np.testing.assert_array_equal(detector.predict([[0.0], [-5.0], [5.0]]), [-1, 1, 1])


@pytest.mark.parametrize("gaps", [False, True])
def test_the_rate_holds_in_one_column_and_after_saving(tmp_path, gaps):
    def draw(rng, n):
        values = rng.lognormal(size=(n, 1))
        return np.where(rng.random((n, 1)) < 0.2, np.nan, values) if gaps else values

    rates = []
    for seed in range(SEEDS):
        detector, rng = fitted(draw, seed, 600)
        rates.append((detector.decision_function(draw(rng, NEW)) < 0).mean())
    assert np.mean(rates) <= RATE + error(rates, 600)
    new = draw(rng, 50)
    detector.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.score_samples(new), detector.score_samples(new))
    alone = [detector.score_samples(row[None])[0] for row in new]
    np.testing.assert_allclose(alone, detector.score_samples(new), rtol=1e-4, atol=1e-4)
