"""Training in the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from sklearn.base import BaseEstimator

from latently._renamed import Renames
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

Result = TypeVar("Result")

#: Seconds between two reads of the messages of the workers.
_POLL_SECONDS = 0.5
#: Timeout of the connection to a cluster, in seconds.
_CONNECT_SECONDS = 10.0


def import_ray() -> Any:
    """Import Ray without telemetry, and with errors as the only log messages.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    """
    # The second variable avoids a warning for each actor without GPU.
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
class RayEngine(Renames, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Train in workers that Ray starts, each on its shard of every batch.

    Ray Train starts the same training as torchrun, with the same result. Rows in memory are sent to
    the workers. Of a dataset, each worker reads its own parts of the files, to which all workers
    need access. Needs the extra ``ray``. Ctrl-C ends the workers at once. Their training is lost,
    except for a checkpoint.

    Parameters
    ----------
    n_workers : int, default=2
        Number of processes that train. Each uses one core, and one GPU if ``device`` is "cuda".
    address : str or None, default=None
        Address of the cluster, such as ``"10.0.0.1:6379"``, or "auto". None uses the cluster of
        the environment variable ``RAY_ADDRESS``, or starts one on this machine until the program
        ends.
    device : {"cpu", "cuda"}, default="cpu"
        Device of each worker.
    max_failures : int, default=0
        Largest number of restarts after a worker was lost. Training restarts from the checkpoint if
        there is one, else from the beginning.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        As for ``LocalEngine``.

    References
    ----------
    .. [1] Moritz et al. (2018), Ray: A Distributed Framework for Emerging AI Applications.

    Examples
    --------
    >>> RayEngine(n_workers=4)
    RayEngine(n_workers=4)
    """

    n_workers: int = 2
    address: str | None = None
    device: str = "cpu"
    max_failures: int = 0
    precision: Precision = "auto"
    renamed_parameters: ClassVar[Mapping[str, str]] = {"num_workers": "n_workers"}

    @property
    def workers(self) -> Workers:
        """A single process, because the workers of Ray get an engine of their own."""
        return SINGLE_PROCESS

    def launch(self, job: Job[Result], callbacks: Sequence[Callback] = ()) -> Result:
        """Run a job in the workers of Ray.

        Parameters
        ----------
        job : callable
            Function of an engine and callbacks.
        callbacks : sequence of Callback, default=()
            Called in this process at every evaluation of the first worker.

        Returns
        -------
        object
            Result of the job on the first worker.

        Raises
        ------
        MissingExtraError
            If Ray is not installed.
        WorkerError
            If the cluster cannot be reached, or workers are lost.
        ResourceError
            If the cluster has fewer cores, or GPUs, than workers.
        """
        ray = self.start()
        queue = ray.remote(num_cpus=0)(_MessageQueue).remote()
        sent, random_state = ray.put(job), torch.get_rng_state()
        engine = TorchrunEngine(self.device, self.precision)

        def loop() -> None:
            # Imported here, so that the closure does not contain the configured module.
            import ray

            torch.set_rng_state(random_state)
            result = engine.launch(ray.get(sent), [_ForwardingCallback(queue)])
            if engine.workers.rank == 0:
                ray.get(queue.keep.remote((result, torch.get_rng_state())))

        with _forwarding(ray, queue, callbacks), tempfile.TemporaryDirectory() as folder:
            self._run(loop, folder)
        result: Result
        result, random_state = ray.get(queue.result.remote())
        torch.set_rng_state(random_state)
        return result

    def start(self) -> Any:
        """Join the cluster, or start one on this machine.

        Returns
        -------
        module
            The package ray.

        Raises
        ------
        WorkerError
            If the cluster cannot be reached.
        ResourceError
            If the cluster has fewer cores, or GPUs, than workers.
        """
        self._check_parameters()
        ray = import_ray()
        if not ray.is_initialized():
            self._join(ray)
        kind = "GPU" if self.device == "cuda" else "CPU"
        n_there = int(ray.cluster_resources().get(kind, 0))
        if n_there < self.n_workers:
            raise ResourceError(
                f"The Ray cluster must have one {kind} for each worker, got {n_there:,} for "
                f"{self.n_workers:,} workers. Use fewer workers, or add machines."
            )
        return ray

    def _join(self, ray: Any) -> None:
        """Connect to the cluster of ``address`` or RAY_ADDRESS, or start one."""
        address = self.address or os.environ.get("RAY_ADDRESS")
        n_cores = max(os.cpu_count() or 1, self.n_workers)
        where = {"num_cpus": n_cores} if address is None else {"address": address}
        try:
            if address is not None:
                _check_reachable(address)
            with _muted():
                ray.init(
                    **where, log_to_driver=False, logging_level=logging.ERROR,
                    include_dashboard=None if address else False,
                )  # fmt: skip
        except (Exception, SystemExit) as error:  # Ray may end the process, or require a token
            place = "here" if address is None else f"at {address}"
            raise WorkerError(
                f"No Ray cluster responds {place} ({_first_line(error)}). Check the address, or "
                "omit it to start a cluster on this machine."
            ) from None

    def _check_parameters(self) -> None:
        if not isinstance(self.n_workers, int) or self.n_workers < 1:
            raise ParameterError(
                f"n_workers must be an integer of at least 1, got {self.n_workers!r}. Use 2."
            )
        if self.device not in ("cpu", "cuda"):
            raise ParameterError(f'device must be "cpu" or "cuda", got {self.device!r}.')

    def _run(self, loop: Callable[[], None], folder: str) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        on_gpu = self.device == "cuda"
        trainer = TorchTrainer(
            loop,
            scaling_config=ScalingConfig(num_workers=self.n_workers, use_gpu=on_gpu),
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
    """Raise OSError if an address cannot be reached, for which Ray would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


@contextmanager
def _muted() -> Iterator[None]:
    """Discard the standard error output of Ray's processes while they start."""
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
    """Messages and the result of the workers, for the program that started them."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Any]] = []
        self._result: Any = None

    def put(self, name: str, what: Any) -> None:
        self._messages.append((name, what))

    def take(self) -> list[tuple[str, Any]]:
        messages, self._messages = self._messages, []
        return messages

    def keep(self, result: Any) -> None:
        self._result = result

    def result(self) -> Any:
        return self._result


class _ForwardingCallback:
    """A callback in a worker that forwards its calls to the program."""

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
    """Call callbacks in this process with the messages of the first worker, while it trains."""
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
    """Return the error of latently that caused an error of Ray, or a WorkerError.

    Parameters
    ----------
    error : BaseException
        Error of Ray.

    Returns
    -------
    LatentlyError
        Error to raise instead.
    """
    failures = getattr(error, "worker_failures", None)
    found = [_own_error(failure) for failure in (failures.values() if failures else [error])]
    # A WorkerError of a worker follows from the failure of another worker.
    own = [cause for cause in found if cause is not None and not isinstance(cause, WorkerError)]
    if own:
        return own[0]
    return WorkerError(
        f"A worker of Ray was lost ({_first_line(error)}). Start again. With a checkpoint, a "
        "storage or a folder to resume, the work continues from there."
    )


def _own_error(error: BaseException | None) -> LatentlyError | None:
    """Return the error of latently among the causes of an error, or None."""
    while error is not None and not isinstance(error, LatentlyError):
        error = getattr(error, "cause", None) or error.__cause__
    return error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:100].rstrip(".")
