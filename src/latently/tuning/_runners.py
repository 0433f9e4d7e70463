"""Runners of trials: this process, several local processes, or workers of Ray."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from joblib import Parallel, delayed

from latently.training import RayEngine, error_of_workers
from latently.tuning._trial import Outcome, Work, run_in_worker


class Call(NamedTuple):
    """Trial to run: its parameters, its number and the trial of Optuna."""

    params: dict[str, Any]
    number: int
    trial: Any


#: Maps the work of a trial and an iterator of trials to their outcomes, in order of completion.
Runner = Callable[[Work, Iterator[Call]], Iterator[Outcome]]


def runner_of(n_jobs: int, engine: RayEngine | None) -> Runner:
    """Return the runner of the trials.

    Parameters
    ----------
    n_jobs : int
        Number of local processes.
    engine : RayEngine or None
        Engine whose workers run the trials instead.

    Returns
    -------
    callable
        Runner, which requests a trial when a process is free and yields outcomes.
    """
    if engine is not None:
        return _Cluster(engine)
    return _one_by_one if n_jobs == 1 else _Processes(n_jobs)


def _one_by_one(work: Work, calls: Iterator[Call]) -> Iterator[Outcome]:
    for params, number, trial in calls:
        yield work.run(params, number, trial)


class _Processes:
    def __init__(self, n_jobs: int) -> None:
        self._n_jobs = n_jobs

    def __call__(self, work: Work, calls: Iterator[Call]) -> Iterator[Outcome]:
        pool = Parallel(
            self._n_jobs,
            return_as="generator_unordered",
            pre_dispatch=self._n_jobs,
            batch_size=1,
        )
        run = delayed(run_in_worker)
        outcomes: Iterator[Outcome] = pool(
            run(work, params, number, trial._trial_id) for params, number, trial in calls
        )
        yield from outcomes


class _Cluster:
    def __init__(self, engine: RayEngine) -> None:
        self._engine = engine

    def __call__(self, work: Work, calls: Iterator[Call]) -> Iterator[Outcome]:
        ray = self._engine.start()
        # Each trial trains on one core. Workers on other machines cannot open a local file.
        is_seen = self._is_here or not (work.storage or "sqlite:").startswith("sqlite:")
        sent = ray.put(work if is_seen else replace(work, storage=None))
        run = ray.remote(num_cpus=1)(run_in_worker)
        running: list[Any] = []
        try:
            while True:
                while len(running) < self._engine.n_workers:
                    call = next(calls, None)
                    if call is None:
                        break
                    running.append(run.remote(sent, *call[:2], call.trial._trial_id))
                if not running:
                    return
                done, running = ray.wait(running)
                yield ray.get(done[0])
        except ray.exceptions.RayError as error:
            raise error_of_workers(error) from None
        finally:
            for left in running:
                ray.cancel(left)

    @property
    def _is_here(self) -> bool:
        """True if the cluster was started on this machine by this process."""
        return self._engine.address is None and not os.environ.get("RAY_ADDRESS")
