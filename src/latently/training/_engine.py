"""Engines, which determine where training runs and how fast, but not its result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from latently.exceptions import ParameterError
from latently.nn import AutoencoderModule
from latently.training._callbacks import Callback
from latently.training._cpu_rows import CPURows
from latently.training._data import TrainingData
from latently.training._stream import TrainingRows
from latently.training._threads import has_lost_cuda
from latently.training.distributed._workers import SINGLE_PROCESS, Workers

Result = TypeVar("Result")
#: Methods that an engine must have.
ENGINE_METHODS = ["launch"]

#: Function of an engine and callbacks that an engine runs.
Job = Callable[["TrainingEngine", Sequence[Callback]], Result]
Precision = Literal["auto", "float32", "bfloat16"]

#: Dense networks with fewer parameters are not trained in bfloat16, because casts dominate.
_HEAVY = 200_000
#: Number of products that are timed in each precision, and the required speedup of bfloat16.
_TRIALS, _CLEARLY = 5, 1.2
#: Number of rows whose losses are compared, and the largest relative difference.
_TRIAL_ROWS, _FOLLOWS = 64, 0.02
#: Instruction sets that multiply bfloat16.
_BFLOAT16_UNITS = ("avx512_bf16", "amx_tile")


@runtime_checkable
class Engine(Protocol):
    """An object that runs a job in this process or in several.

    Attributes
    ----------
    workers : Workers
        The processes that train together.
    """

    @property
    def workers(self) -> Workers:
        """The processes that train together."""
        ...

    def launch(self, job: Job[Result], callbacks: Sequence[Callback] = ()) -> Result:
        """Run a job with an engine that takes steps, and return its result."""
        ...


@runtime_checkable
class TrainingEngine(Engine, Protocol):
    """An engine whose own process takes the steps."""

    def setup(self, module: nn.Module) -> nn.Module:
        """Move a module to the device on which it is trained."""
        ...

    def shard(self, data: TrainingRows) -> Any:
        """Return the rows of this worker, on the device on which they are used."""
        ...

    def autocast(
        self, module: AutoencoderModule, example: TrainingData | None = None
    ) -> AbstractContextManager[object]:
        """Return the context in which a module's losses are computed."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the rows of this worker."""
        ...


@dataclass(eq=False, repr=False)
class LocalEngine(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Train in this process, on one device.

    Parameters
    ----------
    device : str, default="auto"
        A torch device such as "cpu", "cuda", "cuda:1" or "mps". "auto" uses CUDA if it is
        available, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the matrix products in training. Weights, losses and predictions stay in single
        precision. "bfloat16" has about three significant digits, and is faster on processors with
        bfloat16 matrix units. "auto" uses it for large image networks if a short trial is at least
        1.2 times faster and the losses differ by at most 2 %.
    records : bool, default=True
        If True, record the training step and replay it without Python between its operations: on a
        CPU for small networks, on a GPU for all networks, as a CUDA graph. Gradients are the same.

    Examples
    --------
    >>> LocalEngine("cpu").torch_device
    device(type='cpu')
    """

    device: str = "auto"
    precision: Precision = "auto"
    records: bool = True

    @property
    def torch_device(self) -> torch.device:
        """The device itself."""
        try:
            device = torch.device(_automatic() if self.device == "auto" else self.device)
        except RuntimeError:
            raise ParameterError(
                f'device must be "auto", "cpu", "cuda" or "mps", got {self.device!r}.'
            ) from None
        _check_available(device)
        return device

    @property
    def workers(self) -> Workers:
        """A single process."""
        return SINGLE_PROCESS

    def launch(self, job: Job[Result], callbacks: Sequence[Callback] = ()) -> Result:
        """Run the job in this process.

        Parameters
        ----------
        job : callable
            Function of an engine and callbacks.
        callbacks : sequence of Callback, default=()
            Called at every evaluation.

        Returns
        -------
        object
            Result of the job.
        """
        return job(self, callbacks)

    def setup(self, module: nn.Module) -> nn.Module:
        """Move the module to the device.

        Parameters
        ----------
        module : Module
            Module to train.

        Returns
        -------
        Module
            The same module.
        """
        return module.to(self.torch_device)

    def shard(self, data: TrainingRows) -> Any:
        """Move all rows, or their batches, to the device.

        Parameters
        ----------
        data : TrainingData or StreamedData
            All rows.

        Returns
        -------
        TrainingData, StreamedData or CPURows
            All rows. Rows that need more than half of the free memory of a GPU stay in CPU memory,
            and their batches are moved.
        """
        device = self.torch_device
        if isinstance(data, TrainingData) and not _fits(data, device):
            return CPURows(data, device)
        return data.to(device)

    def autocast(
        self, module: AutoencoderModule, example: TrainingData | None = None
    ) -> AbstractContextManager[object]:
        """Return the context that sets the precision of matrix products.

        Parameters
        ----------
        module : AutoencoderModule
            Module to train.
        example : TrainingData or None, default=None
            Rows on which "auto" compares the losses of both precisions. None means no comparison.

        Returns
        -------
        context manager
            Context in which losses are computed.

        Raises
        ------
        ParameterError
            If ``precision`` has an invalid value.
        """
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ParameterError(
                f'precision must be "auto", "float32" or "bfloat16", got {self.precision!r}.'
            )
        wanted = self.precision == "bfloat16" or (
            self.precision == "auto" and self._prefers_bfloat16(module, example)
        )
        return torch.autocast(self.torch_device.type, torch.bfloat16, enabled=wanted)

    def _prefers_bfloat16(self, module: AutoencoderModule, example: TrainingData | None) -> bool:
        """Return True if bfloat16 is faster and the losses agree."""
        device = self.torch_device
        return (
            _multiplies_bfloat16(device)
            and _is_tolerant(module)
            and _is_faster(device, *_largest_matrix(module))
            and (example is None or _loss_follows(module, example, device))
        )

    def backward(self, loss: Tensor) -> None:
        """Compute gradients.

        Parameters
        ----------
        loss : Tensor
            Scalar loss.
        """
        loss.backward()  # type: ignore[no-untyped-call]


def _fits(data: TrainingData, device: torch.device) -> bool:
    """Return True if rows need at most half of the free memory of a GPU."""
    if device.type != "cuda":
        return True
    return data.n_bytes <= torch.cuda.mem_get_info(device)[0] // 2


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private names of torch. Without them, single precision is used.
    asked = [getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in _BFLOAT16_UNITS]
    return device.type == "cpu" and any(ask() for ask in asked if ask is not None)


@cache
def _is_faster(device: torch.device, n_outputs: int, n_inputs: int) -> bool:
    """Return True if products of this shape are faster in bfloat16.

    The trial is cached, so that all models of a process are trained in the same precision.
    """
    if device.type != "cpu":
        return True
    spent = []
    for kind in (torch.float32, torch.bfloat16):
        rows, matrix = torch.ones(128, n_inputs).to(kind), torch.ones(n_inputs, n_outputs).to(kind)
        spent.append(min(_seconds(partial(torch.mm, rows, matrix)) for _ in range(_TRIALS)))
    return spent[1] * _CLEARLY < spent[0]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _loss_follows(module: AutoencoderModule, rows: TrainingData, device: torch.device) -> bool:
    """Return True if the losses of some rows differ by at most 2 % between both precisions."""
    batch = rows.select(slice(_TRIAL_ROWS)).to(device).take(slice(None))
    was_training, losses = module.training, []
    module.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for enabled in (False, True):
            torch.manual_seed(0)
            with torch.autocast(device.type, torch.bfloat16, enabled=enabled):
                losses.append(float(module(batch.inputs, batch.target).reconstruction.mean()))
    module.train(was_training)
    return abs(losses[1] - losses[0]) <= _FOLLOWS * abs(losses[0])


def _largest_matrix(module: AutoencoderModule) -> tuple[int, int]:
    """Return rows and columns of the largest weight."""
    sizes = [(w.shape[0], w[0].numel()) for w in module.parameters() if w.ndim > 1]
    return max(sizes, key=lambda size: size[0] * size[1], default=(1, 1))


def _is_tolerant(module: AutoencoderModule) -> bool:
    """Return True for a convolutional or large network over pixels."""
    layout = module.likelihood.layout
    kinds = {block.likelihood for block in layout.blocks}
    if len(layout.shape) == 1 and kinds != {"bernoulli"}:
        return False
    n_weights = sum(weight.numel() for weight in module.parameters())
    convolves = any(isinstance(part, nn.Conv2d) for part in module.modules())
    return convolves or n_weights >= _HEAVY


def _automatic() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _check_available(device: torch.device) -> None:
    available = {"cpu": True, "cuda": torch.cuda.is_available()}
    available["mps"] = torch.backends.mps.is_available()
    if not available.get(device.type, True):
        raise ParameterError(
            f'device {str(device)!r} is not available on this machine. Use "auto" or "cpu".'
        )
    if device.type == "cuda" and has_lost_cuda():
        raise ParameterError(
            "CUDA cannot be used in a process that was forked after its parent had used it. Start "
            'the process with the method "spawn", or use engine="cpu".'
        )
