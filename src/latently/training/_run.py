"""The state of one training, and the steps between two evaluations."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from dataclasses import InitVar, dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from latently._codec import MISFITS
from latently._sklearn import plain_number
from latently.exceptions import DivergenceError
from latently.nn import (
    AutoencoderModule,
    Cells,
    are_weights_in_range,
    as_shard,
    foreign_norms,
)
from latently.training._checkpoint import TrainingCheckpoint
from latently.training._cpu_rows import CPURows
from latently.training._data import Batch, TrainingData, n_batches
from latently.training._engine import TrainingEngine
from latently.training._history import History, Record, StopReason
from latently.training._step import Step, loss_of
from latently.training._stream import StreamedData, TrainingRows
from latently.training.distributed._sharding import ShardedRows, ShardedStream
from latently.training.distributed._workers import StopRequest

Weights = dict[str, Tensor]
#: Training rows and validation rows: all of them, or the shard of this worker.
BatchedRows = TrainingData | StreamedData | CPURows | ShardedRows | ShardedStream
EvaluationRows = TrainingData | CPURows | ShardedRows

#: A loss larger than this multiple of the first one counts as diverged.
_EXPLOSION = 1e6
_MAX_ROLLBACKS = 3
#: Smallest fraction of the highest learning rate from which a cooldown starts.
_MIN_COOLING_RATE = 0.1
_EVALUATION_BATCH = 4096
#: Attributes of a run that a checkpoint stores besides weights, history and random states.
_COUNTERS = (
    "step", "rate", "rate_factor", "rollbacks", "best_loss", "first_loss",
    "evaluations_since_best", "cooling_from", "left", "n_seen", "n_skipped", "n_dealt",
)  # fmt: skip
_TENSORS = ("loss_sum", "pass_began")


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training.

    Attributes
    ----------
    n_steps : int
        Planned number of steps.
    batch_size : int
        Number of rows of a batch, over all workers.
    learning_rate, weight_decay : float
        Highest learning rate, and weight decay of matrices.
    seed : int
        Seed of the order of the rows.
    patience : int or None, default=None
        Number of evaluations without a lower validation loss after which training stops or cools
        down. None means never.
    steps_per_evaluation : int, default=100
        Number of steps between two evaluations.
    warmup : float, default=0.05
        Fraction of the steps over which the learning rate increases linearly.
    decay : bool, default=True
        If True, the learning rate decreases to zero by a half cosine after the warmup.
    cooldown : float, default=0.5
        If patience is exhausted at a high learning rate, training continues from the best weights
        and the rate decreases to zero. The number of steps is this fraction of the steps of
        ``patience`` evaluations. 0 stops at once.
    gradient_clip : float or None, default=1.0
        Largest norm of the gradient. None means no clipping.
    keep_best : bool, default=True
        If False, keep the last weights instead of those with the lowest validation loss.
    deadline : float, default=inf
        Time of ``time.monotonic`` after which no step starts.
    """

    n_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    seed: int
    patience: int | None = None
    steps_per_evaluation: int = 100
    warmup: float = 0.05
    decay: bool = True
    cooldown: float = 0.5
    gradient_clip: float | None = 1.0
    keep_best: bool = True
    deadline: float = math.inf

    def __post_init__(self) -> None:
        # torch does not accept all NumPy scalars.
        for name, value in vars(self).items():
            object.__setattr__(self, name, plain_number(value))


class OutOfTime(Exception):
    """The deadline has passed."""


class Stepper(Protocol):
    """The interface to the steps of a training."""

    precision: AbstractContextManager[object]

    def reset(self) -> None:
        """Reset the moments of the optimiser."""
        ...


@dataclass
class Run:
    """The state of one training, from which the next steps follow."""

    engine: TrainingEngine
    module: AutoencoderModule
    stepper: Stepper
    train_rows: InitVar[TrainingRows]
    valid_rows: InitVar[TrainingData | None]
    options: TrainingOptions
    corruption: Any
    history: History = field(default_factory=History)
    step: int = 0
    rate: float = 0.0
    rate_factor: float = 1.0
    rollbacks: int = 0
    best_loss: float = math.inf
    first_loss: float = math.nan
    evaluations_since_best: int = 0
    cooling_from: int | None = None
    left: int = 0
    n_seen: int = 0
    n_skipped: int = 0
    saves_to: tuple[TrainingCheckpoint, Step] | None = None
    release_signals: Callable[[], None] = lambda: None

    def __post_init__(self, train_rows: TrainingRows, valid_rows: TrainingData | None) -> None:
        self.workers = self.engine.workers
        self.train_data: BatchedRows = self.engine.shard(train_rows)
        self.valid_data: EvaluationRows | None = None
        if valid_rows is not None:
            self.valid_data = self.engine.shard(valid_rows)
        self.generator = torch.Generator().manual_seed(self.options.seed)
        self.loss_sum = torch.zeros((), device=self.train_data.device)
        self.pass_began, self.n_dealt = self.generator.get_state(), 0
        self.batches = self._endless_batches()
        self.foreign_norms = foreign_norms(self.module)
        self.best_weights = snapshot(self.module)
        self.started = time.perf_counter()

    def next_stretch(self) -> int:
        """Return the number of steps before the next evaluation, or 0 if training is over."""
        if self.history.stopped != "running":
            return 0
        if self.step >= self.options.n_steps:
            self.history.stopped = "finished"
            return 0
        return self.left or min(self.options.steps_per_evaluation, self.options.n_steps - self.step)

    def evaluate_stretch(self, train_loss: float) -> Record | None:
        """Evaluate the model and return the record, or None if training was rolled back.

        Parameters
        ----------
        train_loss : float
            Mean training loss per column since the last evaluation.
        """
        valid_loss = train_loss if self.valid_data is None else self.evaluate(self.valid_data)
        if self._has_diverged(train_loss, valid_loss):
            self._roll_back(train_loss, valid_loss)
            return None
        record = self._keep_record(train_loss, valid_loss, self.metrics())
        if self._is_over():
            self.history.stopped = "early stopping"
        elif self.cooling_from is None and self._patience_is_exhausted():
            self._start_cooling()
        return record

    def advance(self, stepper: Step, n_steps: int) -> float:
        """Take some optimiser steps and return their mean loss per column."""
        self.module.train()
        self.left = n_steps
        while self.left:
            self._check_stop()
            batch, progress = self.corrupted(next(self.batches)), self.step / self.options.n_steps
            for norm in self.foreign_norms:
                norm.train(batch.n_whole > 1)
            self.module.begin_step(progress)
            penalty_weight = self.module.latent.weight_at(progress)
            loss = stepper.gradients(batch, penalty_weight)
            clip, rate = self.options.gradient_clip, self.learning_rate()
            if clip is None or stepper.clip(clip):
                stepper.descend(rate)
            else:
                self.n_skipped += 1
            self.loss_sum.add_(loss, alpha=batch.n_whole)
            self.n_seen += batch.n_whole
            self.step += 1
            self.left -= 1
        self._record_skipped()
        mean = float(self.loss_sum) / self.n_seen
        self.loss_sum.zero_()
        self.n_seen = 0
        return mean

    def _record_skipped(self) -> None:
        """Add the number of skipped steps to the history, unless the loss is not finite either."""
        if self.n_skipped and math.isfinite(float(self.loss_sum)):
            steps = "1 step" if self.n_skipped == 1 else f"{self.n_skipped:,} steps"
            self.history.events.append(
                f"step {self.step}: {steps} skipped for a gradient that is not finite"
            )
        self.n_skipped = 0

    def check_time(self) -> None:
        """Raise OutOfTime after the deadline."""
        if time.monotonic() >= self.options.deadline:
            raise OutOfTime

    def _check_stop(self) -> None:
        """Save a due checkpoint, and stop at the deadline or a signal, between two steps."""
        if self.saves_to is not None and self._is_first and self.saves_to[0].is_due:
            self.save()
        request = StopRequest.NONE
        try:
            self.release_signals()
            self.check_time()
        except KeyboardInterrupt:
            request = StopRequest.INTERRUPT
        except OutOfTime:
            request = StopRequest.OUT_OF_TIME
        request = self.workers.agree_on_stop(request)
        if request is not StopRequest.NONE:
            self.save()
            raise KeyboardInterrupt if request is StopRequest.INTERRUPT else OutOfTime

    def check_final_stop(self) -> None:
        """Raise KeyboardInterrupt on all workers if one got a signal in the last step."""
        request = StopRequest.NONE
        try:
            self.release_signals()
        except KeyboardInterrupt:
            request = StopRequest.INTERRUPT
        if self.workers.agree_on_stop(request, at_once=True) is StopRequest.INTERRUPT:
            raise KeyboardInterrupt

    @torch.no_grad()
    def evaluate(self, data: EvaluationRows) -> float:
        """Return the mean loss per column of some rows, with the full weight of the penalty."""
        self.module.eval()
        total = 0.0
        for batch in data.in_order(_EVALUATION_BATCH):
            with self.stepper.precision:
                loss = loss_of(self.module, batch, self.module.latent.weight_at(1.0))
            total += float(loss) * batch.n_whole
        return self.workers.total(total) / data.n_rows

    @property
    def _is_first(self) -> bool:
        """True if this process writes checkpoints."""
        return self.workers.rank == 0

    @torch.no_grad()
    def metrics(self) -> dict[str, float]:
        """Return the model's metrics on validation rows, or on training rows if there are none."""
        self.module.eval()
        judged = self.train_data.sample if self.valid_data is None else self.valid_data
        return self.module.metrics(judged.sample.take(slice(_EVALUATION_BATCH)).inputs)

    def keep_current(self) -> None:
        """Evaluate the current weights and keep them if they are the best."""
        loss = math.inf if self.valid_data is None else self.evaluate(self.valid_data)
        if self.valid_data is None and not self.history.records:
            loss = self.evaluate(self.train_data.sample)
        if math.isfinite(loss) and loss < self.best_loss:
            self._keep_best(loss)

    def end_early(self, reason: StopReason) -> None:
        """End a training before its planned end and keep the best weights."""
        self.history.stopped = reason
        if not self.n_seen:
            self.keep_current()
            return
        train_loss = float(self.loss_sum) / self.n_seen
        valid_loss = train_loss if self.valid_data is None else self.evaluate(self.valid_data)
        if not self._has_diverged(train_loss, valid_loss):
            self._keep_record(train_loss, valid_loss, self.metrics())

    def save(self) -> None:
        """Save the state between two steps, if a checkpoint is wanted."""
        if self.saves_to is None or not self._is_first:
            return
        checkpoint, stepper = self.saves_to
        checkpoint.save(
            {
                **{name: getattr(self, name) for name in (*_COUNTERS, *_TENSORS)},
                "history": self.history.to_dict(),
                "seconds": self.history.seconds,
                "weights": self.module.state_dict(),
                "best_weights": self.best_weights,
                "optimizer": stepper.state(),
                "chance": _generator_states(self.train_data.device),
            }
        )

    def finish(self) -> None:
        """Save the final state, unless it is already saved."""
        if self.saves_to is not None and not self.saves_to[0].is_finished:
            self.save()
            self.saves_to[0].is_finished = True

    def resume(self, checkpoint: TrainingCheckpoint, stepper: Step) -> None:
        """Load the saved state, if there is one, and save to this checkpoint from now on."""
        self.saves_to = checkpoint, stepper
        state = self.workers.compute_on_first(checkpoint.load)
        if state is not None:
            try:
                self._restore(state, stepper)
            except MISFITS:
                raise checkpoint.unfit() from None
        checkpoint.is_finished = self.history.stopped != "running"

    def _restore(self, state: dict[str, Any], stepper: Step) -> None:
        """Restore a saved state."""
        for name in _COUNTERS:
            if not isinstance(state[name], int | float | None):
                raise TypeError(name)
            setattr(self, name, state[name])
        for name in _TENSORS:
            setattr(self, name, torch.from_numpy(state[name]).to(getattr(self, name).device))
        self.history = History.from_dict(state["history"])
        self.history.seconds = list(state["seconds"])
        self.started -= self.history.seconds[-1] if self.history.seconds else 0.0
        self.module.load_state_dict(_tensors(state["weights"]))
        self.best_weights = _tensors(state["best_weights"])
        stepper.load(_optimizer(state["optimizer"]))
        self.generator.set_state(self.pass_began)
        self.batches = self._endless_batches(self.n_dealt)
        _set_generator_states(state["chance"], self.train_data.device)
        if self.history.stopped == "finished" and self.step < self.options.n_steps:
            self.history.stopped = "running"

    def restore_best(self) -> None:
        """Put the best weights back into the module."""
        self.module.load_state_dict(self.best_weights)
        self.module.eval()

    def close(self) -> None:
        """End the background thread that may read batches."""
        self.batches.close()

    def _endless_batches(self, skip: int = 0) -> Generator[Batch, None, None]:
        while True:
            self.pass_began, self.n_dealt = self.generator.get_state(), skip
            batch_size = self.options.batch_size
            for batch in self.train_data.batches(batch_size, self.generator, skip):
                self.n_dealt += 1
                yield batch
            skip = 0

    def corrupted(self, batch: Batch) -> Batch:
        """Return a batch with corrupted inputs."""
        if self.corruption is None:
            return batch
        values, observed = batch.inputs
        if observed is None:
            shape = len(values), self.module.likelihood.layout.n_columns
            observed = torch.ones(shape, dtype=torch.bool, device=values.device)
        with as_shard(batch.shard):
            return batch._replace(inputs=Cells(*self.corruption(values, observed)))

    def learning_rate(self) -> float:
        """Return the learning rate of the next step."""
        self.rate = self.options.learning_rate * self.rate_factor * self._schedule()
        return self.rate

    def _schedule(self) -> float:
        if not self.options.decay:
            return 1.0
        if self.cooling_from is None:
            return self._planned_share(self.step)
        passed = (self.step + 1 - self.cooling_from) / self._n_cooling_steps
        return self._planned_share(self.cooling_from) * _half_cosine(passed)

    def _planned_share(self, step: int) -> float:
        """Return the planned learning rate of a step as a fraction of the highest one."""
        progress = (step + 1) / self.options.n_steps
        if progress < self.options.warmup:
            return progress / self.options.warmup
        return _half_cosine((progress - self.options.warmup) / (1 - self.options.warmup))

    def _keep_record(
        self, train_loss: float, valid_loss: float, metrics: dict[str, float]
    ) -> Record:
        if math.isnan(self.first_loss):
            self.first_loss = abs(valid_loss)
        epoch = self.step / n_batches(self.train_data.n_rows, self.options.batch_size)
        record = Record(self.step, epoch, train_loss, valid_loss, self.rate, metrics)
        self.history.records.append(record)
        self.history.seconds.append(time.perf_counter() - self.started)
        self._keep_best(valid_loss)
        return record

    def _keep_best(self, loss: float) -> None:
        if loss < self.best_loss or not self.options.keep_best:
            self.best_loss, self.best_weights = loss, snapshot(self.module)
            self.history.best_step = self.step
            self.evaluations_since_best = 0
        elif self.step > self.module.latent.warmup * self.options.n_steps:
            self.evaluations_since_best += 1

    def _is_over(self) -> bool:
        """Return True if the cooldown is complete, or patience is exhausted without a cooldown."""
        if self.cooling_from is not None:
            return self.step >= self.cooling_from + self._n_cooling_steps
        return self._patience_is_exhausted() and not self._can_cool()

    def _patience_is_exhausted(self) -> bool:
        patience = self.options.patience
        return patience is not None and self.evaluations_since_best >= patience

    def _can_cool(self) -> bool:
        return (
            self.options.decay
            and self._n_cooling_steps > 0
            and self._schedule() >= _MIN_COOLING_RATE
        )

    def _start_cooling(self) -> None:
        """Continue from the best weights, with a learning rate that decreases to zero."""
        self.module.load_state_dict(self.best_weights)
        self.cooling_from = self.step

    @property
    def _n_cooling_steps(self) -> int:
        """Number of steps of the cooldown, at most the remaining planned steps."""
        start = self.step if self.cooling_from is None else self.cooling_from
        waited = (self.options.patience or 0) * self.options.steps_per_evaluation
        return min(round(self.options.cooldown * waited), self.options.n_steps - start)

    def _has_diverged(self, train_loss: float, valid_loss: float) -> bool:
        """Return True if a loss is not finite or exploded, or weights did after the last loss."""
        most = _EXPLOSION * max(1.0, self.first_loss)
        losses = (train_loss, valid_loss)
        explodes = any(not math.isfinite(loss) or abs(loss) > most for loss in losses)
        return explodes or not are_weights_in_range(self.module)

    def _roll_back(self, train_loss: float, valid_loss: float) -> None:
        self.rollbacks += 1
        losses = f"training loss {train_loss:.3g}, validation loss {valid_loss:.3g}"
        self.module.load_state_dict(self.best_weights)
        if self.rollbacks > _MAX_ROLLBACKS:
            self.history.stopped = "diverged"
            raise DivergenceError(
                f"Training diverged {self.rollbacks} times ({losses}), the last time at learning "
                f"rate {self.options.learning_rate * self.rate_factor:.2g}. Use a learning_rate "
                "ten times smaller, or check the data for extreme values."
            )
        self.rate_factor /= 2
        self.history.events.append(
            f"step {self.step}: {losses}; rolled back to step {self.history.best_step} and halved "
            "the learning rate"
        )
        self.stepper.reset()
        self.step = self.history.best_step


def _half_cosine(progress: float) -> float:
    """Return a factor that decreases from 1 to 0 as ``progress`` increases from 0 to 1."""
    return 0.5 * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


def _generator_states(device: torch.device) -> list[Tensor]:
    """Return the states of torch's global generators of the CPU and of the training GPU."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def _set_generator_states(states: list[np.ndarray], device: torch.device) -> None:
    first, *others = (torch.from_numpy(state) for state in states)
    torch.set_rng_state(first)
    for state in others:
        torch.cuda.set_rng_state(state, device)


def _tensors(arrays: dict[str, np.ndarray]) -> Weights:
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _optimizer(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an optimiser with integer keys, as torch has them."""
    moments = {int(place): _tensors(found) for place, found in state["state"].items()}
    return {"state": moments, "param_groups": state["param_groups"]}


def snapshot(module: nn.Module) -> Weights:
    """Return a copy of the weights and buffers, on the CPU."""
    return {
        name: value.detach().to("cpu", copy=True) for name, value in module.state_dict().items()
    }
