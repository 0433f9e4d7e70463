"""What a map does with more labels than eyes can tell apart, and with names for them."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest

from latently.datasets import make_transactions
from latently.estimators import Autoencoder
from latently.report import plot_anomalies, plot_history, plot_map, plot_reconstructions
from latently.training import History


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(120, 3))


@pytest.fixture(scope="module")
def model(rows: np.ndarray) -> Autoencoder:
    return Autoencoder(2, max_epochs=1, random_state=0).fit(rows)


def test_the_rarest_of_many_labels_are_drawn_as_one(model: Autoencoder, rows: np.ndarray) -> None:
    # Given: 10 labels of eleven rows, and 10 of one.
    y = [f"common {i}" for i in range(10) for _ in range(11)] + [f"rare {i}" for i in range(10)]
    # When
    legend = plot_map(model, rows, y).axes[0].get_legend()
    # Then: eleven labels keep their name, the other nine are together.
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == 12 and shown[-1] == "other (9)"
    assert shown[:10] == [f"common {i} (11)" for i in range(10)]


def test_the_label_names_the_legend_and_the_bar(model: Autoencoder, rows: np.ndarray) -> None:
    words = plot_map(model, rows, ["a", "b"] * 60, label="kind").axes[0].get_legend()
    bar = plot_map(model, rows, rows[:, 0], label="height").axes[1]
    assert words.get_title().get_text() == "kind"
    assert bar.get_ylabel() == "height"


def test_points_of_a_plain_map_are_as_many_as_rows(model: Autoencoder, rows: np.ndarray) -> None:
    (dots,) = plot_map(model, rows).axes[0].collections
    assert len(dots.get_offsets()) == 120


def test_the_threshold_is_a_line_with_its_value_in_the_legend() -> None:
    ax = plot_anomalies(np.linspace(1, 2, 50), threshold=1.5).axes[0]
    (line,) = ax.lines
    assert set(line.get_xdata()) == {1.5}
    assert [text.get_text() for text in ax.get_legend().get_texts()][-1] == "threshold 1.5"


def test_a_history_without_an_evaluation_says_so(model: Autoencoder, rows: np.ndarray) -> None:
    stopped = Autoencoder(2, max_epochs=1, random_state=0).fit(rows)
    stopped.history_ = History(stopped="interrupted")
    title = plot_history(stopped).axes[0].get_title("left")
    assert title == "Training ended before its first evaluation"


@pytest.mark.parametrize("n", [1, 4, 6])
def test_the_legend_of_rows_lies_below_all_panels(n: int) -> None:
    # Given
    data = make_transactions(60, random_state=0).data
    fitted = Autoencoder(2, max_epochs=1, random_state=0).fit(data)
    # When
    figure = plot_reconstructions(fitted, data, n)
    figure.savefig(io.BytesIO())
    # Then
    (legend,) = figure.legends
    box = legend.get_window_extent()
    assert legend.get_title().get_text().startswith("standard deviations")
    assert all(not box.overlaps(ax.get_tightbbox()) for ax in figure.axes)
    assert box.x0 >= 0 and box.x1 <= figure.bbox.x1


def test_the_room_of_pictures_never_loads_pyplot() -> None:
    script = (
        "import io, sys, numpy as np\n"
        "from latently.report import plot_anomalies\n"
        "plot_anomalies(np.arange(1.0, 9.0)).savefig(io.BytesIO())\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
