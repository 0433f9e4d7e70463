"""Gaps of columns that determine each other are filled exactly, and fills keep what rows keep."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from latently import AutoencoderImputer, ImputationAutoencoder, load
from latently.exceptions import ModelFileError
from latently.io._model_file import read_model, write_model

N_ROWS = 500


def imputer():
    model = ImputationAutoencoder(16, n_networks=1, n_trees=8, max_epochs=2, engine="cpu")
    return AutoencoderImputer(autoencoder=model, random_state=0)


def measures(rng):
    """Return two positive numbers, a start and a duration of whole seconds."""
    first, second = rng.gamma(2, 5, N_ROWS) + 0.1, rng.gamma(3, 2, N_ROWS) + 0.1
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, N_ROWS), unit="s")
    lasting = pd.to_timedelta(rng.integers(60, 5_000, N_ROWS), unit="s")
    return first, second, start, lasting


def planted(kind):
    """Return a table whose column "y" is determined by the others."""
    rng = np.random.default_rng(0)
    first, second, start, lasting = measures(rng)
    code = rng.integers(0, 8, N_ROWS)
    tables = {
        "copy": {"a": first, "y": first},
        "affine": {"a": first, "y": 1.8 * first + 32},
        "sum": {"a": first, "b": second, "y": first + second},
        "difference": {"a": first, "b": second, "y": first - second},
        "product": {"a": first, "b": second, "y": first * second},
        "ratio": {"a": first, "b": second, "y": first / second},
        "fixed distance": {"a": start, "y": start + pd.Timedelta("10min")},
        "duration": {"a": start, "b": start + lasting, "y": lasting},
        "end": {"a": start, "b": lasting, "y": start + lasting},
        "codes": {"a": [f"name {c}" for c in code], "y": (37.0 * code) % 11},
        "names": {"a": (37.0 * code) % 11, "y": [f"name {c}" for c in code]},
        "monotone": {"a": first, "y": np.log(first) ** 3},
    }
    return pd.DataFrame({**tables[kind], "other": rng.normal(size=N_ROWS)})


def hide(table, share=0.2, seed=1):
    gaps = np.random.default_rng(seed).random(len(table)) < share
    return table.assign(y=table["y"].where(~gaps)), gaps


KINDS = ["copy", "affine", "sum", "difference", "product", "ratio", "fixed distance", "duration",
         "end", "codes", "names"]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_determined_column_is_filled_exactly(kind):
    table = planted(kind)
    given, gaps = hide(table)
    filled = imputer().fit(given).transform(given)
    if table["y"].dtype.kind == "f":
        np.testing.assert_allclose(filled["y"][gaps], table["y"][gaps], rtol=1e-9, atol=1e-9)
    else:
        assert filled["y"][gaps].tolist() == table["y"][gaps].tolist()


def test_a_monotone_curve_is_followed():
    table = planted("monotone")
    given, gaps = hide(table)
    wrong = (imputer().fit(given).transform(given)["y"] - table["y"])[gaps]
    assert wrong.abs().median() < 1e-3 * table["y"].std()


@pytest.mark.parametrize("kind", ["sum", "product"])
def test_outliers_and_many_gaps_leave_the_other_cells_exact(kind):
    rng = np.random.default_rng(2)
    table = planted(kind)
    is_wrong = rng.random(N_ROWS) < 0.02
    table.loc[is_wrong, "y"] += 10 * table["y"].std()
    given, gaps = hide(table, 0.5)
    filled = imputer().fit(given).transform(given)
    judged = gaps & ~is_wrong
    np.testing.assert_allclose(filled["y"][judged], table["y"][judged], rtol=1e-9)


def test_polars_times_keep_their_microseconds():
    start = np.datetime64("2024-01-01T00:00:00.000001", "us")
    a = start + np.random.default_rng(0).integers(0, 10**13, N_ROWS).astype("timedelta64[us]")
    b = a + np.timedelta64(123_457, "us")
    gaps = np.random.default_rng(1).random(N_ROWS) < 0.2
    given = pl.DataFrame({"a": a, "b": np.where(gaps, np.datetime64("NaT", "us"), b)})
    filled = imputer().fit(given).transform(given)
    assert (filled["b"].to_numpy() == b).all()


def test_new_rows_beyond_the_training_rows_are_filled_exactly():
    table = planted("fixed distance")
    fitted = imputer().fit(hide(table)[0])
    later = table.assign(a=table["a"] + pd.Timedelta("90D"), y=pd.NaT)
    assert fitted.transform(later)["y"].tolist() == (later["a"] + pd.Timedelta("10min")).tolist()


def test_noise_has_no_relation():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(N_ROWS, 5)), columns=list("abcde"))
    given = table.mask(np.random.default_rng(1).random(table.shape) < 0.2)
    assert imputer().fit(given).fill_report_.relations == ()


def trips():
    first, second, start, lasting = measures(np.random.default_rng(0))
    rounded = np.round(first, 2), np.round(second, 2)
    table = pd.DataFrame({
        "pickup": start, "dropoff": start + lasting, "fare": rounded[0], "tip": rounded[1],
        "total": np.round(rounded[0] + rounded[1], 2),
    })  # fmt: skip
    gaps = np.random.default_rng(3).random(table.shape) < 0.3
    gaps[gaps.all(1)] = False
    return table, table.mask(gaps), gaps


def test_fills_keep_orders_and_sums():
    _, given, _ = trips()
    fitted = imputer().fit(given)
    for filled in (fitted.transform(given), *fitted.impute(given, 2, random_state=0)):
        assert (filled["pickup"] <= filled["dropoff"]).all()
        np.testing.assert_allclose(filled["fare"] + filled["tip"], filled["total"], atol=0.0151)
    words = fitted.fill_report_.relations
    assert any({"fare", "tip", "total"} <= set(formula.split()) for formula in words)
    assert "pickup <= dropoff" in words
    assert "relation: pickup <= dropoff" in str(fitted.fill_report_)


def test_formulas_are_in_the_units_of_the_columns():
    table, _ = hide(planted("affine"))
    assert "y = 1.8 a + 32" in imputer().fit(table).fill_report_.relations
    table, _ = hide(planted("fixed distance"))
    words = imputer().fit(table).fill_report_.relations
    assert set(words) & {"y = a + 600 s", "a = y - 600 s"}


def test_intervals_and_draws_of_determined_cells_are_narrow():
    table = planted("sum")
    given, gaps = hide(table)
    fitted = imputer().fit(given)
    lower, upper = fitted.interval(given, 0.9)
    assert (upper["y"] - lower["y"])[gaps].max() < 1e-6 * table["y"].std()
    (drawn,) = fitted.impute(given, 1, random_state=0)
    np.testing.assert_allclose(drawn["y"][gaps], table["y"][gaps], rtol=1e-6)


def test_a_saved_imputer_fills_alike(tmp_path):
    given, _ = hide(planted("product"))
    fitted = imputer().fit(given)
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.transform(given).equals(fitted.transform(given))
    assert loaded.fill_report_.relations == fitted.fill_report_.relations


@pytest.mark.parametrize(
    "name, value", [("target", 99), ("inputs", 99), ("kind", 9), ("ordered", 99), ("error", -1.0)]
)
def test_forged_relations_are_refused(name, value, tmp_path):
    _, given, _ = trips()
    imputer().fit(given).save(tmp_path / "model")
    config, arrays = read_model(tmp_path / "model")
    key = next(key for key in arrays if key.endswith(f"relations.{name}"))
    arrays[key] = np.full_like(arrays[key], value)
    write_model(tmp_path / "forged", config, arrays, created_with={})
    with pytest.raises(ModelFileError):
        load(tmp_path / "forged")
