"""P-values, cuts and bands hold what they promise, over repeated draws."""

import numpy as np
import pytest
from scipy import stats

from latently.exceptions import DataError, ParameterError
from latently.tasks import Calibration, benjamini_hochberg
from latently.tasks.thresholds._calibration import RunningCalibration, order_statistic_band

N_DRAWS = 2_000


def draws(n, seed=0, decimals=None):
    scores = np.random.default_rng(seed).exponential(size=(N_DRAWS, n))
    return scores if decimals is None else scores.round(decimals)


@pytest.mark.parametrize("n", [99, 199, 250])
@pytest.mark.parametrize("rate", [0.01, 0.05, 0.1])
@pytest.mark.parametrize("decimals", [None, 1], ids=["continuous", "ties"])
def test_new_normal_rows_are_flagged_at_the_rate_asked_for_or_below(n, rate, decimals):
    new = draws(50, seed=1, decimals=decimals)
    cuts = [Calibration.of(known).cut_for_rate(rate) for known in draws(n, decimals=decimals)]
    shares = (new > np.array(cuts)[:, None]).mean(1)
    assert shares.mean() <= rate + 3 * shares.std() / N_DRAWS**0.5
    if decimals is None:
        assert shares.mean() > 0.7 * rate - 1 / (n + 1)


@pytest.mark.parametrize("decimals", [None, 1])
@pytest.mark.parametrize("rate", [0.02, 0.05, 0.5, 0.9])
def test_scores_above_the_cut_are_those_with_small_p_values(rate, decimals):
    calibration = Calibration.of(draws(120, decimals=decimals)[0])
    new = draws(500, seed=1, decimals=decimals)[0]
    above = new > calibration.cut_for_rate(rate)
    np.testing.assert_array_equal(above, calibration.p_values(new) <= rate)


def test_p_values_of_normal_rows_are_no_smaller_than_uniform():
    new = draws(1, seed=1)
    p_values = np.array([
        Calibration.of(known).p_values(score)[0]
        for known, score in zip(draws(60), new, strict=True)
    ])  # fmt: skip
    for level in (0.05, 0.2, 0.5):
        share = (p_values <= level).mean()
        assert share <= level + 3 * (level / N_DRAWS) ** 0.5


@pytest.mark.parametrize(("rate", "n"), [(0.07, 99), (0.29, 99), (0.05, 19)])
def test_rounding_loses_no_alarm(rate, n):
    calibration = Calibration.of(np.arange(float(n)))
    assert (calibration.p_values(calibration.scores + 0.5) <= rate).sum() == round(rate * (n + 1))


def test_a_rate_too_small_for_the_rows_is_refused_and_the_smallest_named():
    calibration = Calibration.of(np.arange(200.0))
    with pytest.raises(DataError, match=r"at least 999 calibration rows, got 200.*0\.00498"):
        calibration.cut_for_rate(0.001)
    assert calibration.cut_for_rate(calibration.smallest_rate) == 199.0


@pytest.mark.parametrize("n", range(2, 120))
def test_the_number_of_rows_named_is_the_smallest_that_works(n):
    rate = 1 / (n + 1)
    with pytest.raises(DataError, match=f"at least {n} calibration rows, got {n - 1};"):
        Calibration.of(np.arange(n - 1.0)).cut_for_rate(rate)
    assert Calibration.of(np.arange(float(n))).cut_for_rate(rate) == n - 1


@pytest.mark.parametrize("rate", [0, 1, -0.1, np.nan])
def test_a_false_alarm_rate_that_is_none_is_refused(rate):
    with pytest.raises(ParameterError, match="between 0 and 1"):
        Calibration.of(np.arange(9.0)).cut_for_rate(rate)


@pytest.mark.parametrize(
    ("scores", "words"), [([], "got none"), ([1.0, np.nan], "1 of 2"), ([np.inf], "1 of 1")]
)
def test_scores_that_are_none_calibrate_nothing(scores, words):
    with pytest.raises(DataError, match=words):
        Calibration.of(np.array(scores))


def test_the_band_is_that_of_resampling():
    ordered = np.sort(draws(400)[0])
    resamples = np.sort(np.random.default_rng(0).choice(ordered, (4_000, 400)), axis=1)
    low, high = order_statistic_band(ordered, 20)
    expected = np.percentile(resamples[:, 400 - 21], [5, 95])
    np.testing.assert_allclose([low, high], expected, rtol=0.05)


def test_the_band_holds_the_true_quantile_about_nine_times_in_ten():
    truth = stats.expon.ppf(1 - 10 / 200)
    bands = np.array([Calibration.of(known).band_for_rate(0.05) for known in draws(199)])
    covered = ((bands[:, 0] <= truth) & (truth <= bands[:, 1])).mean()
    assert 0.85 < covered < 0.96


def test_discoveries_are_those_of_adjusted_p_values():
    p_values = np.random.default_rng(0).beta(0.5, 2, size=300)
    adjusted = stats.false_discovery_control(p_values)
    for rate in (0.01, 0.1, 0.3):
        np.testing.assert_array_equal(benjamini_hochberg(p_values, rate), adjusted <= rate)


def test_the_share_of_false_discoveries_is_as_asked():
    rng = np.random.default_rng(0)
    false_shares = []
    for _ in range(500):
        calibration = Calibration.of(rng.normal(size=999))
        scores = np.concatenate([rng.normal(size=180), rng.normal(4, size=20)])
        found = benjamini_hochberg(calibration.p_values(scores), 0.1)
        false_shares.append(found[:180].sum() / max(found.sum(), 1))
    assert np.mean(false_shares) <= 0.1 + 3 * np.std(false_shares) / 500**0.5
    assert np.mean(false_shares) > 0.05


@pytest.mark.parametrize("rate", [0, 1, -0.1, 2])
def test_a_false_discovery_rate_that_is_none_is_refused(rate):
    with pytest.raises(ParameterError, match="between 0 and 1"):
        benjamini_hochberg(np.array([0.5]), rate)


def test_drift_is_seen_where_there_is_some_and_only_there():
    rng = np.random.default_rng(0)
    calibration = Calibration.of(rng.normal(size=1_000))
    still = [calibration.drift(rng.normal(size=500)).drifted for _ in range(200)]
    moved = calibration.drift(rng.normal(0.5, size=500))
    assert sum(still) == 0
    assert moved.drifted and moved.higher and "higher" in str(moved)
    assert not calibration.drift(rng.normal(-0.5, size=500)).higher
    assert calibration.drift(rng.normal(9, size=10)).p_value == 1.0


def test_a_ring_keeps_the_latest_scores():
    ring = RunningCalibration(np.arange(100.0), 4)
    assert len(ring.frozen().scores) == 4
    ring.update(np.array([10.0, 11.0]))
    ring.update(np.array([5.0, 6.0, 7.0, 8.0, 9.0]))
    np.testing.assert_array_equal(ring.frozen().scores, [6.0, 7.0, 8.0, 9.0])


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_the_rate_of_alarms_stays_while_nothing_changes(rate):
    rng = np.random.default_rng(0)
    ring, flagged = RunningCalibration(rng.exponential(size=500), 500), []
    for _ in range(200):
        new = rng.exponential(size=50)
        flagged.append((new > ring.frozen().cut_for_rate(rate)).mean())
        ring.update(new)
    assert np.mean(flagged[-100:]) == pytest.approx(rate, rel=0.25)


def test_a_ring_grows_to_its_capacity():
    ring = RunningCalibration(np.array([1.0, 4.0]), 3)
    ring.update(np.array([3.0]))
    assert ring.p_values(np.array([2.0]))[0] == 3 / 4
