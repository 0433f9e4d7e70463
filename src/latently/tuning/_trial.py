"""One trial: a training with some parameters, watched, in this process or in another."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from statistics import mean
from typing import Any, Literal, NamedTuple

from sklearn.base import clone

from latently._notices import silenced
from latently.estimators import BaseAutoencoder
from latently.exceptions import LatentlyError
from latently.training import History, Record, using_callback
from latently.tuning._objectives import Objective, fit_models
from latently.tuning._optuna import import_optuna, quiet
from latently.tuning._rows import Rows

#: Errors that are of the parameters of a trial, not of the search.
_TRIAL_ERRORS = (LatentlyError, ArithmeticError, ValueError, TypeError, RuntimeError, MemoryError)
State = Literal["complete", "pruned", "failed", "late"]
#: Parts of a training after which a trial may be ended, and the first of them.
N_PARTS, FIRST_PART = 50, 10


class Outcome(NamedTuple):
    """How a trial ended.

    Attributes
    ----------
    number : int
        Of the trial.
    state : {"complete", "pruned", "failed", "late"}
        "late" where time was up.
    score : float or None
        Of a complete one.
    seconds : float
        That it took.
    reason : str
        Why it failed.
    interrupted : bool
        True after Ctrl-C.
    """

    number: int
    state: State
    score: float | None
    seconds: float
    reason: str = ""
    interrupted: bool = False


class TimeUp(Exception):
    """Time is up."""


class Pruned(Exception):
    """The trial does worse than others did."""


class TrialCallback:
    """Told of every evaluation of a trial; ends one that is late, or does worse than others.

    Parameters
    ----------
    trial : optuna trial or None
        To report to; None only watches the clock.
    deadline : float
        In seconds of ``time.time``.
    """

    def __init__(self, trial: Any, deadline: float) -> None:
        self._trial = trial
        self._deadline = deadline
        self._n_steps = 1
        self._n_trainings = 0
        self._part = 0
        self._began = 0.0
        self.done = 0.0
        self.interrupted = False

    def on_train_begin(self, n_steps: int) -> None:
        """Hear how many steps are planned."""
        self._n_steps = n_steps
        self._n_trainings += 1
        self._began = time.perf_counter()

    def on_evaluation(self, record: Record) -> None:
        """Report an evaluation and end the trial where that is due."""
        self.done = record.step / self._n_steps
        if time.time() > self._deadline:
            raise TimeUp
        part = int(N_PARTS * self.done)
        if self._trial is None or self._n_trainings > 1 or part <= self._part:
            return
        self._part = part
        self._trial.report(-record.valid_loss, part)
        if self._trial.should_prune():
            raise Pruned

    @property
    def expected_seconds(self) -> float:
        """Seconds that the training will have taken, by its pace so far."""
        return (time.perf_counter() - self._began) / max(self.done, 0.02)

    def on_train_end(self, history: History) -> None:
        """Note whether it was cut short by Ctrl-C."""
        self.interrupted |= history.stopped == "interrupted"


@dataclass(frozen=True)
class Work:
    """What every trial does with its parameters.

    Attributes
    ----------
    model : autoencoder
        Unfitted.
    objective : Objective
        What to judge by.
    train, held_out : Rows
        The inner rows.
    seed : int
        Of what the objective draws.
    n_seeds : int
        Trainings of a trial, each from a seed of its own.
    deadline : float
        In seconds of ``time.time``.
    prunes : bool
        Whether a trial's losses tell how it will end.
    storage : str or None
        Where the study lies, for other processes.
    study_name : str
        Its name there.
    """

    model: BaseAutoencoder
    objective: Objective
    train: Rows
    held_out: Rows
    seed: int
    n_seeds: int
    deadline: float
    prunes: bool
    storage: str | None
    study_name: str

    def run(self, params: dict[str, Any], number: int, trial: Any) -> Outcome:
        """Train with some parameters and judge by the inner rows."""
        start = time.perf_counter()
        callback = TrialCallback(trial if self.prunes else None, self.deadline)
        state: State = "complete"
        score, reason = None, ""
        try:
            # Those of the rows came with the default; those of a trial are in its outcome.
            with silenced():
                _, score = self.train_and_score(params, callback)
        except Pruned:
            state = "pruned"
        except TimeUp:
            state = "late"
        except _TRIAL_ERRORS as error:
            state, reason = "failed", f"{type(error).__name__}: {error}".rstrip(".")
        if score is not None and math.isnan(score):
            state, score, reason = "failed", None, "its score is not a number"
        seconds = time.perf_counter() - start
        return Outcome(number, state, score, seconds, reason, callback.interrupted)

    def train_and_score(self, params: dict[str, Any], callback: TrialCallback) -> tuple[Any, float]:
        """Return what was fitted to the training rows, and its figure on the held-out ones."""
        with using_callback(callback):
            fitted = self.fit(params, self.train, self.n_seeds)
        return fitted[0], self.score(fitted, self.train, self.held_out)

    def fit(self, params: dict[str, Any], rows: Rows, n_seeds: int) -> list[Any]:
        """Return the model with some parameters, fitted to some rows from some seeds."""
        model, used = clone(self.model).set_params(**params), self.objective.training_rows(rows)
        return [self.objective.use(one, used) for one in fit_models(model, used, n_seeds)]

    def score(self, fitted: list[Any], train: Rows, held_out: Rows) -> float:
        """Return the mean figure of what was fitted from several seeds."""
        return mean(self.objective.score(one, train, held_out, self.seed) for one in fitted)


def run_in_worker(work: Work, params: dict[str, Any], number: int, trial_id: int) -> Outcome:
    """Run a trial of a study in a storage, or of none: what a worker process does."""
    if work.storage is None:
        return work.run(params, number, None)
    with quiet():
        optuna = import_optuna()
        study = optuna.load_study(study_name=work.study_name, storage=open_storage(work.storage))
        return work.run(params, number, optuna.trial.Trial(study, trial_id))


def open_storage(url: str | None) -> Any:
    """Return the storage of a URL, patient while another process writes."""
    optuna = import_optuna()
    if url is None:
        return optuna.storages.InMemoryStorage()
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
