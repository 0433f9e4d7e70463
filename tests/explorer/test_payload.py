"""The contents of a page, without a browser."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import latently
from latently import AnomalyDetector, Autoencoder, ConvNetwork, explore
from latently.datasets import make_transactions
from latently.exceptions import DataError, DataWarning, OutputExistsError
from latently.explorer._blob import Blob
from latently.explorer._page import asset

from .pages import EVIL, QUICK, cluster_table, clusters, linear_model


@pytest.fixture(scope="module")
def model():
    return linear_model(cluster_table()[0])


@pytest.fixture(scope="module")
def made(model):
    rows, kinds = cluster_table()
    return explore(model, rows, kinds, ids={"key": [f"K{i}" for i in range(len(rows))]})


def arrays(html):
    """Return the header of a page, and a function that reads its arrays."""
    header = json.loads(re.search(r'id="header">(.*?)</script>', html)[1])
    raw = zlib.decompress(base64.b64decode(re.search(r'id="blob">(.*?)</script>', html)[1]))
    types = {"f32": "<f4", "f64": "<f8", "u8": "u1", "u16": "<u2", "u32": "<u4"}
    return header, lambda ref: np.frombuffer(raw, types[ref["type"]], ref["n"], ref["at"])


def test_the_map_is_the_code_of_each_row(made, model):
    header, array = arrays(made.html)
    codes = model.transform(cluster_table()[0])
    shown = np.column_stack([array(header["map"][axis]) for axis in "xy"])
    np.testing.assert_allclose(shown, codes, rtol=1e-6)


def test_columns_keep_their_values(made):
    header, array = arrays(made.html)
    rows, kinds = cluster_table()
    columns = {column["name"]: column for column in header["columns"]}
    for name in EVIL:
        np.testing.assert_allclose(array(columns[name]["data"]), rows[name], rtol=1e-6)
    words = np.array(columns["kind"]["labels"])[array(columns["kind"]["data"])]
    assert words.tolist() == rows["kind"].to_pylist()
    assert array(columns["label"]["data"]).tolist() == kinds.tolist()
    assert columns["key"]["role"] == "id"


def test_times_numbers_and_gaps_have_their_kinds():
    rows = pd.DataFrame({
        "day": pd.to_datetime(["2024-01-01", "2024-01-02", None, "2024-01-04"] * 10),
        "cents": [0.25, 1234567.75, 3.0, np.nan] * 10,
        "big": [2**40 + i for i in range(40)],
        "word": ["a", None, "b", "a"] * 10,
    })  # fmt: skip
    header, array = arrays(explore(Autoencoder(2, max_epochs=1, **QUICK).fit(rows), rows).html)
    columns = {column["name"]: column for column in header["columns"]}
    days = array(columns["day"]["data"])[:4]
    assert days[0] == pd.Timestamp("2024-01-01").timestamp() and np.isnan(days[2])
    assert array(columns["cents"]["data"])[1] == 1234567.75
    assert columns["cents"]["decimals"] == 2
    assert array(columns["big"]["data"]).tolist() == rows["big"].tolist()
    assert array(columns["word"]["data"])[:4].tolist() == [0, 2, 1, 0]


def test_more_rows_than_the_limit_are_drawn_with_a_warning(model):
    rows, kinds = cluster_table()
    with pytest.warns(DataWarning, match="30 of 120 rows"):
        header, array = arrays(explore(model, rows, kinds, max_rows=30).html)
    row, label = header["columns"][0], header["columns"][1]
    places = array(row["data"]).astype(int)
    assert header["n"] == 30 and len(set(places)) == 30
    assert array(label["data"]).tolist() == kinds[places].tolist()


@pytest.mark.parametrize("wrong", [{"y": [1, 2]}, {"ids": {"key": ["a"]}}])
def test_labels_and_ids_of_another_length_are_refused(model, wrong):
    with pytest.raises(DataError, match="must have a value for each of the 120 rows"):
        explore(model, cluster_table()[0], **wrong)


def test_one_row_has_no_map(model):
    with pytest.raises(DataError, match="2 rows at least"):
        explore(model, cluster_table()[0].slice(0, 1))


# ---------------------------------------------------------------- page
def test_user_text_is_no_markup(made):
    body = made.html.replace(asset("explorer.js"), "").replace(asset("explorer.css"), "")
    assert body.count("<script") == 3
    for word in ("<img", "alert(2)</script>", "onerror=alert(1)>"):
        assert word not in body


def test_the_policy_allows_the_bundle_only(made):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', made.html)[1]
    assert "default-src 'none'" in policy and "connect-src 'none'" in policy
    assert "unsafe" not in policy and "://" not in policy
    assert set(re.findall(r"\w+://[^\"'` ]*", made.html)) == {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", ["explorer.js", "explorer.css"])
def test_the_bundle_can_stand_inside_a_page(name):
    text = asset(name)
    for word in ("</script", "</style", "<!--", "\r", "eval(", "new Function", "innerHTML"):
        assert word not in text
    assert "@import" not in text and "url(" not in text


def test_a_page_of_20_000_rows_is_below_3_mb():
    rows = make_transactions(20_000, random_state=0).data
    model = Autoencoder(2, max_epochs=1, **QUICK).fit(rows.slice(0, 2_000))
    assert len(explore(model, rows).html) < 3e6


def test_a_page_is_saved_whole_and_replaces_only_if_allowed(made, tmp_path):
    made.save(tmp_path / "map.html")
    assert (tmp_path / "map.html").read_text(encoding="utf-8") == made.html
    with pytest.raises(OutputExistsError):
        made.save(tmp_path / "map.html", overwrite=False)


def test_a_notebook_shows_the_page_in_a_frame(made):
    shown = made._repr_html_()
    assert (
        shown.startswith("<iframe srcdoc=") and 'sandbox="allow-scripts allow-downloads"' in shown
    )
    assert "<script" not in shown and repr(made) == "Autoencoder explorer of 120 rows, 2 components"


def test_the_explorer_is_imported_when_it_is_used():
    assert latently.explore is explore


# ---------------------------------------------------------------- kinds of model
def test_a_detector_has_a_threshold_and_reasons():
    rows, _ = clusters()
    rows[7] = [5, 5, -20, 30]
    detector = AnomalyDetector(random_state=0).fit(rows)
    header, array = arrays(explore(detector, rows).html)
    assert header["alarm"]["cut"] == pytest.approx(detector.threshold_.cut)
    np.testing.assert_allclose(array(header["alarm"]["p"]), detector.p_values(rows), rtol=1e-6)
    scores = next(c for c in header["columns"] if c["name"] == "anomaly score")
    np.testing.assert_allclose(array(scores["data"]), detector.anomaly_score(rows), rtol=1e-6)
    assert header["reasons"][0]["row"] == 7 and header["reasons"][0]["why"]
    assert header["decoder"] is None  # it stores rows


def test_images_have_thumbnails_of_their_pixels():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    images[0, 0, :2] = 0, 255
    model = Autoencoder(2, max_epochs=1, **QUICK).fit(images)
    header, array = arrays(explore(model, images).html)
    assert array(header["images"]["data"]).reshape(images.shape).tolist() == images.tolist()
    assert header["decoder"]["layers"] is not None


def test_a_convolutional_decoder_stays_with_the_model():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    model = Autoencoder(2, network=ConvNetwork(), max_epochs=1, **QUICK).fit(images)
    assert explore(model, images).header["decoder"]["layers"] is None


def test_a_code_of_one_component_is_shown_against_the_error():
    rows, _ = clusters()
    model = Autoencoder(1, max_epochs=1, **QUICK).fit(rows)
    header, array = arrays(explore(model, rows).html)
    np.testing.assert_allclose(array(header["map"]["y"]), model.reconstruction_error(rows), 1e-5)


# ---------------------------------------------------------------- arrays
def test_arrays_return_from_the_block_of_bytes():
    blob, rng = Blob(), np.random.default_rng(0)
    given = [rng.normal(size=3).astype("f4"), rng.normal(size=2), np.arange(5, dtype=np.uint8)]
    refs = [blob.add(array) for array in given]
    raw = zlib.decompress(base64.b64decode(blob.text()))
    for array, ref in zip(given, refs, strict=True):
        assert ref["at"] % 8 == 0
        assert np.frombuffer(raw, array.dtype, ref["n"], ref["at"]).tolist() == array.tolist()


def test_any_values_identify_rows(model):
    rows = cluster_table()[0]
    ids = {
        "mixed": [1, "two", None] * 40,
        "arrow": pa.array(range(120)),
        "series": pd.Series("x" * 120 for _ in range(120)),
    }
    roles = [c["role"] for c in explore(model, rows, ids=ids).header["columns"]]
    assert roles.count("id") == 3
