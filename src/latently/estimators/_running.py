"""From a model and its rows to a trained model: the loop on an engine, and what became of it."""

from __future__ import annotations

import warnings
from typing import Any, Protocol

from latently.exceptions import TrainingWarning
from latently.nn import AutoencoderModule, Corruption
from latently.training import (
    Engine,
    History,
    ProgressBar,
    Trained,
    TrainingData,
    TrainingOptions,
    TrainingRows,
    resolve_engine,
    train,
)


class Trainable(Protocol):
    """What a model must have to be trained."""

    engine: str | Engine
    verbose: bool
    module_: AutoencoderModule
    history_: History
    interrupted_: bool


def run_loop(
    model: Trainable,
    train_rows: TrainingRows,
    valid_rows: TrainingData | None,
    options: TrainingOptions,
    corruption: Corruption | None,
    optimizer_state: dict[str, Any] | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Train the module of a model, keep its best weights, return the optimiser's state."""
    engine = resolve_engine(model.engine)
    callbacks = [ProgressBar(title or type(model).__name__)] if model.verbose else []

    def job() -> Trained:
        return train(
            engine, model.module_, train_rows, valid_rows, options, callbacks,
            optimizer_state, corruption,
        )  # fmt: skip

    trained = engine.launch(job)
    model.module_.to("cpu")
    model.module_.load_state_dict(trained.weights)
    model.module_.eval()
    model.history_ = trained.history
    model.interrupted_ = trained.history.stopped == "interrupted"
    _warn_of_trouble(model)
    return trained.optimizer_state


def _warn_of_trouble(model: Trainable) -> None:
    troubles = [f"Training, {event}." for event in model.history_.events]
    if model.interrupted_:
        troubles.append(
            f"Training was interrupted; the weights of step {model.history_.best_step:,} were kept."
        )
    for trouble in troubles:
        warnings.warn(trouble, TrainingWarning, stacklevel=6)
