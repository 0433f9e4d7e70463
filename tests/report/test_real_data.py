"""Pictures stay readable on wide tables, far values, long names, gaps and few rows."""

from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_digits

import latently
from latently.datasets import make_transactions
from latently.exceptions import DataError, ParameterError
from latently.report._scale import Scale, number_words
from latently.report._style import GAP, shorten, shorten_all
from latently.training import History, Record
from latently.tuning import LearningCurve

FAST = {"max_epochs": 2, "random_state": 0}
N_COLUMNS = 82


@pytest.fixture(scope="module")
def wide():
    """82 columns of long names that differ in their middle."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 4)) @ rng.normal(size=(4, N_COLUMNS))
    names = [f"measurement of the {i}th quarterly average turnover" for i in range(N_COLUMNS)]
    return pd.DataFrame(rows + 0.3 * rng.normal(size=rows.shape), columns=names)


@pytest.fixture(scope="module")
def model(wide):
    return latently.Autoencoder(2, **FAST).fit(wide)


@pytest.fixture(scope="module")
def reasons(wide):
    """Why 74 rows were flagged, whose blames span many powers of ten."""
    rows = wide.iloc[:74].copy()
    for place in range(74):
        rows.iloc[place, place] += 3 * 1.1**place
    return latently.AnomalyDetector(random_state=0).fit(wide).explain(rows)


@pytest.fixture(scope="module")
def gaps():
    """Images of 8 x 8 pixels, a tenth of which is missing."""
    images = load_digits().images[:40].astype(float)
    images[np.random.default_rng(0).random(images.shape) < 0.1] = np.nan
    return images


@pytest.fixture(scope="module")
def image_model(gaps):
    return latently.Autoencoder(2, **FAST).fit(gaps)


def assert_readable(figure):
    """No tick label lies on another one, and no text of an axis leaves the figure."""
    figure.draw_without_rendering()
    for ax in figure.findobj(lambda artist: hasattr(artist, "get_xticklabels")):
        if not ax.axison:
            continue
        for axis, side in ((ax.xaxis, "x"), (ax.yaxis, "y")):
            low, high = sorted(axis.get_view_interval())
            ticks = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
            labels = [t.label1 if t.label1.get_visible() else t.label2 for t in ticks]
            shown = [one for one in labels if one.get_text() and one.get_visible()]
            boxes = [one.get_window_extent() for one in shown]
            boxes.sort(key=lambda box: box.x0 if side == "x" else box.y0)
            for one, other in pairwise(boxes):
                gap = other.x0 - one.x1 if side == "x" else other.y0 - one.y1
                assert gap > -1, (ax.get_xlabel(), [label.get_text() for label in shown])
    width, height = figure.get_size_inches() * figure.dpi
    box = figure.get_tightbbox()
    assert box.x0 > -0.05 and box.x1 * figure.dpi < width + 5
    assert box.y0 > -0.05 and box.y1 * figure.dpi < height + 5


def texts_of(figure):
    found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
    return " ".join(" ".join(text.get_text().split()) for text in found)


# ---------------------------------------------------------------- one value far from the others
def test_an_outlier_among_positive_scores_makes_the_axis_logarithmic():
    scores = np.append(np.random.default_rng(0).gamma(5, 1, 500), 1_800)
    figure = latently.plot_anomalies(scores, threshold=12.0)
    ax = figure.axes[0]
    assert ax.get_xscale() == "log"
    assert ax.get_xlabel() == "anomaly score (higher = more unusual, log scale)"
    assert_readable(figure)


def test_an_outlier_among_scores_around_zero_makes_the_axis_symlog():
    scores = np.append(np.random.default_rng(0).normal(size=500), 1_800)
    figure = latently.plot_anomalies(scores, threshold=4.0)
    ax = figure.axes[0]
    assert ax.get_xscale() == "symlog"
    assert sum(bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")) == 501
    near, far = ax.transData.transform([[4.0, 1], [1_800, 1]])[:, 0]
    assert near - ax.bbox.x0 > 0.3 * ax.bbox.width and far <= ax.bbox.x1
    assert_readable(figure)


def test_a_far_threshold_counts_as_a_value_of_the_axis():
    scores = np.random.default_rng(0).normal(size=500)
    assert latently.plot_anomalies(scores, threshold=1e6).axes[0].get_xscale() == "symlog"


def test_equal_scores_are_one_bar_in_the_middle():
    ax = latently.plot_anomalies(np.full(50, 5.0)).axes[0]
    (bar,) = [bar for bar in ax.patches if bar.get_height() > 0]
    assert bar.get_x() < 5 < bar.get_x() + bar.get_width()
    assert np.mean(ax.get_xlim()) == pytest.approx(5)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (np.arange(100.0), "linear"),
        ([5.0] * 99 + [1_800], "log"),
        (np.append(np.arange(1.0, 100), 1e5), "log"),
        (np.append(np.linspace(-1, 1, 99), 1e5), "symlog"),
        ([0.0] * 99 + [3.0], "symlog"),
        ([2.0] * 50, "linear"),
        ([np.nan, np.inf, 1.0], "linear"),
        ([], "linear"),
    ],
)
def test_the_scale_follows_how_far_values_lie_apart(values, name):
    assert Scale.of(values).name == name


def test_bins_of_any_scale_hold_every_value():
    values = np.append(np.random.default_rng(0).normal(size=99), 1e7)
    edges = Scale.of(values).edges(values.min(), values.max(), 30)
    assert np.histogram(values, edges)[0].sum() == 100
    assert (np.diff(edges) > 0).all()


def test_numbers_of_an_axis_are_written_without_exponents_up_to_a_million():
    words = [number_words(value) for value in (0, -12.5, 12_000, 1e8, -2e-5)]
    assert words == ["0", "-12.5", "12,000", "$10^{8}$", r"$-2\times10^{-5}$"]


def test_losses_below_zero_with_a_high_start_have_a_symlog_axis(model):
    history = History([Record(i, i, loss, loss, 0.1) for i, loss in enumerate([1e4, *[-1.0] * 30])])
    started = latently.Autoencoder(2, **FAST).fit(np.random.default_rng(0).normal(size=(40, 3)))
    started.history_ = history
    figure = latently.plot_history(started)
    assert figure.axes[0].get_yscale() == "symlog"
    assert_readable(figure)


# ---------------------------------------------------------------- maps
def test_a_row_far_out_is_a_cross_at_the_edge_and_the_others_keep_their_room(model, wide):
    rows = pd.concat([wide, 900 * wide.iloc[:1]])
    ax = latently.plot_map(model, rows).axes[0]
    dots, cross = (np.asarray(drawn.get_offsets()) for drawn in ax.collections)
    assert len(cross) == 1 and len(dots) == len(rows)
    assert np.allclose(dots[:-1], model.transform(wide))
    spread = np.ptp(dots[:-1], 0) / np.ptp([ax.get_xlim(), ax.get_ylim()], 1)
    assert (spread > 0.2).all()
    assert "1 row far out is a cross" in texts_of(ax.figure)


def test_a_colour_bar_has_the_name_of_the_series_and_shows_an_outlier_on_a_log_scale(model, wide):
    income = pd.Series(np.append(np.linspace(1, 9, 199), 1_800), name="income in EUR")
    figure = latently.plot_map(model, wide, income)
    bar = figure.axes[1]
    assert bar.get_ylabel() == "income in EUR, log scale" and bar.get_yscale() == "log"
    assert "coloured by income in EUR" in texts_of(figure)
    assert_readable(figure)


@pytest.mark.parametrize(
    "days",
    [
        pd.Series(pd.date_range("2024-01-01", periods=200), name="day of purchase"),
        pl.Series("day of purchase", pd.date_range("2024-01-01", periods=200).to_list()),
    ],
    ids=["pandas", "polars"],
)
def test_dates_have_a_colour_bar_of_dates(model, wide, days):
    figure = latently.plot_map(model, wide, days)
    figure.draw_without_rendering()
    labels = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert "Apr" in labels or "May" in labels
    assert figure.axes[1].get_ylabel() == "day of purchase"


def test_labels_of_a_series_with_an_index_have_its_name_and_forty_of_them_a_rest(model, wide):
    classes = pd.Series(
        [f"class of customers number {i % 40}" for i in range(200)], name="customer class",
        index=pd.date_range("2024", periods=200),
    )  # fmt: skip
    figure = latently.plot_map(model, wide, classes)
    legend = figure.axes[0].get_legend()
    labels = [text.get_text() for text in legend.get_texts()]
    assert legend.get_title().get_text() == "customer class"
    assert len(labels) == len(set(labels)) == 12 and labels[-1] == "other (145)"
    figure.draw_without_rendering()
    assert legend.get_window_extent().x0 > figure.axes[0].bbox.x1 - 5  # beside the map
    assert_readable(figure)


def test_names_that_lie_on_each_other_are_in_the_legend_only(model, wide):
    figure = latently.plot_map(model, wide, pl.Series("churned", np.arange(200) % 2 == 0))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts if text.get_path_effects()]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    assert len(figure.axes[0].get_legend().get_texts()) == 2


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_one_row_is_a_map_of_one_row(wide, n_components):
    model = latently.Autoencoder(n_components, **FAST).fit(wide)
    figure = latently.plot_map(model, wide[:1], ["a"])
    assert "1 row, Autoencoder of" in texts_of(figure)
    assert_readable(figure)


# ---------------------------------------------------------------- wide tables, long names
def test_names_are_shortened_in_their_middle_and_still_differ(wide):
    assert shorten("short") == "short" and len(shorten("x" * 99)) == 24
    names = shorten_all(list(wide.columns))
    assert len(set(names)) == N_COLUMNS and max(map(len, names)) <= 24
    same = shorten_all([f"{'a' * 30}{i}{'b' * 30}" for i in range(5)])
    assert len(set(same)) == 5


def test_rows_of_a_wide_table_show_the_columns_of_the_largest_errors(model, wide):
    rows = wide.iloc[:3].copy()
    rows.iloc[0, 70] = 1_800
    figure = latently.plot_reconstructions(model, rows)
    ax = figure.axes[0]
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert len(labels) == 20 and any("70th" in label for label in labels)
    assert "the 20 of the largest errors, and 62 more columns" in texts_of(figure)
    assert ax.get_xscale() == "symlog"
    assert_readable(figure)


def test_fills_of_a_wide_table_name_thirty_columns(wide):
    holes = wide.mask(np.random.default_rng(0).random(wide.shape) < 0.1)
    imputer = latently.AutoencoderImputer(autoencoder=latently.Autoencoder(2, **FAST)).fit(holes)
    figure = latently.plot_fills(imputer)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == 30
    assert "and 52 more columns with fewer gaps" in texts_of(figure)
    assert [ax.get_xlabel() for ax in figure.axes] == ["missing (%)", "error avoided (%)"]
    assert_readable(figure)


def test_blames_of_many_sizes_are_all_seen_and_the_rest_is_counted(reasons):
    figure = latently.plot_explanation(reasons)
    ax = figure.axes[0]
    blames = [bar.get_width() for bar in ax.patches]
    assert max(blames) > 1_000 * min(blames) and ax.get_xscale() == "symlog"
    ends = ax.transData.transform([[blame, 0] for blame in blames])[:, 0] - ax.bbox.x0
    assert min(ends) > 5 and max(ends) < 0.45 * ax.bbox.width
    assert "and 62 more rows" in texts_of(figure)
    assert "nats, log scale" in ax.get_xlabel()
    assert all("expected" in text.get_text() for text in ax.texts if "quarterly" in text.get_text())
    assert max(ax.get_xticks()) <= 1.05 * max(blames)
    assert_readable(figure)


def test_reasons_carry_the_dates_of_the_index_and_rows_without_a_reason_are_shown(wide):
    days = wide.iloc[:6, :5].set_axis(pd.date_range("2024-01-01", periods=6))
    detector = latently.AnomalyDetector(random_state=0).fit(wide.iloc[:, :5])
    figure = latently.plot_explanation(detector.explain(days))
    labels = {label.get_text() for label in figure.axes[0].get_yticklabels()} - {""}
    assert labels == {f"2024-01-0{day}" for day in range(1, 7)}
    assert "no column stands out" in texts_of(figure)


def test_names_of_explained_rows_are_one_a_row(reasons):
    figure = latently.plot_explanation(reasons, rows=[f"id {i}" for i in range(74)])
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert all(label.startswith("id ") for label in labels if label)
    with pytest.raises(DataError, match="rows must name each of the 74"):
        latently.plot_explanation(reasons, rows=[1, 2])


def test_sizes_of_a_learning_curve_that_lie_close_share_a_label():
    figures = tuple((share,) for share in (0.3, 0.4, 0.5, 0.5, 0.5, 0.5))
    curve = LearningCurve((64, 256, 272, 288, 304, 320), figures, figures, figures, 80)
    figure = latently.plot_learning_curve(curve)
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert {"64", "320"} <= set(labels) and len(labels) < 6
    assert_readable(figure)


def test_a_table_of_one_column_can_be_drawn():
    column = pd.DataFrame({"x": np.random.default_rng(0).normal(size=60)})
    small = latently.Autoencoder(1, ordered=True, **FAST).fit(column)
    assert "1 component leaves" in texts_of(latently.plot_components(small))
    for figure in (
        latently.plot_history(small), latently.plot_map(small, column),
        latently.plot_components(small), latently.plot_reconstructions(small, column, 1),
    ):  # fmt: skip
        assert_readable(figure)


# ---------------------------------------------------------------- images with gaps
def test_missing_pixels_have_a_colour_of_their_own_and_do_not_count(image_model, gaps):
    figure = latently.plot_reconstructions(image_model, gaps, n=5)
    images = [ax.get_images()[0] for ax in figure.axes if ax.get_images()]
    gap = np.isnan(gaps[0])
    assert np.array_equal(np.ma.getmaskarray(images[0].get_array()), gap)
    assert np.array_equal(np.ma.getmaskarray(images[10].get_array()), gap)
    red, green, blue, _ = images[0].cmap.get_bad()
    assert "#" + "".join(f"{round(255 * part):02X}" for part in (red, green, blue)) == GAP
    words = texts_of(figure)
    assert "nan" not in words and "light blue is missing" in words
    assert "of the range" in words


def test_missing_pixels_of_colour_images_are_light_blue():
    images = np.random.default_rng(0).random((2, 4, 4, 3))
    images[0, 0, 0, 1] = np.nan
    shown = latently.plot_images(images).axes[0].get_images()[0].get_array()
    assert np.allclose(shown[0, 0], [int(GAP[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_a_hot_pixel_leaves_the_others_their_contrast():
    images = load_digits().images[:20].copy()
    images[0, 3, 3] = 1_800
    figure = latently.plot_images(images)
    assert "white is 16" in texts_of(figure)
    assert figure.axes[1].get_images()[0].get_array().max() == 1


def test_heat_maps_say_what_their_colours_and_numbers_are(gaps):
    found = latently.AnomalyDetector(random_state=0).fit(gaps).explain(gaps[:30])
    figure = latently.plot_explanation(found)
    heats = [ax.get_images()[0].get_array() for ax in figure.axes if ax.get_images()]
    assert len(heats) == 16 and all(np.nanmax(heat) == 1 for heat in heats)
    words = texts_of(figure)
    assert "share of the score" in words and "and 14 more images" in words
    assert "anomaly score (higher = more unusual)" in words
    assert_readable(figure)


# ---------------------------------------------------------------- planes
@pytest.fixture(scope="module")
def kinds():
    """A table with a column of each kind."""
    z = np.random.default_rng(0).normal(size=(200, 2))
    return pd.DataFrame({
        "delay": pd.to_timedelta(np.exp(z[:, 0]), unit="h"),
        "heavy": np.exp(3 * z[:, 1]),
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta((30 * z[:, 0]).round(), unit="D"),
        "flag": z[:, 0] > 0,
        "city": [f"city {int(abs(8 * value))}" for value in z[:, 1]],
    })  # fmt: skip


def test_a_plane_of_a_table_is_a_heat_map_a_column_in_its_unit(kinds):
    model = latently.Autoencoder(2, max_epochs=10, random_state=0).fit(kinds)
    figure = latently.plot_plane(model, kinds, 9)
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    assert [bar.get_ylabel().split(",")[0] for bar in bars] == [
        "delay (days)", "heavy", "day", "flag", "city",
    ]  # fmt: skip
    assert {label.get_text() for label in bars[3].get_yticklabels()} <= {"False", "True"}
    assert len(bars[4].get_yticklabels()) <= 10
    assert_readable(figure)


def test_a_plane_shows_what_its_places_decode_to():
    X = np.random.default_rng(0).normal(size=(60, 3))
    model = latently.Autoencoder(2, **FAST).fit(X)
    figure = latently.plot_plane(model, X, 4, columns=["x2"])
    ax = figure.axes[0]
    mesh = ax.collections[0].get_array()
    low, high = np.quantile(model.transform(X), [0.005, 0.995], axis=0)
    corner = model.inverse_transform([[high[0], low[1]]])[0]
    assert mesh[0, 3] == pytest.approx(corner[2], rel=1e-5)
    assert ax.get_xlim() == pytest.approx((low[0], high[0]))
    assert figure.axes[1].get_ylabel() == "x2"


def test_a_plane_of_a_wide_table_shows_the_six_columns_that_change_most(model, wide):
    figure = latently.plot_plane(model, wide, 6)
    assert len(figure.axes) == 12
    assert "the 6 columns that change most, and 76 more columns" in texts_of(figure)
    assert_readable(figure)


def test_columns_of_a_plane_that_are_not_there_are_refused(model, wide, image_model, gaps):
    with pytest.raises(ParameterError, match="columns must be columns of the table, got 'no'"):
        latently.plot_plane(model, wide, columns=["no"])
    with pytest.raises(ParameterError, match="list of at least one column, got 'no'"):
        latently.plot_plane(model, wide, columns="no")
    with pytest.raises(ParameterError, match="None for images"):
        latently.plot_plane(image_model, gaps, columns=["no"])


def test_a_plane_of_images_has_the_axes_of_the_map(image_model, gaps):
    ax = latently.plot_plane(image_model, gaps, 4).axes[0]
    codes = image_model.transform(gaps)
    assert ax.get_xlabel() == "component 1 of the code"
    low, high = np.quantile(codes, [0.005, 0.995], axis=0)
    step = (high - low) / 3
    assert ax.get_xlim() == pytest.approx((low[0] - step[0] / 2, high[0] + step[0] / 2))


# ---------------------------------------------------------------- axes that are given
def pictures(model, wide, image_model, gaps, reasons):
    """Return each function of the package that draws, as a call that takes axes."""
    holes = wide.iloc[:, :30].mask(np.random.default_rng(0).random((len(wide), 30)) < 0.1)
    imputer = latently.AutoencoderImputer(autoencoder=latently.Autoencoder(2, **FAST)).fit(holes)
    found = latently.AnomalyDetector(random_state=0).fit(gaps).explain(gaps[:5])
    ordered = latently.Autoencoder(3, ordered=True, **FAST).fit(wide)
    scores = np.append(np.ones(99), 1_800)
    curve = LearningCurve((64, 320), ((0.3,), (0.4,)), ((0.3,), (0.4,)), ((0.3,), (0.4,)), 80)
    return {
        "anomalies": lambda ax: latently.plot_anomalies(scores, threshold=3.0, ax=ax),
        "components": lambda ax: latently.plot_components(ordered, ax=ax),
        "explanation": lambda ax: latently.plot_explanation(reasons, ax=ax),
        "explained images": lambda ax: latently.plot_explanation(found, ax=ax),
        "fills": lambda ax: latently.plot_fills(imputer, ax=ax),
        "history": lambda ax: latently.plot_history(model, ax=ax),
        "images": lambda ax: latently.plot_images(gaps[:9], ax=ax),
        "learning curve": lambda ax: latently.plot_learning_curve(curve, ax=ax),
        "map": lambda ax: latently.plot_map(model, wide, wide.iloc[:, 3], ax=ax),
        "plane": lambda ax: latently.plot_plane(image_model, gaps, 4, ax=ax),
        "plane of a table": lambda ax: latently.plot_plane(model, wide, 4, ax=ax),
        "rows": lambda ax: latently.plot_reconstructions(model, wide, 2, ax=ax),
        "reconstructions": lambda ax: latently.plot_reconstructions(image_model, gaps, 3, ax=ax),
    }


def test_every_picture_is_drawn_in_the_place_of_given_axes(model, wide, image_model, gaps, reasons):
    for name, draw in pictures(model, wide, image_model, gaps, reasons).items():
        figure = Figure(figsize=(12, 9), layout="constrained")
        grid = figure.subplots(2, 2)
        place, others = grid[0, 1].get_position(), [grid[0, 0], grid[1, 0], grid[1, 1]]
        before = [len(ax.get_children()) for ax in others]
        assert draw(grid[0, 1]) is figure, name
        assert [len(ax.get_children()) for ax in others] == before, name
        assert_readable(figure)
        drawn = [ax for ax in figure.axes if ax not in others]
        assert drawn, name
        for ax in drawn:
            box = ax.get_position() if ax.figure is figure else None
            centre = ax.get_window_extent().get_points().mean(0) / figure.bbox.size
            assert centre[0] > 0.45 and centre[1] > 0.45, (name, box, place)


def test_pictures_of_several_axes_refuse_axes_outside_a_grid(image_model, gaps):
    ax = Figure().add_axes((0, 0, 1, 1))
    with pytest.raises(ParameterError, match="ax must be axes of a grid"):
        latently.plot_images(gaps, ax=ax)


def test_every_public_plot_takes_ax():
    import inspect

    names = [name for name in latently.__all__ if name.startswith("plot_")]
    assert len(names) == 12
    assert all("ax" in inspect.signature(getattr(latently, name)).parameters for name in names)


def test_transactions_of_all_kinds_can_be_drawn():
    rows = make_transactions(150, missing_fraction=0.05, random_state=0).data
    model = latently.Autoencoder(2, **FAST).fit(rows)
    for figure in (latently.plot_plane(model, rows, 8), latently.plot_reconstructions(model, rows)):
        assert_readable(figure)


def test_columns_that_differ_at_their_ends_stay_distinct_in_the_picture_of_drift():
    names = [f"consumption_of_electricity_in_building_{i}" for i in range(40)]
    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(80, 40)), columns=names)
    detector = latently.AnomalyDetector(random_state=0).fit(rows)
    figure = latently.plot_drift(detector.drift(rows))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(set(labels)) == len(labels) == 30
    assert "and 11 more distributions" in " ".join(text.get_text() for text in figure.axes[0].texts)
