"""Study of a search, in memory or in a storage from which it can be resumed."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latently.exceptions import ParameterError
from latently.tuning._optuna import import_optuna
from latently.tuning._runners import Call, Runner
from latently.tuning._spaces import Space
from latently.tuning._trial import FIRST_PART, N_PARTS, Outcome, Work, open_storage

#: Number of random trials before the sampler uses their scores.
_N_RANDOM = 6
_OWNER, _SEED = "latently", "seed"


@dataclass(frozen=True)
class SearchTrial:
    """Trial of a search.

    Attributes
    ----------
    number : int
        Number of the trial from zero, in the order of the starts.
    params : dict
        Parameters of the trial.
    score : float or None
        Score of a complete trial on the inner rows.
    state : str
        State of the trial: "complete", "pruned", "failed" or "late" (ended by the time limit).
    seconds : float
        Time of the trial in seconds.
    reason : str
        Error message of a failed trial.
    """

    number: int
    params: Mapping[str, Any]
    score: float | None
    state: str
    seconds: float
    reason: str


@dataclass
class Trials:
    """Trials of one search.

    Parameters
    ----------
    study : optuna study
        Study in which they are stored.
    space : dict of str to Dimension
        Search space.
    url : str or None
        URL of the storage. None is in memory.
    """

    study: Any
    space: Space
    url: str | None

    @property
    def n_ended(self) -> int:
        """Number of trials that have ended."""
        return len(self.ended())

    def ended(self) -> list[SearchTrial]:
        """Return the trials that have ended."""
        return [
            _read(trial, self.space) for trial in self.study.trials if _OWNER in trial.user_attrs
        ]

    def best(self) -> SearchTrial | None:
        """Return the complete trial with the highest score, the first if several have it."""
        complete = [trial for trial in self.ended() if trial.state == "complete"]
        return max(complete, key=lambda trial: trial.score or 0.0, default=None)

    def add_default(self, values: Mapping[str, Any], score: float, seconds: float) -> None:
        """Add the default as the first trial, if its values are in the space."""
        drawn = {name: dim.drawn_for(values.get(name)) for name, dim in self.space.items()}
        if self.study.trials or None in drawn.values():
            return
        trial = import_optuna().trial.create_trial(
            params=drawn, value=score,
            distributions={name: dim.distribution for name, dim in self.space.items()},
            user_attrs={_OWNER: {"state": "complete", "seconds": seconds, "reason": ""}},
        )  # fmt: skip
        self.study.add_trial(trial)

    def run(self, work: Work, runner: Runner, is_over: Callable[[int], bool]) -> Iterator[Outcome]:
        """Run trials until ``is_over``, several at a time if the runner can."""
        waiting: dict[int, Any] = {}

        def asked() -> Iterator[Call]:
            while not is_over(len(waiting) + self.n_ended):
                trial = self.study.ask({name: d.distribution for name, d in self.space.items()})
                waiting[trial.number] = trial
                params = {n: self.space[n].value_of(v) for n, v in trial.params.items()}
                yield Call(params, trial.number, trial)

        for outcome in runner(work, asked()):
            self._record(waiting.pop(outcome.number), outcome)
            yield outcome

    def _record(self, trial: Any, outcome: Outcome) -> None:
        states = import_optuna().trial.TrialState
        noted = {"state": outcome.state, "seconds": outcome.seconds, "reason": outcome.reason}
        if outcome.interrupted:
            noted["state"] = "late"
        trial.set_user_attr(_OWNER, noted)
        if noted["state"] == "complete":
            self.study.tell(trial, outcome.score)
        else:
            state = states.PRUNED if outcome.state == "pruned" else states.FAIL
            self.study.tell(trial, state=state)


def _read(trial: Any, space: Space) -> SearchTrial:
    noted = trial.user_attrs[_OWNER]
    params = {name: space[name].value_of(drawn) for name, drawn in trial.params.items()}
    score = trial.value if noted["state"] == "complete" else None
    return SearchTrial(
        trial.number, params, score, noted["state"], noted["seconds"], noted["reason"]
    )


def open_trials(
    space: Space,
    storage: str | Path | None,
    name: str,
    owner: Mapping[str, str],
    seed: int,
    n_jobs: int,
    stack: ExitStack,
) -> Trials:
    """Open a new study, or resume one from the storage.

    Raises
    ------
    ParameterError
        If the storage cannot be used, or contains a study of another search.
    """
    optuna = import_optuna()
    url = _url_of(storage)
    if url is None and n_jobs > 1:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        url = _url_of(Path(folder) / "search.db")
    try:
        study = optuna.create_study(
            storage=open_storage(url),
            study_name=name,
            load_if_exists=True,
            direction="maximize",
            sampler=optuna.samplers.TPESampler(
                n_startup_trials=_N_RANDOM, constant_liar=n_jobs > 1, seed=seed
            ),
            pruner=optuna.pruners.HyperbandPruner(FIRST_PART, N_PARTS, 3),
        )
        known = study.user_attrs.get(_OWNER)
    except Exception as error:
        # SQLAlchemy, sqlite3 and alembic have no common base class of errors.
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ParameterError(
            f"storage {storage} cannot be used: {message}. Give a new file, or the storage of a "
            "search."
        ) from None
    if known is None and not study.trials:
        study.set_user_attr(_OWNER, dict(owner))
        study.set_user_attr(_SEED, seed)
    elif known != dict(owner):
        raise ParameterError(_other_search(storage, name, known, owner))
    trials = Trials(study, space, url)
    _requeue_running(trials)
    return trials


def stored_seed(storage: str | Path | None, name: str) -> int | None:
    """Return the seed of the search in a storage, or None without one."""
    optuna, url = import_optuna(), _url_of(storage)
    is_file = storage is not None and "://" not in str(storage)
    if url is None or (is_file and not Path(str(storage)).exists()):
        return None
    try:
        seed = optuna.load_study(study_name=name, storage=open_storage(url)).user_attrs.get(_SEED)
    except Exception:  # open_trials raises the error with its message
        return None
    return None if seed is None else int(seed)


def _url_of(storage: str | Path | None) -> str | None:
    if storage is None:
        return None
    text = str(storage)
    return text if "://" in text else f"sqlite:///{Path(text).absolute()}"


def _other_search(
    storage: Any, name: str, known: Mapping[str, str] | None, owner: Mapping[str, str]
) -> str:
    differs = [part for part, value in owner.items() if known is None or known.get(part) != value]
    return (
        f"storage {storage} contains a study {name!r} of another search (of another "
        f"{' and '.join(differs)}). Give another file, or another study_name."
    )


def _requeue_running(trials: Trials) -> None:
    """Enqueue the trials that were running when a search was killed."""
    states = import_optuna().trial.TrialState
    for trial in trials.study.get_trials(states=(states.RUNNING,)):
        trials.study.tell(trial.number, state=states.FAIL)
        if set(trial.params) == set(trials.space):
            trials.study.enqueue_trial(trial.params)


def fingerprint_of(parts: Mapping[str, Any]) -> dict[str, str]:
    """Return a hash of each part of the identity of a search."""
    texts = {name: json.dumps(part, sort_keys=True, default=repr) for name, part in parts.items()}
    return {
        name: hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        for name, text in texts.items()
    }
