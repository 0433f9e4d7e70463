"""Training in several processes that torchrun starts."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from latently._launch import n_restarts
from latently.exceptions import DataError, ParameterError, WorkerError
from latently.nn import AutoencoderModule
from latently.training._callbacks import Callback
from latently.training._data import TrainingData
from latently.training._engine import Job, LocalEngine
from latently.training._stream import StreamedData, TrainingRows
from latently.training.distributed._serialization import deserialize, serialize
from latently.training.distributed._sharding import ShardedRows, ShardedStream
from latently.training.distributed._workers import StopRequest, Workers, is_one_of_several
from latently.training.recorded import CannotRecord

Result = TypeVar("Result")
Value = TypeVar("Value")

#: Seconds within which all processes must be connected.
_RENDEZVOUS_SECONDS = 60.0
#: Number of steps on a GPU between two reads of the common stop request.
_STEPS_PER_STOP_CHECK = 16


@contextmanager
def _as_worker_error() -> Iterator[None]:
    """Raise WorkerError instead of torch's error if another process is lost."""
    try:
        yield
    except RuntimeError as error:
        rank, n_workers = dist.get_rank(), dist.get_world_size()
        reason = (str(error).splitlines() or [""])[0].rpartition("] ")[2][:80].rstrip(".")
        raise WorkerError(
            f"Worker {rank} of {n_workers} lost the connection to another one ({reason}). See the "
            "messages of that one, and restart all workers. With a checkpoint, training resumes."
        ) from None


class _SumOverWorkers(torch.autograd.Function):
    """The sum over all workers, for a total loss that is also a sum over all workers."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, total: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.total = total
        return total(value)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.total(grads[0]), None


class TorchProcessGroup:
    """The workers of torch's process group.

    Parameters
    ----------
    timeout : float
        Seconds to wait for another worker.
    """

    def __init__(self, timeout: float) -> None:
        if not dist.is_initialized():
            _init_process_group()
        self.rank, self.n_workers = dist.get_rank(), dist.get_world_size()
        self._group = dist.new_group(timeout=timedelta(seconds=timeout))
        # Values other than gradients are exchanged by the CPU.
        self._cpu_group = (
            self._group
            if dist.get_backend() == "gloo"
            else dist.new_group(timeout=timedelta(seconds=timeout), backend="gloo")
        )
        self._request = self._agreed_request = StopRequest.NONE
        self._n_sums = 0

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all workers; gradients flow through it."""
        if _is_recorded(value):
            raise CannotRecord("it depends on rows of other workers")
        return cast(Tensor, _SumOverWorkers.apply(value, self._total))  # type: ignore[no-untyped-call]

    def _total(self, value: Tensor) -> Tensor:
        found = value.detach().clone(memory_format=torch.contiguous_format)
        with _as_worker_error():
            dist.all_reduce(found, group=self._group)
        return found

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Replace gradients by their sums over all workers, and return the sum of the losses.

        Stop requests are sent in the same message.
        """
        requests = torch.zeros(len(StopRequest), device=loss.device)
        requests[self._request] = 1.0
        parts = [*(gradient.reshape(-1) for gradient in gradients), loss.reshape(1), requests]
        flat = torch.cat(parts)
        with _as_worker_error():
            dist.all_reduce(flat, group=self._group)
        *sums, total, requests = torch.split(flat, [len(part) for part in parts])
        for gradient, found in zip(gradients, sums, strict=True):
            gradient.copy_(found.view(gradient.shape))
        # A read would synchronise the GPU in every step. Requests are repeated until they are read.
        self._n_sums += 1
        if not flat.is_cuda or self._n_sums % _STEPS_PER_STOP_CHECK == 0:
            self._agreed_request = StopRequest(int(requests.nonzero().max()))
        return total[0]

    def total(self, value: float) -> float:
        """Return the sum of a number over all workers."""
        return float(sum(self.gather(value)))

    def agree_on_stop(self, request: StopRequest, *, at_once: bool = False) -> StopRequest:
        """Send a stop request, and return the common one of the last step, or of now."""
        self._request = max(self._request, request)
        if at_once:
            requests = self.gather(int(max(self._request, self._agreed_request)))
            self._request = self._agreed_request = StopRequest.NONE
            return StopRequest(max(requests))
        agreed = self._agreed_request
        if agreed is not StopRequest.NONE:
            self._request = self._agreed_request = StopRequest.NONE
        return agreed

    def compute_on_first(self, make: Callable[[], Value]) -> Value:
        """Call ``make`` on the first worker only; if it fails, all workers raise an error."""
        if self.rank:
            made = self._broadcast(None)
            if "failed" in made:
                raise WorkerError(f"The first worker failed: {made['failed']}")
            return cast(Value, made["value"])
        try:
            value = make()
        except Exception as error:
            self._broadcast({"failed": str(error)})
            raise
        # The first worker also uses the deserialized value, so that all have the same one.
        return cast(Value, self._broadcast({"value": value})["value"])

    def _broadcast(self, value: Any) -> Any:
        raw = torch.from_numpy(serialize(value).copy()) if self.rank == 0 else None
        size = torch.tensor([0 if raw is None else len(raw)])
        with _as_worker_error():
            dist.broadcast(size, 0, group=self._cpu_group)
            raw = torch.empty(int(size), dtype=torch.uint8) if raw is None else raw
            dist.broadcast(raw, 0, group=self._cpu_group)
        return deserialize(raw.numpy().tobytes())

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all workers."""
        raw = torch.from_numpy(serialize(value).copy())
        sizes = [torch.zeros(1, dtype=torch.int64) for _ in range(self.n_workers)]
        with _as_worker_error():
            dist.all_gather(sizes, torch.tensor([len(raw)]), group=self._cpu_group)
            longest = max(int(size) for size in sizes)
            padded = torch.cat([raw, raw.new_zeros(longest - len(raw))])
            found = [torch.empty_like(padded) for _ in sizes]
            dist.all_gather(found, padded, group=self._cpu_group)
        pairs = zip(found, sizes, strict=True)
        return [deserialize(one[: int(size)].numpy().tobytes()) for one, size in pairs]


def _is_recorded(value: Tensor) -> bool:
    """Return True while torch traces operations."""
    from torch.fx.experimental.proxy_tensor import get_proxy_mode

    return get_proxy_mode() is not None


def _init_process_group() -> None:
    """Connect to the other processes."""
    from torch.distributed import PrefixStore  # type: ignore[attr-defined]
    from torch.distributed.rendezvous import rendezvous

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    waits = timedelta(seconds=_RENDEZVOUS_SECONDS)
    try:
        store, rank, n_workers = next(rendezvous("env://", timeout=waits))
        # After a restart by torchrun, the store still has the entries of the earlier processes.
        own = PrefixStore(f"latently/{n_restarts()}", store)
        dist.init_process_group(backend, store=own, rank=rank, world_size=n_workers, timeout=waits)
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        reason = (str(error).splitlines() or [""])[0].rpartition("] ")[2][:80].rstrip(".")
        raise WorkerError(
            f"The workers did not connect at {address} within {_RENDEZVOUS_SECONDS:.0f} s "
            f"({reason}). Check address and port, and that all workers were started."
        ) from None
    atexit.register(_destroy_process_group)


def _destroy_process_group() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


_GROUPS: dict[float, TorchProcessGroup] = {}


@dataclass(eq=False, repr=False)
class TorchrunEngine(LocalEngine):
    """Train in the processes that torchrun started, each on its shard of every batch.

    All processes must run the same program. Each returns the same model, and the first one writes
    files. ``batch_size`` is the number of rows of all workers together. Rows in memory have the
    batches of a single process, so that the model is the same up to rounding. Of a dataset, each
    worker reads its own parts of the files. ``engine="auto"`` selects this engine in processes that
    torchrun started.

    Parameters
    ----------
    device : str, default="auto"
        A torch device. "auto" uses one GPU for each process if the machine has enough, else the
        CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        As for ``LocalEngine``. The first worker chooses for all.
    records : bool, default=True
        As for ``LocalEngine``.
    timeout : float, default=300.0
        Seconds to wait for a worker that does not respond. A lost worker is noticed at once.

    Examples
    --------
    >>> TorchrunEngine().workers
    Traceback (most recent call last):
    latently.exceptions.ParameterError: engine="torchrun" needs the processes of torchrun. Start \
with torchrun --nproc-per-node 2 -m latently fit ..., or use engine="auto".
    """

    timeout: float = 300.0

    @property
    def workers(self) -> Workers:
        """All workers of this training."""
        if not is_one_of_several():
            raise ParameterError(
                'engine="torchrun" needs the processes of torchrun. Start with torchrun '
                '--nproc-per-node 2 -m latently fit ..., or use engine="auto".'
            )
        if self.timeout not in _GROUPS:
            _GROUPS[self.timeout] = TorchProcessGroup(self.timeout)
        return _GROUPS[self.timeout]

    @property
    def torch_device(self) -> torch.device:
        """The device of this process."""
        if self.device != "auto":
            return super().torch_device
        # NCCL needs one GPU for each process. With fewer GPUs, all processes use the CPU.
        n_here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("WORLD_SIZE", "1")))
        if torch.cuda.is_available() and n_here <= torch.cuda.device_count():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cpu")

    def launch(self, job: Job[Result], callbacks: Sequence[Callback] = ()) -> Result:
        """Run the job in this process, as all other workers do.

        Parameters
        ----------
        job : callable
            Function of an engine and callbacks.
        callbacks : sequence of Callback, default=()
            Called at every evaluation, on the first worker only.

        Returns
        -------
        object
            Result of the job.
        """
        return job(self, callbacks if self.workers.rank == 0 else ())

    def setup(self, module: nn.Module) -> nn.Module:
        """Move the module to the device, and copy the weights of the first worker.

        Parameters
        ----------
        module : Module
            Module to train.

        Returns
        -------
        Module
            The same module.
        """
        module.to(self.torch_device)
        state = module.state_dict()
        first = self.workers.compute_on_first(
            lambda: {n: w.cpu().numpy() for n, w in state.items()}
        )
        module.load_state_dict({name: torch.from_numpy(w) for name, w in first.items()})
        return module

    def shard(self, data: TrainingRows) -> Any:
        """Return this worker's shards of the rows.

        Parameters
        ----------
        data : TrainingData or StreamedData
            All rows.

        Returns
        -------
        ShardedRows or ShardedStream
            Rows whose batches are the shards of this worker.

        Raises
        ------
        DataError
            If there are fewer rows than workers.
        """
        workers = self.workers
        if data.n_rows < workers.n_workers:
            raise DataError(
                f"There must be at least one row for each worker, got {data.n_rows:,} rows for "
                f"{workers.n_workers:,} workers. Start fewer workers."
            )
        moved = data.to(self.torch_device)
        if isinstance(moved, StreamedData):
            return ShardedStream(moved, workers)
        return ShardedRows(moved, workers)

    def _prefers_bfloat16(self, module: AutoencoderModule, example: TrainingData | None) -> bool:
        preferred = super()._prefers_bfloat16
        return self.workers.compute_on_first(lambda: preferred(module, example))
