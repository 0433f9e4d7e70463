"""What is told of many scores: exact where it can be, a fair sample where it cannot."""

import numpy as np
import pytest

from latently.tasks import ScoreSummary
from latently.tasks.anomaly import _score_summary as digests


def pieces_of(scores):
    return np.split(scores, [3, 3, 500, 4_000])


@pytest.fixture
def scores():
    return np.random.default_rng(0).gamma(2.0, size=20_000)


def told(scores, n_rows):
    summary = ScoreSummary(n_rows)
    for piece in pieces_of(scores):
        summary.add(piece)
    return summary


def test_few_scores_are_kept_as_they_are(scores):
    summary = told(scores, len(scores))
    np.testing.assert_array_equal(summary.sample, scores)
    np.testing.assert_array_equal(ScoreSummary.of(scores).sample, scores)


def test_of_many_the_number_the_mean_and_the_largest_are_exact(scores, monkeypatch):
    monkeypatch.setattr(digests, "_MOST", 2_000)
    summary = told(scores, len(scores))
    assert summary.n_rows == 20_000
    assert summary.mean == pytest.approx(scores.mean(), rel=1e-12)
    places = [place for place, _ in summary.worst]
    assert places == np.argsort(-scores)[:5].tolist()
    assert [value for _, value in summary.worst] == scores[places].tolist()


def test_the_sample_of_many_is_spread_as_they_are(scores, monkeypatch):
    monkeypatch.setattr(digests, "_MOST", 2_000)
    summary = told(np.sort(scores), len(scores))
    assert len(summary.sample) == 2_000
    ranks = np.searchsorted(np.sort(scores), np.sort(summary.sample)) / len(scores)
    # A gap that Kolmogorov and Smirnov would find once in a thousand.
    assert np.abs(ranks - np.linspace(0, 1, 2_000)).max() < 1.95 / np.sqrt(2_000)


def test_it_is_the_same_however_the_rows_come(scores, monkeypatch):
    monkeypatch.setattr(digests, "_MOST", 2_000)
    whole = ScoreSummary(len(scores))
    whole.add(scores)
    np.testing.assert_array_equal(whole.sample, told(scores, len(scores)).sample)


def test_equal_scores_are_named_in_the_order_of_the_rows():
    assert ScoreSummary.of(np.ones(9)).worst == [(place, 1.0) for place in range(5)]
