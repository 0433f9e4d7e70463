"""The training loop. There is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from latently.nn import AutoencoderModule, flushing_denormals
from latently.training._callbacks import Callback, context_callbacks
from latently.training._checkpoint import TrainingCheckpoint
from latently.training._data import TrainingData
from latently.training._engine import TrainingEngine
from latently.training._history import History
from latently.training._run import OutOfTime, Run, TrainingOptions, Weights
from latently.training._signals import deferred_signals
from latently.training._step import Update, make_step
from latently.training._stream import TrainingRows


class Trained(NamedTuple):
    """What training gives back: the best weights, what happened, and where the optimiser stood."""

    weights: Weights
    history: History
    optimizer_state: dict[str, Any]


@flushing_denormals()
def train(
    engine: TrainingEngine,
    module: AutoencoderModule,
    train_data: TrainingRows,
    valid_data: TrainingData | None,
    options: TrainingOptions,
    callbacks: Iterable[Callback] = (),
    optimizer_state: dict[str, Any] | None = None,
    corruption: Any = None,
    checkpoint: TrainingCheckpoint | None = None,
) -> Trained:
    """Train a module and return its best weights.

    Every ``steps_per_evaluation`` steps the validation rows are judged (the training rows' running
    loss where there are none). A loss that is not finite, or explodes, rolls back to the best
    weights and halves the learning rate; the fourth time it raises. Ctrl-C, SIGTERM where it is
    handled, and the deadline end training after the step and keep the best weights.

    Parameters
    ----------
    engine : TrainingEngine
        Where to train.
    module : AutoencoderModule
        Trained in place.
    train_data : TrainingData or StreamedData
        Rows to learn from.
    valid_data : TrainingData or None
        Rows to judge by.
    options : TrainingOptions
        How long and how fast.
    callbacks : iterable of Callback, default=()
        Told of every evaluation.
    optimizer_state : dict or None, default=None
        Where an earlier training's optimiser stood.
    corruption : callable or None, default=None
        Done to the inputs of every training batch.
    checkpoint : TrainingCheckpoint or None, default=None
        Where to go on from and to save to; the best weights, where they are then kept, and all else
        are the same to the bit as those of a training that was never ended.

    Returns
    -------
    Trained
        Weights on the CPU, history and optimiser state.

    Raises
    ------
    DivergenceError
        If the loss runs away three times in a row.
    """
    engine.setup(module)
    update = Update(options.learning_rate, options.weight_decay)
    stepper = make_step(engine, module, update, options.n_steps, train_data.sample)
    run = Run(engine, module, stepper, train_data, valid_data, options, corruption)
    if optimizer_state is not None:
        stepper.load(optimizer_state)
    if checkpoint is not None:
        run.resume(checkpoint, stepper)
    callbacks = [*callbacks, *context_callbacks()]
    for callback in callbacks:
        callback.on_train_begin(options.n_steps)
    try:
        with deferred_signals() as run.release_signals:
            while n_steps := run.next_stretch():
                record = run.evaluate_stretch(run.advance(stepper, n_steps))
                if record is not None:
                    for callback in callbacks:
                        callback.on_evaluation(record)
            run.check_final_stop()
        run.finish()
    except KeyboardInterrupt:
        run.end_early("interrupted")
    except OutOfTime:
        run.end_early("time limit")
    finally:
        run.close()
        for callback in callbacks:
            callback.on_train_end(run.history)
    run.history.steps = stepper.description
    state = stepper.state()
    stepper.release()
    run.restore_best()
    return Trained(run.best_weights, run.history, state)
