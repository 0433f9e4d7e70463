"""Why rows were flagged: the planted column, in the user's units, by closed forms."""

import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from latently import AnomalyDetector, Autoencoder, load, plot_explanation
from latently._layout import Block, Layout
from latently.exceptions import DataError, NotFittedError, ParameterError
from latently.nn import Cells
from latently.tasks import ImageExplanation, Repairs


def correlated(n_rows, seed=0, width=6):
    rng = np.random.default_rng(seed)
    common = rng.normal(size=(n_rows, 2)) @ np.random.default_rng(9).normal(size=(2, width))
    return common + 0.3 * rng.normal(size=(n_rows, width))


def table(n_rows, seed=0):
    """Return rows whose amount follows the kind, and whose date follows the amount."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["book", "car", "house"], n_rows)
    price = pd.Series(kind).map({"book": 20.0, "car": 9_000.0, "house": 200_000.0}).to_numpy()
    amount = price * rng.uniform(0.8, 1.2, n_rows)
    days = [datetime(2026, 1, 1) + timedelta(days=float(d)) for d in rng.uniform(0, 300, n_rows)]
    return pd.DataFrame(
        {"kind": kind, "amount": amount, "paid": amount * 0.9, "new": rng.random(n_rows) < 0.5,
         "count": rng.integers(1, 9, n_rows), "day": days}
    )  # fmt: skip


def planted(rows, seed, by=5.0):
    """Move one cell of each row by some standard deviations of its column."""
    rng = np.random.default_rng(seed)
    guilty = rng.integers(0, rows.shape[1], len(rows))
    moved, cells = rows.copy(), (np.arange(len(rows)), guilty)
    moved[cells] += by * rows.std(0)[guilty] * rng.choice([-1, 1], len(rows))
    return moved, guilty


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(random_state=0).fit(correlated(800))


@pytest.fixture(scope="module")
def shop():
    return AnomalyDetector(random_state=0).fit(table(600))


# ---------------------------------------------------------------- the right column
def test_a_planted_fault_is_named_first(detector):
    moved, guilty = planted(correlated(400, seed=1), seed=2)
    found = detector.explain(moved)
    assert (found.guilty[:, 0] == guilty).mean() > 0.99
    assert (found.repaired_scores < found.scores).mean() > 0.99


def test_of_thirty_real_columns_the_moved_one_is_named_first():
    rows = load_breast_cancer().data[np.random.default_rng(0).permutation(569)]
    detector = AnomalyDetector(random_state=0).fit(rows[:340])
    moved, guilty = planted(rows[340:], seed=3)
    assert (detector.explain(moved, n_reasons=1).guilty[:, 0] == guilty).mean() >= 0.99


def test_rescaled_columns_change_no_reason():
    rows, factor = correlated(300), 10.0 ** np.arange(-3, 3)
    moved, _ = planted(correlated(80, seed=1), seed=2)
    plain = AnomalyDetector(random_state=0).fit(rows).explain(moved)
    scaled = AnomalyDetector(random_state=0).fit(rows * factor + 5).explain(moved * factor + 5)
    assert np.array_equal(plain.guilty[:, 0], scaled.guilty[:, 0])
    np.testing.assert_allclose(plain.blame, scaled.blame, rtol=1e-4, atol=1e-4)


def test_a_column_of_pure_noise_is_never_first():
    rng = np.random.default_rng(0)
    rows = np.column_stack([correlated(800), rng.normal(size=800)])
    detector = AnomalyDetector(random_state=0).fit(rows)
    moved, _ = planted(correlated(400, seed=1), seed=2)
    given = np.column_stack([moved, rng.normal(size=400)])
    assert (detector.explain(given).guilty[:, 0] != 6).all()


def test_two_faults_of_one_row_are_both_named_and_no_third():
    detector = AnomalyDetector(random_state=0).fit(correlated(2_000, width=8))
    rows = correlated(200, seed=5, width=8)
    rows[:, 1] += 4 * rows[:, 1].std()
    rows[:, 6] -= 4 * rows[:, 6].std()
    found = detector.explain(rows)
    pairs = [set(line[line >= 0].tolist()) for line in found.guilty[:, :2]]
    assert np.mean([pair == {1, 6} for pair in pairs]) > 0.95
    assert (found.guilty[:, 2] < 0).mean() > 0.7


# ---------------------------------------------------------------- closed forms
def test_the_blame_is_half_the_drop_of_the_mahalanobis_length():
    rows = torch.from_numpy(correlated(500))
    layout = Layout((6,), (Block("gaussian", 1, 6),))
    repairs = Repairs.fit(Cells(rows), layout)
    repaired = repairs.repair(Cells(rows[:20]), layout)
    precision = torch.from_numpy(repairs.precision)

    def length(values):
        centred = values - torch.from_numpy(repairs.mean)
        return ((centred @ precision) * centred).sum(1)

    for column in range(6):
        mended = rows[:20].clone()
        mended[:, column] = repaired.expected[:, column]
        drop = 0.5 * (length(rows[:20]) - length(mended))
        torch.testing.assert_close(drop, repaired.blame[:, column])
        mended[:, column] += 0.1  # nowhere is the row more likely than at what is expected
        assert (length(mended) > length(mended - 0.1 * torch.eye(6)[column])).all()


def test_a_gap_is_filled_by_what_the_rest_lets_expect_and_is_to_no_blame():
    rows = torch.from_numpy(correlated(500))
    layout = Layout((6,), (Block("gaussian", 1, 6),))
    repairs = Repairs.fit(Cells(rows), layout)
    seen = torch.ones(20, 6, dtype=torch.bool)
    seen[:, 2] = False
    whole = repairs.repair(Cells(rows[:20]), layout)
    partly = repairs.repair(Cells(torch.where(seen, rows[:20], 99.0), seen), layout)
    torch.testing.assert_close(partly.expected[:, 2], whole.expected[:, 2])
    assert (partly.blame[:, 2] == 0).all()


def test_the_expected_range_holds_ninety_five_in_a_hundred(detector):
    rows = correlated(2_000, seed=7)
    found = detector.explain(rows, n_reasons=1)
    inside = [
        np.mean([low <= x <= high for low, x, high in zip(found.low[0][name], found.got[name],
                                                         found.high[0][name], strict=True)])
        for name in found.names
    ]  # fmt: skip
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)


# ---------------------------------------------------------------- the user's words
def test_reasons_are_in_the_columns_types_and_units_of_the_user(shop):
    rows = table(40, seed=1)
    rows.loc[0, "amount"] = 150_000.0
    rows.loc[0, "kind"], rows.loc[0, "paid"] = "car", 8_000.0
    found = shop.explain(rows[:1])[0]
    assert found.row == 0 and found.anomaly_score > found.repaired
    reason = found.reasons[0]
    assert reason.column == "amount" and reason.got == 150_000.0
    assert reason.low <= reason.expected <= reason.high < 60_000
    assert str(reason).startswith("amount 150,000, expected ")
    house = rows[rows.kind == "house"][:1].assign(kind="book")
    wrong = shop.explain(house)[0].reasons[0]
    assert (wrong.column, wrong.got, wrong.expected) == ("kind", "book", "house")
    assert wrong.low is None


def test_a_date_is_expected_between_dates(shop):
    rows = table(3, seed=2)
    rows["day"] = datetime(2031, 5, 1)
    reason = next(r for r in shop.explain(rows)[0].reasons if r.column == "day")
    assert isinstance(reason.high, datetime) and reason.high < datetime(2027, 1, 1)


def past_payments(n_rows, seed=0):
    """Return payments of working hours, Monday to Friday, of which the fee is a rare constant."""
    rng = np.random.default_rng(seed)
    days = pd.to_datetime("2026-01-05") + pd.to_timedelta(rng.integers(0, 40, n_rows) // 5 * 7
                                                          + rng.integers(0, 5, n_rows), unit="D")  # fmt: skip # noqa: E501
    times = days + pd.to_timedelta(rng.integers(9 * 60, 17 * 60, n_rows), unit="min")
    amount = rng.gamma(3, 10, n_rows).round(2)
    fee = np.where(rng.random(n_rows) < 0.02, 1.5, 0.0)
    return pd.DataFrame({"when": times, "amount": amount, "vat": (amount / 5).round(2), "fee": fee})


@pytest.fixture(scope="module")
def payments():
    return AnomalyDetector(random_state=0).fit(past_payments(1_500))


def test_no_reason_lies_inside_its_own_range(payments):
    rows = past_payments(300, seed=1)
    rows.loc[::3, "vat"] += 30
    rows.loc[1::3, "when"] += pd.Timedelta("14h")
    reasons = [reason for one in payments.explain(rows) for reason in one.reasons]
    ranged = [reason for reason in reasons if reason.low is not None]
    assert len(ranged) > 90
    assert not [reason for reason in ranged if reason.low <= reason.got <= reason.high]
    assert not [r for r in reasons if r.low is None and r.phase is None and r.got == r.expected]


def test_a_time_is_blamed_for_its_hour_in_words(payments):
    rows = past_payments(50, seed=2).assign(fee=0.0)
    rows["when"] = rows.when.dt.normalize() + pd.Timedelta("3h")
    first = [one.reasons[0] for one in payments.explain(rows)]
    assert {reason.column for reason in first} == {"when"}
    assert {reason.phase.unit for reason in first} == {"hour"}
    assert str(first[0]).startswith("when hour 03, expected ")
    hours = [int(first[0].phase.words(end)) for end in (first[0].phase.low, first[0].phase.high)]
    assert 8 <= hours[0] <= 10 and 15 <= hours[1] <= 17


def test_a_time_is_blamed_for_its_weekday_in_words(payments):
    rows = past_payments(50, seed=3)
    rows["when"] += pd.to_timedelta(6 - rows.when.dt.day_of_week, unit="D")
    units = [r.phase.unit for one in payments.explain(rows) for r in one.reasons if r.phase]
    assert units.count("weekday") > 40
    assert "weekday Sun, expected" in str(payments.explain(rows[:1]))


def test_point_masses_are_expected_as_they_are(payments):
    rows = past_payments(40, seed=4)
    rows["fee"] = 90.0
    reasons = [r for one in payments.explain(rows) for r in one.reasons if r.column == "fee"]
    assert len(reasons) == 40
    assert {reason.expected for reason in reasons} <= {0.0, 1.5}


def test_rows_are_named_by_the_users_index_and_have_p_values(payments):
    rows = past_payments(3, seed=5).set_axis(["A7", "B1", "C9"])
    found = payments.explain(rows)
    assert str(found[1]).startswith("row B1, anomaly score ")
    assert np.array_equal([one.p_value for one in found], payments.p_values(rows))


def test_rows_without_a_reason_have_a_line_of_rank_zero(payments):
    lines = pd.DataFrame(payments.explain(past_payments(30, seed=6)).to_dict())
    assert set(lines.row) == set(range(30))
    assert (lines.column.isna() == (lines["rank"] == 0)).all()


def test_reasons_become_a_table(shop):
    rows = table(30, seed=3)
    rows.loc[4, "paid"] = -5e5
    lines = shop.explain(rows).to_dict()
    heads = ["row", "anomaly_score", "p_value", "rank", "column", "part", "got", "expected"]
    assert list(lines) == [*heads, "low", "high", "blame"]
    assert len({len(column) for column in lines.values()}) == 1
    frame = pd.DataFrame(lines)
    assert frame[(frame.row == 4) & (frame["rank"] == 1)].column.item() == "paid"
    json.dumps(lines)


def test_a_loaded_detector_explains_alike(shop, tmp_path):
    rows = table(20, seed=4)
    shop.save(tmp_path / "detector.safetensors")
    again = load(tmp_path / "detector.safetensors").explain(rows)
    assert str(again) == str(shop.explain(rows))


def test_missing_cells_are_explained_around(shop):
    rows = table(10, seed=5)
    rows.loc[:4, "paid"] = np.nan
    found = shop.explain(rows)
    paid = found.names.index("paid")
    assert (found.blame[:5, paid] == 0).all() and np.isfinite(found.blame).all()
    assert np.isfinite(found.repaired_scores).all()


def test_any_autoencoder_is_explained():
    detector = AnomalyDetector(autoencoder=Autoencoder(2, max_epochs=3), random_state=0)
    moved, guilty = planted(correlated(100, seed=1), seed=2)
    found = detector.fit(correlated(400)).explain(moved)
    assert (found.guilty[:, 0] == guilty).mean() > 0.97


# ---------------------------------------------------------------- images
def test_the_heat_of_an_image_is_where_it_was_spoilt():
    images = load_digits().images
    detector = AnomalyDetector(random_state=0).fit(images[:600])
    spoilt = images[600:640].copy()
    spoilt[:, 1:3, 5:7] = 16 - spoilt[:, 1:3, 5:7]
    found = detector.explain(spoilt)
    assert isinstance(found, ImageExplanation) and found.heat.shape == (40, 8, 8)
    top, left = found.worst[:, 0], found.worst[:, 1]
    assert np.mean((top >= 1) & (top <= 2) & (left >= 5) & (left <= 6)) > 0.6
    assert set(found.to_dict()) >= {"row", "top", "right"}


@pytest.mark.parametrize("images", [True, False])
def test_the_picture_has_the_reasons(images, detector):
    if images:
        rows = load_digits().images
        found = AnomalyDetector(random_state=0).fit(rows[:200]).explain(rows[200:203])
        assert len(plot_explanation(found).axes) == 3 + 1  # and a colour bar
        return
    moved, _ = planted(correlated(30, seed=1), seed=2)
    figure = plot_explanation(detector.explain(moved), rows=range(100, 130))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert any("expected" in text for text in texts)
    assert "rows of the highest anomaly scores, and 18 more" in " ".join(texts)
    figure = plot_explanation(detector.explain(moved[:4]))
    assert "Highest anomaly score first" in [text.get_text() for text in figure.axes[0].texts]


# ---------------------------------------------------------------- bad input
def test_bad_input_is_refused_in_a_sentence(detector):
    with pytest.raises(NotFittedError):
        AnomalyDetector().explain(correlated(3))
    with pytest.raises(DataError, match=r"columns|features"):
        detector.explain(correlated(3)[:, :4])
    with pytest.raises(ParameterError, match="n_reasons"):
        detector.explain(correlated(3), n_reasons=0)
    with pytest.raises(IndexError, match="row 9 of 3"):
        detector.explain(correlated(3))[9]
