"""The training loop, which all estimators share."""

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
    """The result of a training.

    Attributes
    ----------
    weights : dict of str to Tensor
        The kept weights and buffers, on the CPU.
    history : History
        Records of all evaluations.
    optimizer_state : dict
        State of the optimiser after the last step.
    """

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

    Every ``steps_per_evaluation`` steps, the loss of the validation rows is computed. Without
    validation rows, the mean loss of the training batches since the last evaluation is used. If a
    loss is not finite or a million times the first one, training returns to the best weights with
    half the learning rate. The fourth time, it raises an error. Ctrl-C, a handled SIGTERM and the
    deadline end training after the current step, and the best weights are kept.

    Parameters
    ----------
    engine : TrainingEngine
        Engine that takes the steps.
    module : AutoencoderModule
        Module that is trained in place.
    train_data : TrainingData or StreamedData
        Training rows.
    valid_data : TrainingData or None
        Validation rows.
    options : TrainingOptions
        Number of steps, learning rate and further options.
    callbacks : iterable of Callback, default=()
        Called at every evaluation.
    optimizer_state : dict or None, default=None
        State of the optimiser of an earlier training, from which this one continues.
    corruption : callable or None, default=None
        Function that changes the inputs of every training batch.
    checkpoint : TrainingCheckpoint or None, default=None
        Checkpoint from which training resumes and to which it is saved. The result equals the
        result of an uninterrupted training to the bit.

    Returns
    -------
    Trained
        Weights on the CPU, history and optimiser state.

    Raises
    ------
    DivergenceError
        If the loss diverges more than three times.
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
