"""Training and scoring of one trial, in this process or in a worker."""

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

#: Errors that fail a trial and do not end the search.
_TRIAL_ERRORS = (LatentlyError, ArithmeticError, ValueError, TypeError, RuntimeError, MemoryError)
State = Literal["complete", "pruned", "failed", "late"]
#: Number of parts of a training after which a trial may be pruned, and the first such part.
N_PARTS, FIRST_PART = 50, 10


class Outcome(NamedTuple):
    """Outcome of a trial.

    Attributes
    ----------
    number : int
        Number of the trial.
    state : {"complete", "pruned", "failed", "late"}
        State of the trial, "late" if it was ended by the time limit.
    score : float or None
        Score of a complete trial on the inner rows.
    seconds : float
        Time of the trial in seconds.
    reason : str
        Error message of a failed trial.
    interrupted : bool
        True if the training was interrupted by Ctrl-C.
    """

    number: int
    state: State
    score: float | None
    seconds: float
    reason: str = ""
    interrupted: bool = False


class TimeUp(Exception):
    """The time limit is exceeded."""


class Pruned(Exception):
    """The trial is worse than others at the same step."""


class TrialCallback:
    """Training callback that ends a trial at the time limit, or if it is worse than others.

    Parameters
    ----------
    trial : optuna trial or None
        Trial to which losses are reported. None only checks the time limit.
    deadline : float
        Time limit, in seconds of ``time.time``.
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
        """Store the number of planned steps."""
        self._n_steps = n_steps
        self._n_trainings += 1
        self._began = time.perf_counter()

    def on_evaluation(self, record: Record) -> None:
        """Report an evaluation, and raise an exception to end the trial."""
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
        """Expected time of the whole training in seconds, from its speed so far."""
        return (time.perf_counter() - self._began) / max(self.done, 0.02)

    def on_train_end(self, history: History) -> None:
        """Store whether the training was interrupted by Ctrl-C."""
        self.interrupted |= history.stopped == "interrupted"


@dataclass(frozen=True)
class Work:
    """Training and scoring of trials.

    Attributes
    ----------
    model : autoencoder
        Unfitted autoencoder.
    objective : Objective
        Score to maximise.
    train, held_out : Rows
        Training rows and inner rows.
    seed : int
        Seed of the random numbers of the objective.
    n_seeds : int
        Number of trainings of a trial, each from its own seed.
    deadline : float
        Time limit, in seconds of ``time.time``.
    prunes : bool
        If True, prune trials by their validation loss.
    storage : str or None
        URL of the study, for other processes.
    study_name : str
        Name of the study.
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
        """Train with some parameters and score on the inner rows."""
        start = time.perf_counter()
        callback = TrialCallback(trial if self.prunes else None, self.deadline)
        state: State = "complete"
        score, reason = None, ""
        try:
            # Warnings of the rows were issued for the default model.
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
        """Return the estimator fitted to the training rows, and its score on the inner rows."""
        with using_callback(callback):
            fitted = self.fit(params, self.train, self.n_seeds)
        return fitted[0], self.score(fitted, self.train, self.held_out)

    def fit(self, params: dict[str, Any], rows: Rows, n_seeds: int) -> list[Any]:
        """Return one fitted estimator per seed, with some parameters."""
        model, used = clone(self.model).set_params(**params), self.objective.training_rows(rows)
        return [self.objective.use(one, used) for one in fit_models(model, used, n_seeds)]

    def score(self, fitted: list[Any], train: Rows, held_out: Rows) -> float:
        """Return the mean score of estimators that are fitted from several seeds."""
        return mean(self.objective.score(one, train, held_out, self.seed) for one in fitted)


def run_in_worker(work: Work, params: dict[str, Any], number: int, trial_id: int) -> Outcome:
    """Run a trial in a worker process, of a study in a storage if there is one."""
    if work.storage is None:
        return work.run(params, number, None)
    with quiet():
        optuna = import_optuna()
        study = optuna.load_study(study_name=work.study_name, storage=open_storage(work.storage))
        return work.run(params, number, optuna.trial.Trial(study, trial_id))


def open_storage(url: str | None) -> Any:
    """Return the storage of a URL, which waits up to a minute for writes of other processes."""
    optuna = import_optuna()
    if url is None:
        return optuna.storages.InMemoryStorage()
    return optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
