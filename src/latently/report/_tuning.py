"""Pictures of how a model was set: sizes of the code, trials of a search, numbers of rows."""

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

#: Share of the axis that the label of a size takes.
_LABEL_ROOM = 0.12


def plot_components(model: Any, *, ax: Axes | None = None) -> Figure:
    """Plot what codes of each size leave, and the size chosen.

    Parameters
    ----------
    model : autoencoder or task
        Fitted with ``n_components="auto"`` or ``ordered=True``.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Share of the variation of unseen rows that is not rebuilt, against components.

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
    """Plot the trials of a search, the best so far, and what the default and a PCA reach.

    Parameters
    ----------
    search : AutoencoderSearchCV
        Fitted.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Figures on the inner rows against trials; those on the outer rows are in the title.
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
    """Plot what a model rebuilds by the number of rows that it learnt from.

    Parameters
    ----------
    curve : LearningCurve
        Of ``latently.learning_curve``.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Share of the variation rebuilt of rows learnt from, of new ones, and by a PCA; lines are
        medians, bands reach from the least to the most.
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
    said, _, advice = curve.verdict.partition("; ")
    judged = (
        f"judged by {counted(curve.n_test, 'other row')}, {counted(len(curve.test[0]), 'draw')}"
    )
    headline(ax, said[0].upper() + said[1:], f"{advice}; {judged}")
    return figure


def _label_sizes(ax: Axes, sizes: tuple[int, ...]) -> None:
    """Label the largest size, and each smaller one that has room beside the last labelled."""
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
