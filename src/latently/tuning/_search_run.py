"""Run of a search: its rows, its trials and its result."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import joblib
from sklearn.base import clone

from latently._notices import warn
from latently._validation import read_seed
from latently.estimators import Autoencoder, BaseAutoencoder, Effort, with_default_network
from latently.exceptions import ParameterError, TrainingWarning
from latently.tasks import autoencoder_of
from latently.training import RayEngine, resolve_engine
from latently.tuning._objectives import Objective, Reconstruction, objective_of
from latently.tuning._pca import EncodedPCA
from latently.tuning._progress import SearchBar
from latently.tuning._report import SearchReport, Standing
from latently.tuning._rows import Rows, split_rows
from latently.tuning._runners import runner_of
from latently.tuning._spaces import Space, default_space, read_space
from latently.tuning._study import SearchTrial, Trials, fingerprint_of, open_trials, stored_seed
from latently.tuning._trial import TimeUp, TrialCallback, Work

#: Trainings for which time is reserved after the last trial: two for the report and the refit.
_TRAININGS_AFTER = 3.0
#: Maximum number of reasons of failed trials in an error message.
_MAX_REASONS = 5


class Settings(Protocol):
    """Parameters of a search."""

    estimator: BaseAutoencoder | None
    space: Mapping[str, Any] | None
    objective: Any
    n_trials: int | None
    time_limit: float | None
    outer_fraction: float
    inner_fraction: float
    shuffle: bool
    n_jobs: int
    n_seeds: int
    storage: str | Path | None
    study_name: str
    effort: Effort | None
    random_state: Any


@dataclass
class SearchRun:
    """Run of one search.

    Attributes
    ----------
    settings : Settings
        Parameters of the search.
    rows, search_rows, outer : Rows
        All rows, all but the outer rows, and the outer rows.
    work : Work
        Training and scoring of a trial.
    trials : Trials
        Trials of the study.
    seed : int
        Seed of all random numbers.
    started : float
        Start of the run, in seconds of ``time.time``.
    interrupted : bool
        True if the search was interrupted by Ctrl-C.
    """

    settings: Settings
    rows: Rows
    search_rows: Rows
    outer: Rows
    work: Work
    trials: Trials
    seed: int
    started: float
    interrupted: bool = False

    @classmethod
    def begin(cls, settings: Settings, rows: Rows, stack: ExitStack) -> Self:
        """Validate the parameters, split the rows and open the study."""
        started = time.time()
        objective = objective_of(settings.objective)
        objective.check(rows)
        _check_suits(objective, settings.estimator)
        seed = None
        if settings.random_state is None:
            seed = stored_seed(settings.storage, settings.study_name)
        if seed is None:
            seed = read_seed(settings.random_state)
        search_rows, outer = split_rows(rows, settings.outer_fraction, settings.shuffle, seed)
        train, held_out = split_rows(
            search_rows, settings.inner_fraction, settings.shuffle, seed + 1
        )
        model = _prepared(settings, search_rows.X, seed)
        space = _space(settings, objective, model)
        trials = open_trials(
            space, settings.storage, settings.study_name,
            fingerprint_of(_identity_of(settings, objective, model, space, rows, seed)), seed,
            _n_jobs(settings), stack,
        )  # fmt: skip
        work = Work(
            model, objective, train, held_out, seed, settings.n_seeds,
            started + (settings.time_limit or math.inf), isinstance(objective, Reconstruction),
            trials.url, settings.study_name,
        )  # fmt: skip
        return cls(settings, rows, search_rows, outer, work, trials, seed, started)

    # ------------------------------------------------------------------ trials
    def search(self, bar: SearchBar) -> None:
        """Train the default, then run trials until their number or the time limit is reached."""
        self.default, self.default_score, seconds = self._train_default()
        if not self.work.objective.sizes_too and "n_components" in self.work.model.get_params():
            size = {"n_components": self.default.n_components_}
            self.work = replace(self.work, model=clone(self.work.model).set_params(**size))
        ends = self.work.deadline - _TRAININGS_AFTER * seconds
        self.trials.add_default(self.work.model.get_params(), self.default_score, seconds)

        def is_over(n_begun: int) -> bool:
            wanted = self.settings.n_trials
            return time.time() > ends or (wanted is not None and n_begun >= wanted)

        work = replace(self.work, deadline=ends)
        runner = runner_of(_n_jobs(self.settings), _ray_of(self.settings))
        try:
            for outcome in self.trials.run(work, runner, is_over):
                bar.update(self.trials.n_ended, time.time() - self.started, self.best()[1])
                if outcome.interrupted:
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            self.interrupted = True
            warn(
                f"The search was interrupted after {self.trials.n_ended:,} trials. The best so far "
                "is kept.",
                TrainingWarning,
            )
        else:
            self._require_a_trial(seconds)

    def _train_default(self) -> tuple[BaseAutoencoder, float, float]:
        """Return the untuned model, its score on the inner rows and its time in seconds."""
        start, callback = time.perf_counter(), TrialCallback(None, self.work.deadline)
        try:
            fitted, score = self.work.train_and_score({}, callback)
        except TimeUp:
            needed = (1 + _TRAININGS_AFTER) * callback.expected_seconds
            raise ParameterError(self._too_short(needed)) from None
        if callback.interrupted:
            raise KeyboardInterrupt
        return autoencoder_of(fitted), score, time.perf_counter() - start

    def best(self) -> tuple[dict[str, Any], float]:
        """Return the best parameters and their score, or none and the score of the default."""
        found = self.trials.best()
        if found is None or found.score is None or found.score <= self.default_score:
            return {}, self.default_score
        return dict(found.params), found.score

    def _require_a_trial(self, seconds: float) -> None:
        """Raise ParameterError if no trial was complete or pruned."""
        ended = self.trials.ended()
        if any(trial.state in ("complete", "pruned") for trial in ended):
            return
        failed = [trial for trial in ended if trial.state == "failed"]
        if failed:
            raise ParameterError(_all_failed(failed))
        raise ParameterError(self._too_short(seconds * (2 + _TRAININGS_AFTER)))

    def _too_short(self, needed: float) -> str:
        return (
            f"time_limit={self.settings.time_limit:g} s is too short for one trial. Allow "
            f'{math.ceil(needed):,} s at least, or effort="fast".'
        )

    # ------------------------------------------------------------------ result
    def report(self, params: dict[str, Any], score: float) -> SearchReport:
        """Return the scores of the tuned model, the default and a PCA on inner and outer rows."""
        work, objective = replace(self.work, deadline=math.inf), self.work.objective
        fitted: dict[str, list[Any]] = {}
        for name, chosen in {"default": {}, "tuned": params}.items():
            fitted[name] = (
                fitted["default"]
                if not chosen and fitted
                else work.fit(chosen, self.search_rows, work.n_seeds)
            )
        outer = {
            name: work.score(models, self.search_rows, self.outer)
            for name, models in fitted.items()
        }
        size = autoencoder_of(fitted["tuned"][0]).n_components_
        pca = [
            objective.pca_score(
                EncodedPCA.fit(self.default, train.X, size), train, held_out, self.seed
            )
            for train, held_out in ((work.train, work.held_out), (self.search_rows, self.outer))
        ]
        states = Counter(trial.state for trial in self.trials.ended())
        return SearchReport(
            objective.figure,
            (
                Standing("tuned", score, outer["tuned"]),
                Standing("default", self.default_score, outer["default"]),
                Standing("PCA", *pca),
            ),
            len(work.held_out), len(self.outer), min(size, self.default.preprocessor_.layout.width),
            states["complete"], states["pruned"], states["failed"] + states["late"],
        )  # fmt: skip

    def refit(self, params: dict[str, Any]) -> BaseAutoencoder:
        """Return the autoencoder with the best parameters, trained on all rows."""
        return autoencoder_of(self.work.fit(params, self.rows, 1)[0])


def _prepared(settings: Settings, X: Any, seed: int) -> BaseAutoencoder:
    """Return the model to tune, with a seed and its default network set."""
    given = Autoencoder() if settings.estimator is None else settings.estimator
    model: BaseAutoencoder = clone(given)
    if model.get_params(deep=False).get("random_state") is None:
        model.set_params(random_state=seed)
    if settings.effort is not None:
        model.set_params(effort=settings.effort)
    if _ray_of(settings) is not None:
        # Each worker runs whole trials, so that a trial itself is not distributed.
        model.set_params(engine="cpu")
    model = with_default_network(model, X)
    params = model.get_params(deep=False)
    if not settings.shuffle and "shuffle" in params and params.get("splitter") is None:
        model.set_params(shuffle=False)
    return model


def _check_suits(objective: Objective, model: BaseAutoencoder | None) -> None:
    """Raise ParameterError if the objective needs a score that the model lacks."""
    if isinstance(objective, Reconstruction) and not hasattr(model or Autoencoder, "score"):
        raise ParameterError(
            f'objective="reconstruction" does not suit {type(model).__name__}, which has no score '
            "method. Use another objective, or a function of (model, X, y)."
        )


def _space(settings: Settings, objective: Objective, model: BaseAutoencoder) -> Space:
    wanted = settings.space
    if wanted is None:
        wanted = default_space(model, sizes_too=objective.sizes_too)
    space = read_space(wanted, model)
    if "n_components" in space and not objective.sizes_too:
        raise ParameterError(
            'n_components cannot be searched with objective="reconstruction", because a larger '
            'code always reconstructs better. Leave n_components="auto", or use another objective.'
        )
    return space


def _identity_of(
    settings: Settings, objective: Objective, model: BaseAutoencoder, space: Space, rows: Rows,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the parts that identify a search, by which a study of another one is refused."""
    params = {n: v for n, v in model.get_params().items() if n not in ("engine", "verbose")}
    return {
        "estimator": [type(model).__name__, params],
        "space": {name: [d.to_json(), sorted(d.choices or ())] for name, d in space.items()},
        "objective": [type(objective).__name__, settings.shuffle],
        "data": [joblib.hash(values) for values in (rows.X, rows.y, rows.groups)],
        "fractions": [settings.outer_fraction, settings.inner_fraction],
        **({"n_seeds": settings.n_seeds} if settings.n_seeds > 1 else {}),
        "random_state": seed,
    }


def _ray_of(settings: Settings) -> RayEngine | None:
    """Return the engine of the model to tune if it is a RayEngine."""
    engine = resolve_engine(getattr(settings.estimator, "engine", "auto"))
    return engine if isinstance(engine, RayEngine) else None


def _n_jobs(settings: Settings) -> int:
    engine = _ray_of(settings)
    if engine is not None:
        return engine.n_workers
    return int(joblib.cpu_count()) if settings.n_jobs == -1 else int(settings.n_jobs)


def _all_failed(failed: list[SearchTrial]) -> str:
    reasons = Counter(trial.reason for trial in failed).most_common()
    listed = "; ".join(f"{count} x {reason}" for reason, count in reasons[:_MAX_REASONS])
    more = f"; and {len(reasons) - _MAX_REASONS} more" if len(reasons) > _MAX_REASONS else ""
    return f"All {len(failed)} trials failed ({listed}{more}). Narrow the space."
