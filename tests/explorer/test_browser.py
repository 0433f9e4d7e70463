"""The page in a real browser: what is drawn, and what a user can do."""

import io
import threading

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from latently import (
    AnomalyDetector,
    Autoencoder,
    ConvNetwork,
    DenseNetwork,
    VariationalAutoencoder,
    explore,
)
from latently.datasets import make_transactions
from tests.chromium import LIMIT, Chromium, need

from .pages import EVIL, N_CLUSTER, QUICK, cluster_table, clusters, linear_model

pytestmark = pytest.mark.browser

SIZE = (1280, 900)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    need()
    made = Chromium(tmp_path_factory.mktemp("profile"), *SIZE)
    yield made
    made.close()


@pytest.fixture(scope="module")
def model():
    return linear_model(cluster_table()[0])


@pytest.fixture(scope="module")
def page(model, tmp_path_factory):
    rows, kinds = cluster_table()
    path = tmp_path_factory.mktemp("pages") / "map.html"
    explore(model, rows, [EVIL[kind] for kind in kinds]).save(path)
    return path


@pytest.fixture
def shown(browser, page):
    """The page of the clusters, freshly opened, which must not complain."""
    browser.resize(*SIZE)
    browser.prefer("light")
    browser.open(page)
    yield browser
    assert browser.errors == []
    assert browser.run("window.violations") == []
    assert browser.requests == [page.as_uri()]


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a model."""

    def open_page(made):
        made.save(tmp_path / "page.html")
        browser.resize(*SIZE)
        browser.prefer("light")
        browser.open(tmp_path / "page.html")
        return browser

    return open_page


def spot(browser, row):
    """Return where a row is on the screen."""
    return spot_of(browser, f"explorer.app.xs[{row}]", f"explorer.app.ys[{row}]")


def spot_of(browser, x, y):
    return browser.run(
        f"(() => {{ const [x, y] = [{x}, {y}]; const c = explorer.map.camera;"
        "const b = explorer.map.root.getBoundingClientRect();"
        "return [b.x + (x - c.x) * c.sx + c.width / 2, b.y + c.height / 2 - (y - c.y) * c.sy]; })()"
    )


def empty_spot(browser, model):
    """Return a place between the clusters, in the map and on the screen."""
    codes = model.transform(cluster_table()[0])
    place = codes.reshape(3, N_CLUSTER, 2).mean((0, 1))
    return place, spot_of(browser, *place)


def colors_at(browser, places, reach=3):
    picture = np.asarray(Image.open(io.BytesIO(browser.picture())).convert("RGB"), dtype=int)
    for x, y in places:
        x, y = round(x), round(y)
        yield picture[y - reach : y + reach + 1, x - reach : x + reach + 1].reshape(-1, 3)


# ---------------------------------------------------------------- map
def test_each_cluster_is_drawn_in_the_colour_of_its_legend(shown):
    assert shown.run("explorer.map.root.dataset.renderer") == "webgl"
    hues = shown.run("Array.from(explorer.app.hues.colors)")
    rows = [0, N_CLUSTER, 2 * N_CLUSTER]
    for row, near in zip(rows, colors_at(shown, [spot(shown, row) for row in rows]), strict=True):
        assert np.abs(near - hues[4 * row : 4 * row + 3]).sum(1).min() < 60
    x, y = shown.middle(".map")
    (corner,) = colors_at(shown, [(x + 300, y + 150)])
    assert (corner == 255).all()


def test_a_click_on_a_point_shows_its_row(shown):
    shown.click(*spot(shown, 50))
    row = shown.run("explorer.app.row")
    assert np.allclose(spot(shown, row), spot(shown, 50), atol=14)
    assert f"row {row}" in shown.text("#panel-row")
    value = cluster_table()[0][EVIL[0]][row].as_py()
    assert f"{value:.2f}"[:4].replace("-", "−") in shown.text("#panel-row")


def test_hovering_a_point_shows_a_card(shown):
    shown.hover(*spot(shown, 50))
    assert "row" in shown.text(".card") and EVIL[0] in shown.text(".card")
    shown.hover(2, 2)
    assert shown.run("document.querySelector('.card').hidden")


def test_a_legend_entry_hides_its_rows(shown):
    shown.press(".legend button:nth-child(2)")
    assert shown.text(".count") == "80 of 120 rows"
    x, y = spot(shown, N_CLUSTER)
    assert shown.run("document.querySelector('.legend button:nth-child(2)').ariaPressed") == "false"
    (near,) = colors_at(shown, [(x, y)])
    assert (near == 255).all()


def test_a_search_keeps_the_rows_that_match(shown):
    shown.key("/", "/")
    shown.type(f"{EVIL[0]} > 5")
    shown.wait("document.querySelector('.count').textContent === '40 of 120 rows'")
    shown.key("Enter")
    assert shown.run("explorer.app.row") == N_CLUSTER
    shown.key("Escape")
    assert shown.text(".count") == "120 rows"


def test_hostile_names_are_shown_as_text(shown):
    for name in EVIL:
        assert name in shown.text("thead")
        assert name in shown.text(".legend") or name == EVIL[3]
    assert shown.run("document.querySelectorAll('img').length") == 0


def test_the_theme_follows_the_system_and_its_button(shown):
    ground = "getComputedStyle(document.body).backgroundColor"
    assert shown.run(ground) == "rgb(255, 255, 255)"
    shown.prefer("dark")
    shown.wait(f"{ground} === 'rgb(21, 23, 26)'")
    shown.press("button[aria-label='Dark or light']")
    assert shown.run(ground) == "rgb(255, 255, 255)"


def test_the_keyboard_moves_zooms_and_decodes(shown):
    x, y = shown.middle(".map")
    shown.click(x + 300, y + 150)
    before = shown.run("explorer.map.camera")
    shown.key("ArrowRight")
    assert shown.run("explorer.map.camera.x") > before["x"]
    shown.key("+")
    assert shown.run("explorer.map.camera.sx") > before["sx"]
    shown.key("Enter")
    assert shown.run("explorer.app.place.x") == shown.run("explorer.map.camera.x")
    shown.key(" ")
    assert shown.run("explorer.app.row") is not None
    shown.key("Escape")
    assert shown.run("explorer.app.row") is None
    shown.key("0")
    assert shown.run("explorer.map.camera.sx") == pytest.approx(before["sx"], rel=0.2)


def test_a_phone_shows_everything_without_scrolling_sideways(shown):
    shown.resize(390, 844, phone=True)
    shown.settle()
    assert shown.run("document.documentElement.scrollWidth") <= 390
    assert shown.run("explorer.map.camera.width") == 390
    shown.press("#tab-table")
    assert shown.run("document.querySelectorAll('.table tbody tr').length") > 5
    shown.resize(*SIZE)


def test_many_rows_are_drawn_as_their_density(opened):
    rows = np.random.default_rng(0).normal(size=(24_000, 2)) * [1, 0.01]
    model = Autoencoder(2, network=DenseNetwork(()), max_epochs=1, **QUICK).fit(rows[:500])
    shown = opened(explore(model, rows, max_rows=24_000))
    shown.run("explorer.map.zoom(0.02)")
    shown.wait("explorer.map.root.dataset.drawn === 'density'")
    shown.run("explorer.map.zoom(500)")
    shown.wait("explorer.map.root.dataset.drawn === 'points'")
    assert shown.errors == []


# ---------------------------------------------------------------- decoding
def test_a_click_on_an_empty_place_decodes_it(shown, model):
    place, (x, y) = empty_spot(shown, model)
    shown.click(x, y)
    code = np.array(shown.run("Array.from(explorer.app.code)"))
    assert np.allclose(code, place, atol=0.1)
    expected = model.inverse_transform(code[None])
    found = shown.run(
        "Array.from(document.querySelectorAll('.decoded[data-column]'),"
        "(cell) => [cell.dataset.column, cell.dataset.value])"
    )
    values = dict(found)
    for name in EVIL:
        assert float(values[name]) == pytest.approx(expected[name][0].as_py(), abs=1e-4)
    assert values["kind"] == expected["kind"][0].as_py()


def test_dragging_with_the_tool_decodes_on_the_way(shown):
    x, y = shown.middle(".map")
    shown.press("[data-tool=decode]")
    shown.drag([(x, y), (x + 20, y), (x + 60, y + 30)])
    assert shown.run("explorer.app.tab") == "decode"
    assert np.allclose(
        spot_of(shown, "explorer.app.place.x", "explorer.app.place.y"), (x + 60, y + 30), atol=1
    )


def test_a_path_decodes_both_ends(shown, model):
    shown.key("p", "p")
    shown.drag([spot(shown, 0), (400, 400), spot(shown, 100)])
    shown.wait("document.querySelectorAll('.path td').length > 0")
    codes = np.array(shown.run("explorer.app.path.map((p) => Array.from(explorer.app.codeAt(p)))"))
    kinds = model.inverse_transform(codes)["kind"].to_pylist()
    lines = shown.text(".path").splitlines()
    steps = next(line for line in lines if line.startswith("kind")).split("\t")[1:]
    assert [steps[0], steps[-1]] == kinds and len(steps) == 7


def mixed_rows():
    """Return a table with every kind of column, and gaps."""
    rows = make_transactions(300, random_state=0, as_frame="pandas").data
    return rows.assign(share=np.random.default_rng(0).random(len(rows)).round(2))


NETWORKS = {
    "batch": DenseNetwork((8,), normalization="batch", activation="silu", linear_path=True),
    "layer": DenseNetwork((8, 8), normalization="layer", activation="elu"),
    "tanh": DenseNetwork((8,), activation="tanh", dropout=0.1),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_page_decodes_as_the_model(opened, name):
    rows = mixed_rows()
    model = Autoencoder(3, network=NETWORKS[name], max_epochs=2, **QUICK).fit(rows)
    check_decoding(opened(explore(model, rows)), model, rows)


def test_the_page_decodes_binary_rows_as_the_model(opened):
    rows = np.random.default_rng(0).integers(0, 2, (100, 12)).astype(float)
    model = VariationalAutoencoder(2, max_epochs=2, **QUICK).fit(rows)
    check_decoding(opened(explore(model, rows)), model, rows)


def check_decoding(shown, model, rows):
    codes = model.transform(rows)[:40] * 1.3
    expected = model.inverse_transform(codes)
    decode = "explorer.app.cells(explorer.app.decode(Float64Array.from(code))).map((c) => c.value)"
    found = shown.run(f"{codes.tolist()}.map((code) => {decode})")
    columns = [np.array(column, dtype=object) for column in zip(*found, strict=True)]
    values = expected.T if isinstance(expected, np.ndarray) else map(expected.get, expected)
    for got, column in zip(columns, values, strict=True):
        assert_cells(got, column)
    assert shown.errors == []


def assert_cells(got, column):
    if isinstance(got[0], str):
        truths = {"True": "true", "False": "false"}
        assert got.tolist() == [truths.get(str(v), str(v)) for v in column]
        return
    if getattr(column.dtype, "kind", "f") == "M":
        assert np.abs(got.astype(float) - column.astype("int64") / 1e6).max() <= 1
        return
    wanted = np.asarray(column, dtype=float)
    assert np.abs(got.astype(float) - wanted).max() <= 1e-4 * (1 + np.abs(wanted).max())


def test_sliders_change_one_component_and_move_the_place(opened):
    rows, _ = clusters()
    model = Autoencoder(3, max_epochs=2, **QUICK).fit(rows)
    shown = opened(explore(model, rows))
    shown.run("explorer.app.decodeAt({x: 0, y: 0})")
    before = np.array(shown.run("Array.from(explorer.app.code)"))
    shown.press(".sliders label:nth-of-type(3) input")
    shown.key("ArrowRight")
    after = np.array(shown.run("Array.from(explorer.app.code)"))
    assert (after != before).tolist() == [False, False, True]
    assert shown.run("explorer.app.place.x") != 0


def test_images_are_decoded_into_pixels(opened):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
    model = Autoencoder(2, max_epochs=2, **QUICK).fit(images)
    shown = opened(explore(model, images))
    code = model.transform(images)[3]
    shown.run(f"explorer.app.decodeAt({{x: {code[0]}, y: {code[1]}}})")
    found = shown.run(
        "Array.from(document.querySelector('#panel-decode canvas').getContext('2d')"
        ".getImageData(0, 0, 8, 8).data).filter((_, i) => i % 4 === 0)"
    )
    expected = model.inverse_transform(code[None])[0]
    assert np.abs(np.reshape(found, (8, 8)) - expected.astype(int)).max() <= 1
    shown.click(*spot(shown, 5))
    assert shown.run("document.querySelectorAll('#panel-row canvas').length") == 1


# ---------------------------------------------------------------- groups, table and alarms
def test_a_lasso_selects_the_cluster_inside_it(shown):
    spots = np.array([spot(shown, row) for row in range(N_CLUSTER, 2 * N_CLUSTER)])
    (left, top), (right, bottom) = spots.min(0) - 8, spots.max(0) + 8
    shown.key("l", "l")
    shown.drag([(left, top), (right, top), (right, bottom), (left, bottom)])
    assert shown.run("Array.from(explorer.app.groupRows())") == list(range(40, 80))
    text = shown.text("#panel-group")
    assert text.startswith("40 rows") and f"{EVIL[0]} is much higher" in text
    assert shown.text(".count") == "40 of 120 rows"
    shown.press("#panel-group .actions button:nth-child(2)")
    assert shown.text(".count") == "120 rows"


def test_the_table_sorts_and_its_lines_select_rows(shown):
    rows = cluster_table()[0]
    shown.press("th:nth-child(4) button")
    first = int(np.argmin(rows[EVIL[0]]))
    assert shown.run("document.querySelector('.table tbody tr').dataset.row") == str(first)
    shown.press(".table tbody tr:first-child")
    assert shown.run("explorer.app.row") == first
    shown.key("ArrowDown")
    assert shown.run("document.querySelectorAll('.table tbody tr').length") < 60


def test_the_threshold_is_dragged_and_the_alerts_follow(opened):
    rows, _ = clusters()
    rows[7] = [5, 5, -20, 30]
    detector = AnomalyDetector(random_state=0).fit(rows)
    shown = opened(explore(detector, rows))
    shown.press("#tab-alarms")
    scores = detector.anomaly_score(rows)
    assert f"\n{(scores > detector.threshold_.cut).sum()}\n" in shown.text(".figures")
    x, y = shown.middle(".histogram")
    shown.drag([(x + 100, y), (x, y)])
    cut = shown.run("explorer.app.cut")
    n_alerts = int((scores.astype(np.float32) > cut).sum())
    assert cut < detector.threshold_.cut and f"\n{n_alerts}\n" in shown.text(".figures")
    assert "row 7" in shown.text(".worst li:first-child")
    shown.key("ArrowLeft")
    assert shown.run("explorer.app.cut") < cut
    assert shown.errors == []


# ---------------------------------------------------------------- served
def test_a_served_page_decodes_convolutions_and_scores_changes(browser):
    pytest.importorskip("uvicorn")
    import uvicorn

    from latently.explorer._server import listening, make_app

    images = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    model = Autoencoder(2, network=ConvNetwork(), max_epochs=1, **QUICK).fit(images)
    with served(uvicorn, make_app(explore(model, images), "secret"), listening(0)) as url:
        browser.open(f"{url}/?token=secret")
        code = model.transform(images)[3]
        browser.run(f"explorer.app.decodeAt({{x: {code[0]}, y: {code[1]}}})")
        browser.wait("document.querySelector('#panel-decode canvas') !== null")
        encoded = np.array(browser.run("Array.from(explorer.app.encoded)"))
    expected = model.inverse_transform(code[None], support="free")[0].ravel() / 255
    assert np.abs(encoded - expected).max() < 1e-4
    assert browser.errors == [] and browser.run("window.violations") == []


class served:
    """A server of this machine in a thread, while the block runs."""

    def __init__(self, uvicorn, app, listening):
        config = uvicorn.Config(app, log_level="error", lifespan="off")
        self.server, self.listening = uvicorn.Server(config), listening
        self.thread = threading.Thread(target=self.server.run, args=([listening],))

    def __enter__(self):
        self.thread.start()
        return f"http://127.0.0.1:{self.listening.getsockname()[1]}"

    def __exit__(self, *problem):
        self.server.should_exit = True
        self.thread.join(LIMIT)
        self.listening.close()


def test_a_changed_cell_is_scored_by_the_server(browser):
    pytest.importorskip("uvicorn")
    import uvicorn

    from latently.explorer._server import listening, make_app

    rows = pa.table(dict(zip("abcd", clusters()[0].T, strict=True)))
    detector = AnomalyDetector(random_state=0).fit(rows)
    with served(uvicorn, make_app(explore(detector, rows), "secret"), listening(0)) as url:
        browser.open(f"{url}/?token=secret")
        browser.run("explorer.app.setRow(3)")
        browser.press("#panel-row input.cell")
        browser.run("document.activeElement.select()")
        browser.type("99")
        browser.key("Enter", "\r")
        browser.wait("document.querySelector('.whatif li') !== null")
        assert "a 99, expected" in browser.text(".whatif") and "an alert" in browser.text(".whatif")
    assert browser.errors == []
