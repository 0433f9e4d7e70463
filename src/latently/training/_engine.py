"""Engines decide where training runs and how fast, never what is learnt."""

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

Answer = TypeVar("Answer")
#: What an object must offer to be an engine.
ENGINE_METHODS = ["launch"]

#: Work for an engine, and callbacks that may hear of it.
Job = Callable[["TrainingEngine", Sequence[Callback]], Answer]
Precision = Literal["auto", "float32", "bfloat16"]

#: From so many weights on, products of matrices outweigh what casting costs.
_HEAVY = 200_000
#: Products that are timed in each precision, and how many times faster the lower one must be.
_TRIALS, _CLEARLY = 5, 1.2
#: Rows whose loss is compared, and by which share it may differ.
_TRIAL_ROWS, _FOLLOWS = 64, 0.02
#: Instruction sets that multiply bfloat16.
_BFLOAT16_UNITS = ("avx512_bf16", "amx_tile")


@runtime_checkable
class Engine(Protocol):
    """Where a job runs: this process, or several.

    Attributes
    ----------
    workers : Workers
        The processes that train together, as this one sees them.
    """

    @property
    def workers(self) -> Workers:
        """The processes that train together."""
        ...

    def launch(self, job: Job[Answer], callbacks: Sequence[Callback] = ()) -> Answer:
        """Run a job where it belongs, on an engine that takes steps there; return its answer."""
        ...


@runtime_checkable
class TrainingEngine(Engine, Protocol):
    """An engine whose own process takes the steps."""

    def setup(self, module: nn.Module) -> nn.Module:
        """Put a module where it will be trained."""
        ...

    def shard(self, data: TrainingRows) -> Any:
        """Return the rows as this worker sees them, where they will be read."""
        ...

    def autocast(
        self, module: AutoencoderModule, example: TrainingData | None = None
    ) -> AbstractContextManager[object]:
        """Return the context in which a module's losses are computed."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of the rows that are here."""
        ...


@dataclass(eq=False, repr=False)
class LocalEngine(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Train in this process, on one device.

    Parameters
    ----------
    device : str, default="auto"
        A torch device such as "cpu", "cuda", "cuda:1" or "mps"; "auto" takes CUDA where there is
        one, else the CPU.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the matrix products in training; weights, losses and answers stay in single precision.
        "bfloat16" is up to twice as fast where the processor multiplies it, with three digits.
        "auto" takes it for large networks over pixels, which have eight bits themselves, where a
        short trial shows it to be faster and the loss to follow that of single precision.
    records : bool, default=True
        Whether the step of a small network is recorded and replayed on a CPU, the same gradients,
        without Python between its operations; on a GPU that of any network, as a CUDA graph.

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
        """This process alone."""
        return SINGLE_PROCESS

    def launch(self, job: Job[Answer], callbacks: Sequence[Callback] = ()) -> Answer:
        """Run the job here.

        Parameters
        ----------
        job : callable
            From an engine and callbacks to an answer.
        callbacks : sequence of Callback, default=()
            Told of every evaluation.

        Returns
        -------
        object
            The job's answer.
        """
        return job(self, callbacks)

    def setup(self, module: nn.Module) -> nn.Module:
        """Move the module to the device.

        Parameters
        ----------
        module : Module
            To be trained.

        Returns
        -------
        Module
            The same, moved.
        """
        return module.to(self.torch_device)

    def shard(self, data: TrainingRows) -> Any:
        """Move all rows to the device, or hand them out there.

        Parameters
        ----------
        data : TrainingData or StreamedData
            All rows.

        Returns
        -------
        TrainingData, StreamedData or CPURows
            All rows: there is one worker. Those that would take more than half of the memory that
            a GPU has left stay where they are, and are moved batch by batch.
        """
        device = self.torch_device
        if isinstance(data, TrainingData) and not _fits(data, device):
            return CPURows(data, device)
        return data.to(device)

    def autocast(
        self, module: AutoencoderModule, example: TrainingData | None = None
    ) -> AbstractContextManager[object]:
        """Return the context in which matrix products are taken in the chosen precision.

        Parameters
        ----------
        module : AutoencoderModule
            To be trained.
        example : TrainingData or None, default=None
            Rows to hold the losses of both precisions against each other by; None holds none.

        Returns
        -------
        context manager
            To compute losses in.

        Raises
        ------
        ParameterError
            If there is no such precision.
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
        """Return True where half the precision pays, and the loss follows."""
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
            A single number.
        """
        loss.backward()  # type: ignore[no-untyped-call]


def _fits(data: TrainingData, device: torch.device) -> bool:
    """Return True where rows leave half of a GPU's memory to the network."""
    if device.type != "cuda":
        return True
    return data.n_bytes <= torch.cuda.mem_get_info(device)[0] // 2


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Private names of torch: where they are gone, single precision serves.
    asked = [getattr(torch.cpu, f"_is_{unit}_supported", None) for unit in _BFLOAT16_UNITS]
    return device.type == "cpu" and any(ask() for ask in asked if ask is not None)


@cache
def _is_faster(device: torch.device, n_outputs: int, n_inputs: int) -> bool:
    """Return True where products of such matrices take less time in half the precision.

    It is tried once in a process, so that its models are all trained in one precision.
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
    """Return True where the loss of some rows is the same in both precisions but for little."""
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
    """Return True for a large network over pixels."""
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
