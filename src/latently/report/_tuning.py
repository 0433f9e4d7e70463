"""Plots for model selection: numbers of components, search trials and learning curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latently._validation import check_fitted
from latently.estimators import REASONS
from latently.exceptions import DataError
from latently.report._scale import Scale
from latently.report._style import BLUE, GREEN, GREY, RED, axes_of, counted, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from latently.tuning import AutoencoderSearchCV, LearningCurve

#: Width of the label of a size, as a fraction of the axis.
_LABEL_ROOM = 0.12


def plot_components(model: Any, *, ax: Axes | None = None) -> Figure:
    """Plot the reconstruction error against the number of components, with the chosen number.

    Parameters
    ----------
    model : autoencoder or task
        Fitted with ``n_components="auto"`` or ``ordered=True``.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        Fraction of the variance of held-out rows that is not reconstructed, against components.

    Raises
    ------
    DataError
        If the model has no such curve.
    """
    check_fitted(model)
    curve = getattr(getattr(model, "autoencoder_", model), "components_curve_", None)
    if curve is None:
        raise DataError(
            'The model has no curve of sizes. Fit it with n_components="auto" or ordered=True.'
        )
    figure, ax = axes_of(ax, 4.5)
    sizes, errors = np.arange(1, len(curve.errors) + 1), np.array(curve.errors)
    ax.plot(sizes, errors, "o-", color=BLUE, linewidth=1.8, markersize=4)
    chosen = curve.n_components
    ax.axvline(chosen, color=GREY, linewidth=0.8, linestyle=":")
    ax.plot(chosen, errors[chosen - 1], "o", color=RED, markersize=8, markeredgecolor="white")
    if errors.min() > 0:
        ax.set_yscale("log")
        _percents(ax)
    _whole_numbers(ax)
    ax.set_xlabel("components")
    ax.set_ylabel("variation left, of unseen rows")
    verb = "leaves" if chosen == 1 else "leave"
    headline(
        ax, f"{counted(chosen, 'component')} {verb} {errors[chosen - 1]:.1%} of the variation",
        f"chosen: {REASONS[curve.reason]}; codes of all sizes trained at once",
    )  # fmt: skip
    return figure


def _whole_numbers(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _percents(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def plot_search(search: AutoencoderSearchCV, *, ax: Axes | None = None) -> Figure:
    """Plot the score of each trial, the best so far, and the scores of the default and a PCA.

    Parameters
    ----------
    search : AutoencoderSearchCV
        Fitted.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        Scores on the inner rows against trials. The title shows the scores on the outer rows.
    """
    check_fitted(search)
    report = search.report_
    complete = [trial for trial in search.trials_ if trial.score is not None]
    numbers = np.array([trial.number for trial in complete])
    scores = np.array([trial.score for trial in complete], dtype=float)
    figure, ax = axes_of(ax, 4.5)
    if len(numbers):
        ax.plot(numbers, scores, "o", color=BLUE, markersize=5, label="trial")
        best = np.maximum.accumulate(np.maximum(scores, report["default"].inner))
        ax.step(numbers, best, where="post", color=RED, linewidth=1.8, label="best so far")
    for name, colour in (("default", GREEN), ("PCA", GREY)):
        if np.isfinite(report[name].inner):
            ax.axhline(report[name].inner, color=colour, linewidth=1.2, linestyle="--", label=name)
    lines = [report["default"].inner, report["PCA"].inner]
    scale = Scale.of(np.append(scores, lines))
    scale.apply(ax, "y")
    ended = [trial.number for trial in search.trials_ if trial.score is None]
    if ended:
        low = ax.get_ylim()[0]
        ax.plot(
            ended,
            np.full(len(ended), low),
            "x",
            color=GREY,
            markersize=5,
            label="ended early",
            clip_on=False,
        )
        ax.set_ylim(bottom=low)
    ax.legend(frameon=False, fontsize=9.5)
    _whole_numbers(ax)
    ax.set_xlabel("trial")
    ax.set_ylabel(f"{report.figure}, on inner rows{scale.words}")
    outer = ", ".join(
        f"{one.name} {one.outer:.3f}" for one in report.standings if np.isfinite(one.outer)
    )
    headline(
        ax, f"On outer rows: {outer}", f"{report.figure}, {counted(report.n_outer, 'outer row')}"
    )
    return figure


def plot_learning_curve(curve: LearningCurve, *, ax: Axes | None = None) -> Figure:
    """Plot the explained variance against the number of training rows.

    Parameters
    ----------
    curve : LearningCurve
        Curve returned by ``latently.learning_curve``.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        Explained variance of training rows and of held-out rows, and by a PCA. Lines are medians
        over the repeats, bands extend from the minimum to the maximum.
    """
    figure, ax = axes_of(ax, 4.5)
    lines = (
        ("rows learnt from", curve.train, BLUE, "-"), ("new rows", curve.test, RED, "-"),
        ("PCA, new rows", curve.pca, GREY, "--"),
    )  # fmt: skip
    for label, parts, colour, dashes in lines:
        values = np.array(parts)
        ax.plot(curve.sizes, np.median(values, 1), dashes, marker="o", markersize=4, color=colour,
                linewidth=1.8, label=label)  # fmt: skip
        ax.fill_between(curve.sizes, values.min(1), values.max(1), color=colour, alpha=0.15)
    Scale.of(np.concatenate([np.ravel(part) for _, part, _, _ in lines])).apply(ax, "y")
    _label_sizes(ax, curve.sizes)
    ax.legend(frameon=False, fontsize=9.5)
    ax.set_xlabel("rows learnt from")
    ax.set_ylabel("share of the variation rebuilt")
    said, _, advice = curve.conclusion.partition("; ")
    judged = (
        f"judged by {counted(curve.n_test, 'other row')}, {counted(len(curve.test[0]), 'draw')}"
    )
    headline(ax, said[0].upper() + said[1:], f"{advice}; {judged}")
    return figure


def _label_sizes(ax: Axes, sizes: tuple[int, ...]) -> None:
    """Label the largest size, and each smaller one that does not overlap the previous label."""
    from matplotlib.ticker import NullFormatter, NullLocator

    ax.set_xscale("log", base=2)
    room = _LABEL_ROOM * np.log(sizes[-1] / sizes[0])
    labelled = [sizes[-1]]
    for size in sizes[-2::-1]:
        if np.log(labelled[-1] / size) >= room:
            labelled.append(size)
    ax.set_xticks(labelled, [f"{size:,}" for size in labelled])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
