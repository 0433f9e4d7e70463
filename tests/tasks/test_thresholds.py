"""Each rule cuts where it says: budgets are kept, shares exact, costs and F scores the best."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import fbeta_score

from latently import AlertBudget, Contamination, CostRatio, FalseAlarmRate, MaxFScore
from latently.exceptions import DataError, ParameterError
from latently.tasks import Calibration, Evidence

RULES = [FalseAlarmRate(0.05), AlertBudget(3), Contamination(0.1), CostRatio(5.0), MaxFScore(2.0)]


def evidence(n=200, seed=0, decimals=None):
    rng = np.random.default_rng(seed)
    labels = rng.random(n) < 0.2
    scores = rng.normal(size=n) + 2 * labels
    scores = scores if decimals is None else scores.round(decimals)
    return Evidence(Calibration.of(rng.normal(size=500)), scores, labels)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
def test_the_cut_lies_in_its_band_and_says_why(rule):
    chosen = rule.choose(evidence())
    assert chosen.low <= chosen.cut <= chosen.high
    assert chosen.low < chosen.high
    assert chosen.reason in str(chosen)
    assert clone(rule).choose(evidence()) == chosen


@pytest.mark.parametrize("decimals", [None, 0, 1])
@pytest.mark.parametrize("budget", [1, 7, 20, 500])
def test_a_budget_is_never_exceeded(budget, decimals):
    known = evidence(decimals=decimals)
    n_flagged = (known.scores > AlertBudget(budget).choose(known).cut).sum()
    assert n_flagged <= budget
    if decimals is None:
        assert n_flagged == min(budget, 200)


def test_a_budget_for_a_day_is_a_share_of_the_batch():
    known = evidence()
    assert (known.scores > AlertBudget(20, per=1_000).choose(known).cut).sum() == 4


@pytest.mark.parametrize("share", [0.005, 0.01, 0.1, 0.33, 0.5])
def test_a_share_is_flagged_exactly(share):
    known = evidence()
    assert (known.scores > Contamination(share).choose(known).cut).sum() == round(share * 200)


def all_cuts(scores):
    return [-np.inf, *np.unique(scores)]


@pytest.mark.parametrize("ratio", [0.5, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("decimals", [None, 1])
def test_no_cut_costs_less_on_labelled_rows(ratio, decimals):
    known = evidence(decimals=decimals)

    def cost(cut):
        flagged = known.scores > cut
        return (flagged & ~known.labels).sum() + ratio * (~flagged & known.labels).sum()

    assert cost(CostRatio(ratio).choose(known).cut) == min(map(cost, all_cuts(known.scores)))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_no_cut_has_a_better_f_score(beta):
    known = evidence(decimals=1)

    def worth(cut):
        return fbeta_score(known.labels, known.scores > cut, beta=beta, zero_division=0)

    best = max(map(worth, all_cuts(known.scores)))
    assert worth(MaxFScore(beta).choose(known).cut) == pytest.approx(best)


def test_without_labels_the_cost_comes_from_the_calibration():
    rng = np.random.default_rng(0)
    calibration = Calibration.of(rng.normal(size=2_000))
    scores = np.concatenate([rng.normal(size=900), rng.normal(5, size=100)])
    cut = CostRatio(1.0).choose(Evidence(calibration, scores)).cut
    assert 1.8 < cut < 3.5  # where the two densities cross: 0.1 N(5, 1) = 0.9 N(0, 1) at 2.9
    normal = rng.normal(size=1_000)
    assert (normal > CostRatio(1.0).choose(Evidence(calibration, normal)).cut).mean() < 0.02


def test_a_higher_cost_of_misses_flags_more():
    known = evidence()._replace(labels=None)
    cuts = [CostRatio(ratio).choose(known).cut for ratio in (0.5, 2.0, 10.0, 100.0)]
    assert cuts == sorted(cuts, reverse=True)


@pytest.mark.parametrize("rule", RULES[1:], ids=lambda rule: type(rule).__name__)
def test_a_rule_about_rows_asks_for_them(rule):
    with pytest.raises(DataError, match=r"set_threshold\(rule, X"):
        rule.choose(evidence()._replace(scores=None))


def test_few_labels_asks_for_labels():
    with pytest.raises(DataError, match=r"got no labels.*set_threshold\(rule, X, y\)"):
        MaxFScore().choose(evidence()._replace(labels=None))


@pytest.mark.parametrize("kind", [True, False])
def test_few_labels_asks_for_labels_of_both_kinds(kind):
    with pytest.raises(DataError, match=f"both kinds, got only {kind}"):
        MaxFScore().choose(evidence()._replace(labels=np.full(200, kind)))


def test_the_band_of_few_labels_is_that_of_f_scores_of_resamples():
    known = evidence(n=40, seed=3)
    drawn = np.random.default_rng(0).integers(0, 40, (200, 40))
    cuts = [
        MaxFScore(1.0).choose(known._replace(scores=known.scores[rows], labels=known.labels[rows]))
        for rows in drawn
    ]
    chosen = MaxFScore(1.0).choose(known)
    expected = np.percentile([threshold.cut for threshold in cuts], [5, 95])
    np.testing.assert_allclose([chosen.low, chosen.high], expected)


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (FalseAlarmRate(0), "rate"),
        (FalseAlarmRate(1), "rate"),
        (AlertBudget(0), "n_alerts"),
        (AlertBudget(2.5), "n_alerts"),
        (AlertBudget(3, per=0), "per"),
        (Contamination(0.6), "fraction"),
        (CostRatio(0), "miss_to_alarm"),
        (MaxFScore(-1), "beta"),
    ],
    ids=str,
)
def test_a_parameter_that_makes_no_sense_is_refused(rule, name):
    with pytest.raises(ParameterError, match=name):
        rule.choose(evidence())
