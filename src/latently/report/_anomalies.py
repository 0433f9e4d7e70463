"""Plots of anomaly scores and their threshold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently._notices import each_once
from latently.exceptions import DataError
from latently.report._labels import as_labels
from latently.report._scale import Scale
from latently.report._style import BLUE, DARK, PALE, RED, axes_of, counted, headline
from latently.tasks import anomaly_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_N_BINS = 60
#: Smallest ratio of mean to median at which the score axis is logarithmic.
_SKEWED = 1.1

Scores = NDArray[np.float64]
Truths = NDArray[np.bool_]


@each_once()
def plot_anomalies(
    scores_or_model: Any,
    X: Any = None,
    y: Any = None,
    *,
    threshold: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the distribution of anomaly scores.

    Parameters
    ----------
    scores_or_model : array-like of shape (n_samples,), autoencoder or detector
        Anomaly scores, where higher means more unusual, or a fitted model that computes them for
        ``X``. ``score_samples`` has the opposite sign.
    X : array-like, DataFrame, Table or image stack, default=None
        Rows to score. Only used with a model.
    y : array-like of shape (n_samples,) or None, default=None
        True for known anomalies, which are drawn in a second colour.
    threshold : float or None, default=None
        Rows with a larger anomaly score are anomalies. None uses the threshold of a fitted
        detector.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        A histogram. The score axis is logarithmic if the scores are skewed or have outliers. If
        scores are also negative, it is linear around zero.

    Raises
    ------
    DataError
        If there are no finite scores, or ``y`` has another length.
    """
    band = _band(scores_or_model) if threshold is None else None
    scores, threshold = _read_scores(scores_or_model, X, threshold)
    known = _read_known(y, scores)
    figure, ax = axes_of(ax, 4.8)
    scale = _scale(scores, threshold)
    _draw_bars(ax, scores, known, _bins(scores, scale))
    _count_rows(ax)
    if threshold is not None:
        label = f"threshold {threshold:.3g}"
        ax.axvline(threshold, color=DARK, linewidth=1.4, linestyle="--", label=label)
    if band is not None:
        ax.axvspan(*band, color=PALE, alpha=0.6, zorder=0, label="90 % band of the threshold")
    scale.apply(ax, "x")
    if known is not None or threshold is not None:
        ax.legend(fontsize=9.5, loc="upper right", edgecolor="none", framealpha=0.9)
    ax.set_xlabel(f"anomaly score (higher = more unusual{scale.words})")
    ax.set_ylabel("rows (log scale)")
    headline(ax, *_words(scores, known, threshold))
    return figure


def _scale(scores: Scores, threshold: float | None) -> Scale:
    shown = scores if threshold is None else np.append(scores, threshold)
    if shown.min() > 0 and scores.mean() > _SKEWED * np.median(scores):
        return Scale("log")
    return Scale.of(shown)


def _band(model: Any) -> tuple[float, float] | None:
    """Return the band of a detector's threshold."""
    found = getattr(model, "threshold_", None)
    return None if found is None else (found.low, found.high)


def _read_scores(given: Any, X: Any, threshold: float | None) -> tuple[Scores, float | None]:
    if hasattr(given, "score_samples"):
        threshold = -given.offset_ if threshold is None and hasattr(given, "offset_") else threshold
        given = anomaly_scores(given, X)
    scores = as_labels(given).ravel()
    if scores.dtype.kind not in "fiub":
        raise DataError(
            f"Scores must be finite numbers, got {scores.dtype}. Give one number a row."
        )
    scores = scores.astype(np.float64)
    if not len(scores) or not np.isfinite(scores).all():
        raise DataError(
            f"Scores must be finite numbers, got {len(scores)} of which "
            f"{int((~np.isfinite(scores)).sum())} are not. Drop or mend those rows."
        )
    return scores, threshold


def _read_known(y: Any, scores: Scores) -> Truths | None:
    if y is None:
        return None
    known = as_labels(y).ravel()
    if len(known) != len(scores):
        raise DataError(
            f"y must say for each row whether it is an anomaly, got {len(known)} values for "
            f"{len(scores)} scores. Give one a row."
        )
    kinds = set(np.unique(known).tolist()) if known.dtype.kind in "fiub" else {"text"}
    if not (kinds <= {0, 1} or kinds <= {-1, 1}):
        shown = ", ".join(sorted(map(str, kinds))[:4])
        raise DataError(
            "y must be True or False, 1 or 0, or -1 (anomaly) or 1 for each row, got "
            f"{shown}. Recode them."
        )
    return np.asarray(known == (-1 if -1 in kinds else 1))


def _bins(scores: Scores, scale: Scale) -> Scores:
    low, high = float(scores.min()), float(scores.max())
    if high <= low:  # one bar, in the middle
        reach = 0.5 * abs(low) or 0.5
        return np.asarray(np.linspace(low - reach, low + reach, _N_BINS))
    return scale.edges(low, high, _N_BINS)


def _draw_bars(ax: Axes, scores: Scores, known: Truths | None, bins: Scores) -> None:
    if known is None:
        ax.hist(scores, bins.tolist(), color=BLUE, label="all rows")
        return
    normal, unusual = scores[~known], scores[known]
    ax.hist(normal, bins.tolist(), color=BLUE, label=counted(len(normal), "normal row"))
    # Bars of half the width, so that the two colours do not overlap.
    label = f"{len(unusual):,} known {'anomaly' if len(unusual) == 1 else 'anomalies'}"
    ax.hist(unusual, bins.tolist(), color=RED, rwidth=0.5, label=label)


def _count_rows(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    ax.set_yscale("log")
    ax.set_ylim(bottom=0.7)
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _words(scores: Scores, known: Truths | None, threshold: float | None) -> tuple[str, str]:
    subtitle = f"{counted(len(scores), 'row')}, median anomaly score {np.median(scores):.3g}"
    if threshold is None:
        return _ranking_words(scores, known), subtitle
    beyond = scores > threshold
    n_beyond, verb = int(beyond.sum()), "lies" if beyond.sum() == 1 else "lie"
    title = f"{n_beyond:,} of {counted(len(scores), 'row')} {verb} beyond the threshold"
    if known is not None:
        caught = int((beyond & known).sum())
        subtitle = f"{caught:,} of {int(known.sum()):,} known anomalies are among them"
    return title, subtitle


def _ranking_words(scores: Scores, known: Truths | None) -> str:
    if known is None or known.all() or not known.any():
        return f"The most unusual row has the anomaly score {scores.max():.3g}"
    from sklearn.metrics import roc_auc_score

    chance = roc_auc_score(known, scores)
    return f"A known anomaly outscores a normal row in {chance:.0%} of pairs"
