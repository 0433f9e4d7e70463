"""Training in the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from sklearn.base import BaseEstimator

from latently.exceptions import (
    LatentlyError,
    MissingExtraError,
    ParameterError,
    ResourceError,
    WorkerError,
)
from latently.training._callbacks import Callback
from latently.training._engine import Job, Precision
from latently.training._history import History, Record
from latently.training.distributed._torchrun import TorchrunEngine
from latently.training.distributed._workers import SINGLE_PROCESS, Workers

Answer = TypeVar("Answer")

#: Seconds between two looks at how far training is.
_POLL_SECONDS = 0.5
#: Seconds that the address of a cluster may take to answer.
_CONNECT_SECONDS = 10.0


def import_ray() -> Any:
    """Return the package, told to be quiet.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    # Neither telemetry nor, for each actor, a line on what it was not told.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        import ray
    except ImportError:
        raise MissingExtraError(
            "The engine ray needs the package ray, which is not installed. Run "
            "pip install 'latently[ray]'."
        ) from None
    return ray


@dataclass(eq=False, repr=False)
class RayEngine(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Train in workers that Ray starts, each on its part of every batch.

    Ray Train starts the loop that torchrun's processes run, with the same result. Rows in memory
    are sent to the workers; of a dataset, each worker reads its own parts of the files, which all
    must be able to open. Needs the extra ``ray``. Ctrl-C ends the workers at once, so that nothing
    but a checkpoint is left of a training.

    Parameters
    ----------
    num_workers : int, default=2
        Processes that train; each takes one core, and one GPU where ``device`` is "cuda".
    address : str or None, default=None
        Of the cluster to join, as ``"10.0.0.1:6379"`` or "auto"; None joins the one that
        ``RAY_ADDRESS`` names, or starts one on this machine, until the program ends.
    device : {"cpu", "cuda"}, default="cpu"
        Where each worker trains.
    max_failures : int, default=0
        How often training may begin again after a worker was lost: from the checkpoint where there
        is one, else from the start.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        As for ``LocalEngine``.

    References
    ----------
    .. [1] Moritz et al. (2018), Ray: A Distributed Framework for Emerging AI Applications.

    Examples
    --------
    >>> RayEngine(num_workers=4)
    RayEngine(num_workers=4)
    """

    num_workers: int = 2
    address: str | None = None
    device: str = "cpu"
    max_failures: int = 0
    precision: Precision = "auto"

    @property
    def workers(self) -> Workers:
        """This process alone: workers know each other by the engine that they are given."""
        return SINGLE_PROCESS

    def launch(self, job: Job[Answer], callbacks: Sequence[Callback] = ()) -> Answer:
        """Run a job in the workers of Ray.

        Parameters
        ----------
        job : callable
            From an engine and callbacks to an answer.
        callbacks : sequence of Callback, default=()
            Told here of every evaluation there.

        Returns
        -------
        object
            The answer of the first worker.

        Raises
        ------
        MissingExtraError
            If Ray is not installed.
        WorkerError
            If no cluster answers, or workers are lost.
        ResourceError
            If the cluster has fewer cores, or GPUs, than workers.
        """
        ray = self.start()
        queue = ray.remote(num_cpus=0)(_MessageQueue).remote()
        sent, random_state = ray.put(job), torch.get_rng_state()
        engine = TorchrunEngine(self.device, self.precision)

        def loop() -> None:
            # By Ray itself: the workers have no use for what the closure would bring along.
            import ray

            torch.set_rng_state(random_state)
            answer = engine.launch(ray.get(sent), [_ForwardingCallback(queue)])
            if engine.workers.rank == 0:
                ray.get(queue.keep.remote((answer, torch.get_rng_state())))

        with _forwarding(ray, queue, callbacks), tempfile.TemporaryDirectory() as folder:
            self._run(loop, folder)
        answer: Answer
        answer, random_state = ray.get(queue.answer.remote())
        torch.set_rng_state(random_state)
        return answer

    def start(self) -> Any:
        """Join the cluster, or start one on this machine.

        Returns
        -------
        module
            Ray itself.

        Raises
        ------
        WorkerError
            If no cluster answers.
        ResourceError
            If the cluster is too small.
        """
        self._check_parameters()
        ray = import_ray()
        if not ray.is_initialized():
            self._join(ray)
        kind = "GPU" if self.device == "cuda" else "CPU"
        n_there = int(ray.cluster_resources().get(kind, 0))
        if n_there < self.num_workers:
            raise ResourceError(
                f"The Ray cluster has {n_there:,} {kind}s for {self.num_workers:,} workers. Ask "
                "for fewer workers, or add machines."
            )
        return ray

    def _join(self, ray: Any) -> None:
        """Join the cluster that is named, or start one."""
        address = self.address or os.environ.get("RAY_ADDRESS")
        n_cores = max(os.cpu_count() or 1, self.num_workers)
        where = {"num_cpus": n_cores} if address is None else {"address": address}
        try:
            if address is not None:
                _check_reachable(address)
            with _muted():
                ray.init(
                    **where, log_to_driver=False, logging_level=logging.ERROR,
                    include_dashboard=None if address else False,
                )  # fmt: skip
        except (Exception, SystemExit) as error:  # Ray may end the process, and wants tokens
            place = "here" if address is None else f"at {address}"
            raise WorkerError(
                f"No Ray cluster answers {place} ({_first_line(error)}). Check the address, or "
                "leave it out to start one here."
            ) from None

    def _check_parameters(self) -> None:
        if not isinstance(self.num_workers, int) or self.num_workers < 1:
            raise ParameterError(
                f"num_workers must be a whole number from 1 on, got {self.num_workers!r}. Try 2."
            )
        if self.device not in ("cpu", "cuda"):
            raise ParameterError(f'device must be "cpu" or "cuda", got {self.device!r}.')

    def _run(self, loop: Callable[[], None], folder: str) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        on_gpu = self.device == "cuda"
        trainer = TorchTrainer(
            loop,
            scaling_config=ScalingConfig(num_workers=self.num_workers, use_gpu=on_gpu),
            run_config=RunConfig(
                name="latently", storage_path=folder,
                failure_config=FailureConfig(max_failures=self.max_failures),
            ),
            torch_config=TorchConfig(backend="cpu:gloo,cuda:nccl" if on_gpu else "gloo"),
        )  # fmt: skip
        logging.getLogger("ray").setLevel(logging.CRITICAL)
        try:
            trainer.fit()
        except (Exception, SystemExit) as error:
            raise error_of_workers(error) from None


def _check_reachable(address: str) -> None:
    """Raise OSError if nobody is at home: Ray itself would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


@contextmanager
def _muted() -> Iterator[None]:
    """Keep what Ray's own processes say while they start from the terminal."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


class _MessageQueue:
    """What workers and the program that started them leave for each other."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Any]] = []
        self._answer: Any = None

    def put(self, name: str, what: Any) -> None:
        self._messages.append((name, what))

    def take(self) -> list[tuple[str, Any]]:
        messages, self._messages = self._messages, []
        return messages

    def keep(self, answer: Any) -> None:
        self._answer = answer

    def answer(self) -> Any:
        return self._answer


class _ForwardingCallback:
    """A callback in a worker that tells those of the program."""

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def on_train_begin(self, n_steps: int) -> None:
        self._queue.put.remote("on_train_begin", n_steps)

    def on_evaluation(self, record: Record) -> None:
        self._queue.put.remote("on_evaluation", record)

    def on_train_end(self, history: History) -> None:
        self._queue.put.remote("on_train_end", history)


@contextmanager
def _forwarding(ray: Any, queue: Any, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Tell callbacks here what the first worker has to say, while it trains."""
    if not callbacks:
        yield
        return
    is_over = threading.Event()

    def forward_messages() -> None:
        for name, what in ray.get(queue.take.remote()):
            for callback in callbacks:
                getattr(callback, name)(what)

    def poll() -> None:
        while not is_over.wait(_POLL_SECONDS):
            forward_messages()

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        forward_messages()


def error_of_workers(error: BaseException) -> LatentlyError:
    """Return what went wrong in the workers of Ray: an error of their own, or that one is gone.

    Parameters
    ----------
    error : BaseException
        What Ray raised.

    Returns
    -------
    LatentlyError
        To be raised instead.
    """
    failures = getattr(error, "worker_failures", None)
    found = [_own_error(failure) for failure in (failures.values() if failures else [error])]
    # Workers that lost another one are not those that failed.
    own = [cause for cause in found if cause is not None and not isinstance(cause, WorkerError)]
    if own:
        return own[0]
    return WorkerError(
        f"A worker of Ray was lost ({_first_line(error)}). Start again; with a checkpoint, a "
        "storage or a folder to resume, work goes on where it was saved."
    )


def _own_error(error: BaseException | None) -> LatentlyError | None:
    """Return the error of ours behind one of Ray."""
    while error is not None and not isinstance(error, LatentlyError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:100].rstrip(".")
