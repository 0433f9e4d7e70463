"""Runs of the training loop on an engine, which store their result in the model."""

from __future__ import annotations

import copy
import hashlib
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor

from latently._notices import warn
from latently._sklearn import plain_number
from latently.exceptions import DataError, TrainingWarning
from latently.io._resources import memory_errors_named
from latently.nn import AutoencoderModule, Corruption
from latently.training import (
    Callback,
    CannotRecord,
    Engine,
    History,
    ProgressBar,
    Trained,
    TrainingData,
    TrainingEngine,
    TrainingIdentity,
    TrainingOptions,
    TrainingRows,
    Workers,
    can_group,
    current_folder,
    differing,
    digest,
    resolve_engine,
    train,
    train_group,
)

#: Parameters that may differ between a checkpoint and the fit that resumes it.
_RUNTIME_PARAMETERS = ("engine", "verbose", "max_epochs", "time_limit", "max_memory")
#: Names of the parts in which workers may differ, for messages.
_PART_NAMES = {"model": "columns", "parameters": "parameters", "rows": "rows", "content": "values"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class Trainable(Protocol):
    """Attributes that a model needs to be trained."""

    engine: str | Engine
    verbose: bool
    module_: AutoencoderModule
    history_: History
    interrupted_: bool

    def get_params(self, deep: bool = ...) -> dict[str, Any]:
        """Return the parameters."""
        ...


def run_loop(
    model: Trainable,
    train_rows: TrainingRows,
    valid_rows: TrainingData | None,
    options: TrainingOptions,
    corruption: Corruption | None,
    optimizer_state: dict[str, Any] | None = None,
    title: str | None = None,
) -> dict[str, Any]:
    """Train the module of a model, keep its best weights and return the optimizer state."""
    engine = resolve_engine(model.engine)
    callbacks = [ProgressBar(title or type(model).__name__)] if model.verbose else []
    if any(weight.is_inference() for weight in model.module_.parameters()):
        model.module_ = copy.deepcopy(model.module_)  # inference tensors cannot be trained
    folder, checkpoint, module = current_folder(), None, model.module_
    if folder is not None or engine.workers.n_workers > 1:
        identity = _identity_of(model, train_rows, valid_rows)
        _check_agreement(engine.workers, identity)
    if folder is not None:
        checkpoint = folder.next(identity, writes=engine.workers.rank == 0)

    # Monotonic clocks of other machines have another origin.
    seconds = options.deadline - time.monotonic()

    def job(engine: TrainingEngine, callbacks: Sequence[Callback]) -> Trained:
        timed = replace(options, deadline=time.monotonic() + seconds)
        return train(
            engine, module, train_rows, valid_rows, timed, callbacks,
            optimizer_state, corruption, checkpoint,
        )  # fmt: skip

    with memory_errors_named("Training"):
        trained = engine.launch(job, callbacks)
    if checkpoint is not None:
        checkpoint.is_finished = trained.history.stopped not in ("interrupted", "time limit")
    store_result(model, trained)
    return trained.optimizer_state


def run_group(
    models: Sequence[Trainable],
    rows: TrainingData,
    sides: Sequence[tuple[Tensor, Tensor]],
    options: Sequence[TrainingOptions],
    corruption: Corruption | None,
) -> bool:
    """Train the modules of several models at once, or return False without any change.

    Models can be trained at once if their modules are alike, if their steps can be recorded, and
    if there are enough steps to repay the recording.
    """
    first, modules = models[0], [model.module_ for model in models]
    engine = resolve_engine(first.engine)
    if not (
        len(models) > 1
        and isinstance(engine, TrainingEngine)
        and can_group(modules, engine, options[0].n_steps)
    ):
        return False
    title = f"{len(models)} {type(first).__name__}s"
    callbacks = [ProgressBar(title)] if first.verbose else []
    starts = [copy.deepcopy(module.state_dict()) for module in modules]
    try:
        found = train_group(engine, modules, rows, sides, options, callbacks, corruption)
    except CannotRecord:
        for module, start in zip(modules, starts, strict=True):
            module.load_state_dict(start)
        return False
    for model, trained in zip(models, found, strict=True):
        store_result(model, trained)
    return True


def store_result(model: Trainable, trained: Trained) -> None:
    """Store weights and history of a training in the model, and warn of problems."""
    model.module_.to("cpu")
    model.module_.load_state_dict(trained.weights)
    model.module_.eval()
    model.history_ = trained.history
    model.interrupted_ = trained.history.stopped == "interrupted"
    _warn_of_trouble(model)


def _check_agreement(workers: Workers, identity: TrainingIdentity) -> None:
    """Raise DataError on every worker if one has another model, parameters or rows."""
    identities = workers.gather(identity._asdict())
    found = differing(identities)
    if found is not None:
        rank, part = found
        seen = f" ({identities[rank][part]}, not {identities[0][part]})" if part == "rows" else ""
        raise DataError(
            f"Worker {rank} has other {_PART_NAMES[part]} than the first one{seen}. Give all "
            "workers the same files and parameters, random_state included."
        )


def _identity_of(
    model: Trainable, train_rows: TrainingRows, valid_rows: TrainingData | None
) -> TrainingIdentity:
    """Return the identity of a training, by which checkpoints of others are refused."""
    parameters = {
        # A function is identified by its name, not by its address in the memory of a process.
        name: _ADDRESS.sub("", repr(plain_number(value)))
        for name, value in model.get_params(deep=False).items()
        if name not in _RUNTIME_PARAMETERS
    }
    shapes = [tuple(p.shape) for p in model.module_.parameters()]
    names = "\n".join(getattr(model, "feature_names_in_", []))
    n_rows, width = train_rows.n_rows, model.module_.likelihood.layout.width
    if valid_rows is not None:
        n_rows += valid_rows.n_rows
    return TrainingIdentity(
        f"{type(model).__name__} {shapes} {hashlib.sha256(names.encode()).hexdigest()}",
        parameters,
        f"{n_rows:,} rows of {width:,} encoded elements",
        digest(train_rows, valid_rows),
    )


def _warn_of_trouble(model: Trainable) -> None:
    troubles = [f"Training, {event}." for event in model.history_.events]
    if model.interrupted_:
        troubles.append(
            f"Training was interrupted. The weights of step {model.history_.best_step:,} were kept."
        )
    if model.history_.stopped == "time limit":
        troubles.append(
            f"Training ended at its time limit. The weights of step {model.history_.best_step:,} "
            "were kept."
        )
    for trouble in troubles:
        warn(trouble, TrainingWarning)
