"""The report: one file, nothing asked of anybody, everything escaped, and what it says is true."""

import base64
import hashlib
import html
import io
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from latently import (
    AnomalyDetector,
    Autoencoder,
    ConvolutionalAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    make_report,
    plot_history,
)
from latently.exceptions import DataError, NotFittedError, OutputExistsError
from tests.chromium import Chromium, need

QUICK = {"random_state": 0, "engine": "cpu"}
EVIL = "<script>alert('x')</script>"

# Colours are for maps, which not every kind has.
pytestmark = pytest.mark.filterwarnings("ignore:color is for the map")


def frame(n=150, seed=0):
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    return pd.DataFrame(
        {EVIL: size, "twice": 2 * size + 0.1 * rng.normal(size=n),
         "kind": rng.choice(["<i>a</i>", "b & c"], n), "other": rng.normal(size=n)}
    )  # fmt: skip


@pytest.fixture(scope="module")
def report():
    rows = frame()
    return make_report(AnomalyDetector(random_state=0).fit(rows), rows, color="kind")


class Page(HTMLParser):
    """Tags in their order, attributes, and whether every tag is closed by its own end."""

    void = ("meta", "img", "source", "br", "link", "input")

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


# ---------------------------------------------------------------- safety
def test_nothing_is_asked_of_anybody(report):
    page = Page(report.html)
    assert not page.open
    assert {name for name, _ in page.tags}.isdisjoint(
        {"script", "iframe", "object", "link", "form"}
    )
    for _, attrs in page.tags:
        for name in ("src", "srcset"):
            assert attrs.get(name, "data:").startswith("data:image/svg+xml;base64,") or (
                name not in attrs
            )
        assert attrs.get("href", "#").startswith("#")
        assert not any(name.startswith("on") or name == "style" for name in attrs)
    assert len(report.html) < 3e6


def test_the_policy_allows_the_one_style_and_pictures_alone(report):
    policy = next(meta["content"] for meta in Page(report.html).all("meta") if "content" in meta
                  and "http-equiv" in meta)  # fmt: skip
    style = re.search(r"<style>(.*?)</style>", report.html, re.S).group(1)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_names_and_values_of_the_user_are_words_and_no_markup(report):
    assert "<script" not in report.html and "<i>" not in report.html
    words = "".join(Page(report.html).text)
    assert EVIL in words and "<i>a</i>" in json.dumps(report.to_dict()["facts"]) + words


def test_pictures_are_whole_and_free_of_scripts_and_links(report):
    for attrs in Page(report.html).all("img"):
        svg = base64.b64decode(attrs["src"].split(",", 1)[1])
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        hrefs = [value for node in root.iter() for key, value in node.attrib.items()
                 if key.endswith("href")]  # fmt: skip
        assert all(value.startswith(("#", "data:image/png")) for value in hrefs)
        assert b"<script" not in svg and b"foreignObject" not in svg


# ---------------------------------------------------------------- reading
def test_a_screen_reader_finds_its_way(report):
    page = Page(report.html)
    assert page.all("html")[0]["lang"] == "en" and len(page.all("h1")) == 1
    assert all(attrs["alt"] for attrs in page.all("img"))
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {attrs["href"][1:] for attrs in page.all("a")} <= ids
    assert all("scope" in attrs for attrs in page.all("th"))
    assert all(a["tabindex"] == "0" and a["aria-label"] for a in page.all("figure"))
    tables = len(page.all("table"))
    regions = [a for a in page.all("div") if a.get("class") == "scroll"]
    assert len(regions) == tables and all(a["tabindex"] == "0" and a["aria-label"] for a in regions)
    assert len(page.all("caption")) == tables


def test_each_picture_has_a_dark_twin(report):
    page = Page(report.html)
    for source, image in zip(page.all("source"), page.all("img"), strict=True):
        assert "dark" in source["media"] and source["srcset"] != image["src"]


# ---------------------------------------------------------------- truth
def test_it_says_what_the_model_says(report):
    rows = frame()
    detector = AnomalyDetector(random_state=0).fit(rows)
    said = report.to_dict()
    scores = -detector.score_samples(rows)
    assert said["anomalies"]["n_flagged"] == (detector.predict(rows) == -1).sum()
    assert said["worst"][0]["row"] == int(scores.argmax())
    assert said["worst"][0]["anomaly_score"] == pytest.approx(scores.max())
    assert f"{said['anomalies']['n_flagged']} of 150 rows" in str(report)
    assert sum(said["anomalies"]["histogram"]["counts"]) == 150
    json.dumps(said)


def test_the_errors_are_those_of_the_columns():
    rows = frame().drop(columns="kind")
    model = Autoencoder(1, max_epochs=60, **QUICK).fit(rows)
    said = make_report(model, rows).to_dict()["errors"]
    shares = {one["column"]: one["unexplained"] for one in said["columns"]}
    expected = model.reconstruct(rows, support="free")
    left = np.square(rows - expected).sum() / np.square(rows - rows.mean()).sum()
    for name, value in left.items():
        assert shares[name] == pytest.approx(value, rel=1e-4)
    assert said["columns"][0]["column"] == max(shares, key=shares.get)


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(2, max_epochs=2, **QUICK),
        Autoencoder(1, max_epochs=2, **QUICK),
        VariationalAutoencoder(3, max_epochs=2, **QUICK),
        SparseAutoencoder(12, n_active=2, max_epochs=2, **QUICK),
        NeighborAutoencoder(**QUICK),
    ],
    ids=str,
)
def test_every_kind_has_a_report(model):
    rows = frame(80)
    report = make_report(model.fit(rows), rows, color=np.arange(80))
    assert not Page(report.html).open and str(report) == report.to_dict()["conclusion"]
    assert "twice" in report.html


def test_images_have_walks_and_heat():
    images = load_digits().images[:120]
    model = ConvolutionalAutoencoder(4, max_epochs=2, **QUICK).fit(images)
    page = Page(make_report(model, images).html)
    assert any("along" in attrs["alt"] for attrs in page.all("img"))
    detector = AnomalyDetector(autoencoder=model, random_state=0).fit(images)
    flagged = make_report(detector, images)
    assert "of the image" in "".join(Page(flagged.html).text)


@pytest.mark.parametrize("model", [Autoencoder(), AnomalyDetector()], ids=str)
def test_the_former_method_names_the_function(model):
    assert not hasattr(model, "report")
    with pytest.raises(AttributeError, match=r"latently\.make_report\(model, X\)"):
        model.report(frame(60))


# ---------------------------------------------------------------- files, bad input
def test_it_is_written_whole_or_not_at_all(report, tmp_path):
    report.save(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == report.html
    with pytest.raises(OutputExistsError):
        report.save(tmp_path / "report.html", overwrite=False)
    report.save(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(
        json.dumps(report.to_dict())
    )
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["report.html", "report.json"]


def test_bad_input_is_refused_in_a_sentence():
    rows = frame(60)
    model = Autoencoder(2, max_epochs=1, **QUICK)
    with pytest.raises(NotFittedError):
        make_report(model, rows)
    model.fit(rows)
    with pytest.raises(DataError, match=r"0 sample\(s\)"):
        make_report(model, rows[:0])
    with pytest.raises(DataError, match="20 rows at least, got 5"):
        make_report(model, rows[:5])
    with pytest.raises(DataError, match="no column 'nothing'"):
        make_report(model, rows, color="nothing")
    with pytest.raises(DataError, match="a value for each of 60 rows"):
        make_report(model, rows, color=[1, 2])


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    need()
    made = Chromium(tmp_path_factory.mktemp("profile"))
    yield made
    made.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_looks_right_in_a_browser(browser, report, tmp_path, width, dark):
    report.save(tmp_path / "report.html")
    browser.resize(width, 3000)
    browser.prefer("dark" if dark else "light")
    browser.visit(tmp_path / "report.html")
    browser.settle()
    picture = io.BytesIO(browser.picture())
    assert browser.errors == [] and browser.run("window.violations") == []
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
    assert pixels.shape[1] == width
    ground = np.median(pixels)
    assert ground < 60 if dark else ground > 220
    # Words and lines stand out from the ground, in the text above and in the pictures below.
    for part in np.array_split(pixels[:, :-20], 6):
        assert np.abs(part - ground).max() > 120
    # Nothing runs out of the page at the right.
    assert browser.run("document.documentElement.scrollWidth") == width
    margin = pixels[: len(pixels) // 2, width - 16 :]
    assert np.abs(margin - ground).max() < 60


# ---------------------------------------------------------------- in a notebook
def test_a_notebook_shows_a_summary_of_a_report_that_is_not_saved(report):
    shown = report._repr_html_()
    assert report.contents["conclusion"] in html.unescape(shown)
    assert "<iframe" not in shown and "report.html" in shown
    assert len(shown) < 10_000 and repr(report) == str(report)


def test_a_notebook_shows_a_saved_report_in_a_frame_on_its_file(tmp_path, monkeypatch):
    rows = frame()
    made = make_report(AnomalyDetector(random_state=0).fit(rows), rows)
    monkeypatch.chdir(tmp_path)
    made.save("contents.json")
    assert made.path is None and "<iframe" not in made._repr_html_()
    (tmp_path / "out").mkdir()
    made.save("out/my <report>.html")
    shown = made._repr_html_()
    assert 'src="out/my%20%3Creport%3E.html"' in shown
    assert len(shown) < 10_000 and "srcdoc" not in shown
    assert EVIL not in shown
    made.path.unlink()
    assert "<iframe" not in made._repr_html_()


def test_a_report_saved_elsewhere_is_named_without_a_frame(tmp_path, monkeypatch):
    rows = frame()
    made = make_report(Autoencoder(2, max_epochs=1, **QUICK).fit(rows), rows)
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    made.save(tmp_path / "report.html")
    shown = made._repr_html_()
    assert "<iframe" not in shown and "report.html" in shown


def test_a_figure_is_shown_in_a_notebook_without_pyplot(report):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    figure = plot_history(Autoencoder(2, max_epochs=2, **QUICK).fit(rows))
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        assert image.width == 800
