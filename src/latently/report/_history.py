"""The losses of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latently._validation import check_fitted
from latently.report._scale import Scale
from latently.report._style import BLUE, GREY, RED, axes_of, counted, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Smallest ratio of first to last loss at which the loss axis is logarithmic.
_LOG_FROM = 10.0


def plot_history(model: Any, *, ax: Axes | None = None) -> Figure:
    """Plot the training and validation loss of every evaluation.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        Losses in nats per column against optimiser steps. A mark shows the best step, whose
        parameters were kept.
    """
    check_fitted(model)
    history = getattr(model, "autoencoder_", model).history_
    figure, ax = axes_of(ax, 4.5)
    steps, losses = history["step"], {n: history[n] for n in ("train_loss", "valid_loss")}
    judged = not np.array_equal(losses["train_loss"], losses["valid_loss"])
    _draw_line(ax, steps, losses["train_loss"], "training", BLUE)
    if judged:
        _draw_line(ax, steps, losses["valid_loss"], "validation", RED)
    if len(history):
        _mark_best(ax, steps, losses["valid_loss"], history.best_step)
        _scale(ax, np.concatenate(list(losses.values())))
    ax.set_xlabel("optimiser step")
    ax.set_ylabel("loss (nats a column)")
    headline(ax, *_words(type(model).__name__, history, judged))
    return figure


def _draw_line(ax: Axes, steps: Any, loss: Any, label: str, colour: str) -> None:
    # A line through a single point is invisible.
    marker = "o" if len(steps) == 1 else None
    ax.plot(steps, loss, color=colour, linewidth=1.8, marker=marker, label=label)


def _mark_best(ax: Axes, steps: Any, loss: Any, best_step: int) -> None:
    best = loss[steps == best_step]
    if len(best):
        ax.axvline(best_step, color=GREY, linewidth=0.8, linestyle=":")
        ax.plot(best_step, best[0], "o", color=RED, markeredgecolor="white", label="weights kept")
    ax.legend(frameon=False, fontsize=9.5)


def _scale(ax: Axes, losses: Any) -> None:
    if losses.min() > 0 and losses.max() > _LOG_FROM * losses.min():
        Scale("log").apply(ax, "y")
    elif losses.min() <= 0:
        Scale.of(losses).apply(ax, "y")


def _words(name: str, history: Any, judged: bool) -> tuple[str, str]:
    subtitle = f"{name}, {counted(len(history), 'evaluation')}, stopped: {history.stopped}"
    best = history["valid_loss"][history["step"] == history.best_step]
    if not len(best):
        return "Training ended before its first evaluation", subtitle
    which = "validation" if judged else "training"
    return f"Best {which} loss {best[0]:.3g} at step {history.best_step:,}", subtitle
