"""Pictures hold the right marks, words and colours; pixels are not compared."""

import io
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from sklearn.datasets import load_digits, load_iris

import latently
from latently.datasets import make_transactions
from latently.exceptions import DataError, ParameterError
from latently.report._style import PALETTE

FAST = {"max_epochs": 2, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris()


@pytest.fixture(scope="module")
def flowers(iris):
    return latently.Autoencoder(2, **FAST).fit(iris.data)


@pytest.fixture(scope="module")
def digits():
    return load_digits().images[:60]


@pytest.fixture(scope="module")
def image_model(digits):
    return latently.ConvolutionalAutoencoder(4, **FAST).fit(digits)


def words_of(figure):
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    titles = [ax.get_title(where) for ax in figure.axes for where in ("left", "center")]
    return " | ".join([*texts, *titles, figure.get_suptitle()])


def legend_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_no_picture_touches_pyplot(flowers, iris):
    loaded = "matplotlib.pyplot" in sys.modules
    latently.plot_map(flowers, iris.data).savefig(io.BytesIO())
    assert ("matplotlib.pyplot" in sys.modules) == loaded


def test_pictures_are_1200_pixels_wide(flowers):
    figure = latently.plot_history(flowers)
    assert figure.get_figwidth() * figure.dpi == 1200


def test_history_shows_both_losses_and_marks_the_weights_kept(flowers):
    ax = latently.plot_history(flowers).axes[0]
    steps, losses = ax.lines[0].get_data()
    assert np.array_equal(steps, flowers.history_["step"])
    assert np.array_equal(losses, flowers.history_["train_loss"])
    assert legend_of(ax) == ["training", "validation", "weights kept"]
    marked = next(line for line in ax.lines if line.get_label() == "weights kept")
    assert marked.get_xdata()[0] == flowers.history_.best_step


def test_map_places_rows_by_their_code_and_names_each_label(flowers, iris):
    figure = latently.plot_map(flowers, iris.data, iris.target, iris.target_names)
    ax = figure.axes[0]
    places = np.concatenate([np.asarray(dots.get_offsets()) for dots in ax.collections])
    assert np.allclose(places, flowers.transform(iris.data))
    assert legend_of(ax) == ["setosa (50)", "versicolor (50)", "virginica (50)"]
    assert "versicolor" in words_of(figure)
    colours = {to_hex(dots.get_facecolor()[0]) for dots in ax.collections}
    assert colours == {colour.lower() for colour in PALETTE[:3]}


def test_map_of_a_wide_code_says_how_much_variance_it_shows(iris):
    model = latently.Autoencoder(3, **FAST).fit(iris.data)
    ax = latently.plot_map(model, iris.data).axes[0]
    codes = model.transform(iris.data)
    values = np.sort(np.linalg.eigvalsh(np.cov(codes.T)))[::-1]
    assert f"{values[0] / values.sum():.0%} of its variance" in ax.get_xlabel()


def test_map_of_one_component_shows_the_error_beside_it(iris):
    model = latently.Autoencoder(1, **FAST).fit(iris.data)
    ax = latently.plot_map(model, iris.data).axes[0]
    assert "only component" in ax.get_xlabel()
    assert "reconstruction error" in ax.get_ylabel()


def test_map_colours_amounts_with_a_bar(flowers, iris):
    figure = latently.plot_map(flowers, iris.data, iris.data[:, 0])
    assert len(figure.axes) == 2
    assert figure.axes[0].get_legend() is None


def test_map_refuses_labels_that_do_not_match(flowers, iris):
    with pytest.raises(DataError, match="one value a row"):
        latently.plot_map(flowers, iris.data, [1, 2])
    with pytest.raises(DataError, match="names must name each"):
        latently.plot_map(flowers, iris.data, iris.target, ["only one"])


def test_anomalies_count_every_row_and_those_beyond_the_threshold():
    scores = np.concatenate([np.linspace(1, 2, 95), [50, 60, 70, 80, 90]])
    known = np.arange(100) >= 95
    figure = latently.plot_anomalies(scores, y=known, threshold=40.0)
    ax = figure.axes[0]
    assert sum(bar.get_height() for bar in ax.patches) == 100
    assert ax.get_xscale() == "log"
    assert "5 of 100 rows lie beyond the threshold" in words_of(figure)
    assert "5 of 5 known anomalies are among them" in words_of(figure)
    assert {"95 normal rows", "5 known anomalies"} <= set(legend_of(ax))


def test_anomalies_of_a_detector_use_its_threshold(iris):
    detector = latently.AnomalyDetector(
        autoencoder=latently.Autoencoder(1, **FAST), contamination=0.1
    ).fit(iris.data)
    figure = latently.plot_anomalies(detector, iris.data)
    flagged = int((detector.predict(iris.data) == -1).sum())
    assert f"{flagged} of 150 rows lie beyond" in words_of(figure)


def test_even_scores_stay_on_a_plain_axis():
    ax = latently.plot_anomalies(np.linspace(1, 2, 100)).axes[0]
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize("scores", [[], [1.0, np.nan], [1.0, np.inf]])
def test_anomalies_refuse_scores_that_are_none(scores):
    with pytest.raises(DataError, match="finite"):
        latently.plot_anomalies(scores)


def test_reconstructions_of_images_stand_above_their_errors(image_model, digits):
    figure = latently.plot_reconstructions(image_model, digits, n=5)
    images = [ax.get_images()[0] for ax in figure.axes if ax.get_images()]
    assert len(images) == 15
    assert [ax.get_ylabel() for ax in figure.axes[:15:5]] == ["original", "rebuilt", "error"]
    top = digits.max() - digits.min()
    errors = np.abs(digits[:5] - image_model.reconstruct(digits[:5])) / top
    assert np.allclose(images[10].get_array(), errors[0])


def test_reconstructions_of_a_table_mark_what_was_not_expected():
    rows = make_transactions(150).data
    model = latently.Autoencoder(2, **FAST).fit(rows)
    figure = latently.plot_reconstructions(model, rows, n=10)
    assert len(figure.axes) == 6
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == rows.column_names
    assert "expected" in words_of(figure)
    figure.savefig(io.BytesIO())


@pytest.mark.parametrize("n", [1, 2, 4, 6])
def test_reconstructions_of_arrays_have_a_panel_a_row(flowers, iris, n):
    figure = latently.plot_reconstructions(flowers, iris.data, n=n)
    assert len(figure.axes) == n
    assert words_of(figure).startswith("row 0: error") or "row 0: error" in words_of(figure)


@pytest.mark.parametrize("shape", [(5, 8, 8), (5, 8, 8, 1), (5, 8, 8, 3), (5, 3, 8, 8)])
def test_images_fill_a_grid_and_hide_the_rest(shape):
    figure = latently.plot_images(np.random.default_rng(0).random(shape), n_columns=3)
    shown = [ax for ax in figure.axes if ax.get_images()]
    assert (len(figure.axes), len(shown)) == (6, 5)


def test_images_share_one_scale():
    stack = np.stack([np.full((2, 2), 0.0), np.full((2, 2), 10.0)])
    first, second = (ax.get_images()[0].get_array() for ax in latently.plot_images(stack).axes)
    assert (first.max(), second.min()) == (0.0, 1.0)


def test_wrong_requests_are_refused(flowers, iris):
    with pytest.raises(ParameterError, match="n must be"):
        latently.plot_reconstructions(flowers, iris.data, n=0)
    with pytest.raises(ParameterError, match="n_columns"):
        latently.plot_images(np.zeros((2, 4, 4)), n_columns=0)
    with pytest.raises(DataError, match="shape"):
        latently.plot_images(np.zeros((4, 4)))


def test_pictures_draw_into_axes_that_are_given(flowers, iris):
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert latently.plot_map(flowers, iris.data, ax=left) is figure
    assert latently.plot_history(flowers, ax=right) is figure
    assert left.collections and right.lines


# ---------------------------------------------------------------- fills
@pytest.fixture(scope="module")
def imputer():
    model = latently.ImputationAutoencoder(n_networks=2, n_trees=8, batch_size=64, max_epochs=2)
    table = make_transactions(200, missing_fraction=0.1, random_state=0).data
    return latently.AutoencoderImputer(autoencoder=model, random_state=0).fit(table)


def test_fills_show_a_line_a_column_the_emptiest_first_with_its_error(imputer):
    figure, report = latently.plot_fills(imputer), imputer.fill_report_
    left, right = figure.axes
    widths = [bar.get_width() for bar in left.patches]
    assert widths == sorted(report.share_missing.tolist(), reverse=True)
    assert [bar.get_width() for bar in right.patches] == pytest.approx(
        report.explained[np.argsort(-report.share_missing, kind="stable")].tolist()
    )
    names = [label.get_text() for label in left.get_yticklabels()]
    assert sorted(names) == sorted(report.names)
    assert f"{report.share_missing.mean():.1%} of the cells were missing" in words_of(figure)
    assert all(report.error_words(place) in words_of(figure) for place in range(len(names)))


def test_fills_of_a_wide_table_are_those_of_the_emptiest_columns():
    X = np.random.default_rng(0).normal(size=(60, 40))
    X[:30, 35] = X[:10, 3] = np.nan
    model = latently.Autoencoder(2, **FAST)
    figure = latently.plot_fills(latently.AutoencoderImputer(autoencoder=model).fit(X))
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names[:2] == ["x35", "x3"] and len(names) == 30
    assert "and 10 more columns with fewer gaps" in " ".join(figure.get_supxlabel().split())


def test_of_images_there_are_no_fills_by_column(digits):
    imputer = latently.AutoencoderImputer(autoencoder=latently.Autoencoder(2, **FAST))
    with pytest.raises(DataError, match="fitted to images"):
        latently.plot_fills(imputer.fit(digits))
