"""One training step: gradients by autograd or from a recording, and an AdamW update."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from latently.exceptions import TrainingWarning
from latently.nn import AutoencoderModule, Cells, as_shard
from latently.training._data import Batch, TrainingData
from latently.training._engine import TrainingEngine
from latently.training.recorded import (
    CannotRecord,
    CapturedScript,
    Script,
    UnknownTorch,
    record,
    script,
    simplify,
    while_recording,
    write_outputs,
)

#: Networks with more parameters are not recorded on a CPU, because arithmetic dominates their time.
_HEAVY = 3_000_000
#: Smallest number of steps of a training for which steps are recorded.
_MIN_STEPS = 40
#: Number of batches of the first shape before it is recorded, and of each further shape.
_SEEN, _OFTEN = 3, 20
#: Largest number of shapes that are recorded.
_MAX_SHAPES = 4
#: Defaults of torch.optim.AdamW.
BETAS, EPS = (0.9, 0.999), 1e-8
#: The weights of each layer begin at a multiple of this number of elements in the flat tensor.
#: Matrix products then round as they do for separate tensors.
_ALIGNED = 16
#: Modules whose layers can be recorded. Other layers may have effects that a recording misses.
_KNOWN = ("torch.nn.", "latently.")


class Update(NamedTuple):
    """Learning rate and weight decay of the optimiser."""

    learning_rate: float
    weight_decay: float


def loss_of(module: AutoencoderModule, batch: Batch, penalty_weight: float | Tensor) -> Tensor:
    """Return the mean loss of a batch per column, including the penalty.

    For a shard, return its contribution to the mean of the whole batch.
    """
    with as_shard(batch.shard):
        loss = module(batch.inputs, batch.target)
    rows = loss.reconstruction + penalty_weight * loss.penalty
    if batch.weight is not None:
        rows = rows * batch.weight
    whole = rows.mean() if batch.shard is None else rows.sum() / batch.shard.total
    mean: Tensor = whole / module.likelihood.layout.n_columns
    return mean


class Recorded(NamedTuple):
    """A recorded step, and the indices of the gradients that it writes into given tensors."""

    run: Script | CapturedScript
    written: tuple[int, ...]


class Step:
    """Gradients by autograd and an update by AdamW, with weight decay for matrices only.

    Parameters
    ----------
    engine : TrainingEngine
        Engine that computes the steps.
    module : AutoencoderModule
        Module that is trained in place.
    update : Update
        Learning rate and weight decay.
    example : TrainingData or None, default=None
        Rows on which the loss in bfloat16 is compared with that in single precision.
    """

    #: Description of the steps for the history.
    description = "eager"

    def __init__(
        self,
        engine: TrainingEngine,
        module: AutoencoderModule,
        update: Update,
        example: TrainingData | None = None,
    ) -> None:
        self.engine, self.module, self.update = engine, module, update
        self.workers = engine.workers
        self.precision = engine.autocast(module, example)
        self.reset()

    def reset(self) -> None:
        """Reset the moments of the optimiser."""
        matrices, others = _by_decay(p for p in self.module.parameters() if p.requires_grad)
        self._parameters = [*matrices, *others]
        groups = [
            {"params": matrices, "weight_decay": self.update.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        self.optimizer = torch.optim.AdamW(groups, lr=self.update.learning_rate, fused=True)

    def state(self) -> dict[str, Any]:
        """Return the state of the optimiser."""
        return self.optimizer.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        """Load the state of an optimiser."""
        self.optimizer.load_state_dict(state)

    def gradients(self, batch: Batch, penalty_weight: float) -> Tensor:
        """Compute the gradients of a batch and return its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        with self.precision:
            loss = loss_of(self.module, batch, penalty_weight)
        self.engine.backward(loss)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        return self.workers.sum_gradients(gradients, loss.detach())

    def clip(self, longest: float) -> bool:
        """Clip the norm of the gradient and return False if it is not finite.

        On a GPU, always return True. A gradient that is not finite then shows in the loss.
        """
        length = nn.utils.clip_grad_norm_(self._parameters, longest)
        # Reading the norm would synchronise the GPU in every step.
        return length.is_cuda or math.isfinite(float(length))

    def descend(self, learning_rate: float) -> None:
        """Update the weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.optimizer.step()

    def release(self) -> None:
        """Undo changes of the storage of the module's weights."""


def _by_decay(parameters: Any) -> tuple[list[Tensor], list[Tensor]]:
    every = list(parameters)
    return [p for p in every if p.ndim > 1], [p for p in every if p.ndim <= 1]


class RecordedStep(Step):
    """A step that is recorded once for each batch shape and replayed without Python.

    All weights are views of one tensor, so that an update is a single call for any number of
    layers. Batches of a shape that is not recorded, and modules that cannot be recorded, use
    autograd. The gradients are the same to the bit.
    """

    def __init__(
        self,
        engine: TrainingEngine,
        module: AutoencoderModule,
        update: Update,
        example: TrainingData | None = None,
    ) -> None:
        matrices, others = _by_decay(p for p in module.parameters() if p.requires_grad)
        self.flat = _FlatParameters([*matrices, *others], len(matrices))
        self.scripts: dict[Any, Recorded] = {}
        self.seen: Counter[Any] = Counter()
        self.refused = ""
        self.device = self.flat.weights.device
        self.penalty_weight = torch.ones((), device=self.device)
        super().__init__(engine, module, update, example)

    @property
    def description(self) -> str:  # type: ignore[override]
        """Description of the steps for the history."""
        if self.refused:
            return f"eager: {self.refused}"
        if not self.scripts:
            return "eager: too few steps of one shape"
        captured = any(isinstance(one.run, CapturedScript) for one in self.scripts.values())
        return "recorded as CUDA graphs" if captured else "recorded"

    def reset(self) -> None:
        """Reset the moments of the optimiser."""
        super().reset()
        self.flat.forget()

    def state(self) -> dict[str, Any]:
        """Return the state of the optimiser in the format of torch.optim.AdamW."""
        self.optimizer.state.update(self.flat.moments())
        return super().state()

    def load(self, state: dict[str, Any]) -> None:
        """Load the state of an optimiser."""
        super().load(state)
        self.flat.load_moments(self.optimizer.state)

    def clip(self, longest: float) -> bool:
        """Clip the norm of the gradient and return False if it is not finite.

        On a GPU, always return True. A gradient that is not finite then shows in the loss.
        """
        norm = torch.linalg.vector_norm(self.flat.gradient)
        if norm.is_cuda:
            # Reading the norm would synchronise the GPU in every step.
            self.flat.gradient.mul_((longest / (norm + 1e-6)).clamp(max=1.0))
            return True
        length = float(norm)
        if length > longest:
            self.flat.gradient.mul_(longest / (length + 1e-6))
        return math.isfinite(length)

    def descend(self, learning_rate: float) -> None:
        """Update the weights."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        self.flat.descend(learning_rate, self.update.weight_decay)

    def gradients(self, batch: Batch, penalty_weight: float) -> Tensor:
        """Compute the gradients of a batch and return its loss."""
        loss = self._local_gradients(batch, penalty_weight)
        return self.workers.sum_gradients([self.flat.gradient], loss)

    def _local_gradients(self, batch: Batch, penalty_weight: float) -> Tensor:
        recorded = self._script_for(batch)
        if recorded is not None:
            self.penalty_weight.fill_(penalty_weight)
            tensors = [*self._weights, *self._buffers, *tensors_of(batch), self.penalty_weight]
            into = [self.flat.gradients[place] for place in recorded.written]
            loss, *gradients = recorded.run(*tensors, *into)
            self.flat.gather(gradients, recorded.written)
            return loss
        self.flat.clear()
        with self.precision:
            loss = loss_of(self.module, batch, penalty_weight)
        self.engine.backward(loss)
        self.flat.gather([p.grad for p in self.flat.parameters])
        return loss.detach()

    def _script_for(self, batch: Batch) -> Recorded | None:
        shape = shape_of(batch)
        if shape in self.scripts:
            return self.scripts[shape]
        self.seen[shape] += 1
        n_seen = _OFTEN if self.scripts else _SEEN
        enough = self.seen[shape] >= n_seen and len(self.scripts) < _MAX_SHAPES
        if self.refused or not enough:
            return None
        try:
            self.scripts[shape] = self._record(batch)
        except CannotRecord as error:
            self.refused = f"its step cannot be recorded ({error})"
            if isinstance(error, UnknownTorch):
                _warn_of_slow_steps(error)
            return None
        return self.scripts[shape]

    def _record(self, batch: Batch) -> Recorded:
        """Record one step without updating weights, buffers or random states."""
        self._weights = [p.detach() for p in self.flat.parameters]
        self._buffers = list(self.module.buffers())
        own = [*self.flat.parameters, *self._buffers]
        n_weights, n_buffers = len(self._weights), len(self._buffers)

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            weights = [w.detach().requires_grad_() for w in tensors[:n_weights]]
            buffers = tensors[n_weights : n_weights + n_buffers]
            rest = tensors[n_weights + n_buffers :]
            state = state_of(self.module, own, [*weights, *buffers])
            again = batch_of(batch, rest[:-1])
            with self.precision:
                loss = loss_by(self.module, state, again, rest[-1])
            slopes = torch.autograd.grad(loss, weights, allow_unused=True)
            pairs = zip(weights, slopes, strict=True)
            return (loss.detach(), *(torch.zeros_like(w) if g is None else g for w, g in pairs))

        # Recording runs the step, so it gets copies of the buffers and a forked random state.
        copies = [buffer.clone() for buffer in self._buffers]
        tensors = [*self._weights, *copies, *tensors_of(batch), self.penalty_weight]
        with while_recording(self.device):
            found = record(step, tensors)
            simplify(found)
            # The first output is the loss, the others are gradients.
            written = [place - 1 for place in write_outputs(found)]
            run = script(found)
            into = [self.flat.gradients[place].clone() for place in written]
            run(*tensors, *into)
            if self.device.type == "cuda":
                batch_tensors = slice(n_weights + n_buffers, len(tensors) - 1)
                own = [*self._weights, *self._buffers, *tensors[batch_tensors], self.penalty_weight]
                into = [self.flat.gradients[place] for place in written]
                return Recorded(CapturedScript(run, [*own, *into], batch_tensors), tuple(written))
        return Recorded(run, tuple(written))

    def release(self) -> None:
        """Give each parameter a separate tensor again."""
        self.flat.release()


def _warn_of_slow_steps(error: UnknownTorch) -> None:
    warnings.warn(
        f"Training steps are not recorded, because {error}. The result is the same, but training "
        "of small networks is slower. Install a version of torch that latently was tested with.",
        TrainingWarning,
        stacklevel=2,
    )


class LossModule(nn.Module):
    """The loss of a batch as a module, for ``functional_call`` with other weights."""

    def __init__(self, inner: AutoencoderModule) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, batch: Batch, penalty_weight: Tensor) -> Tensor:
        return loss_of(self.inner, batch, penalty_weight)


def state_of(
    module: nn.Module, own: Sequence[Tensor], values: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return a state dict with replacements of parameters and buffers.

    A parameter that several layers share has one entry for each layer. A layer that is used several
    times has one entry.

    Parameters
    ----------
    module : Module
        Module with these parameters and buffers.
    own : sequence of Tensor
        Parameters and buffers of the module.
    values : sequence of Tensor
        Replacement of each of them.

    Returns
    -------
    dict of str to Tensor
        Replacements by name, for ``loss_by``.
    """
    found = dict(zip(map(id, own), values, strict=True))
    named = (
        pair
        for start, part in module.named_modules()
        for find in (part.named_parameters, part.named_buffers)
        for pair in find(start, recurse=False, remove_duplicate=False)
    )
    return {name: found[id(tensor)] for name, tensor in named if id(tensor) in found}


def loss_by(
    module: AutoencoderModule, state: dict[str, Tensor], batch: Batch, penalty_weight: Tensor
) -> Tensor:
    """Return the loss of a batch with the parameters and buffers of ``state``."""
    inside = {f"inner.{name}": value for name, value in state.items()}
    loss: Tensor = functional_call(
        LossModule(module), inside, (batch, penalty_weight), tie_weights=False
    )
    return loss


class _FlatParameters:
    """Parameters as views of one tensor, in which those with weight decay come first."""

    def __init__(self, parameters: list[Tensor], n_decaying: int) -> None:
        self.parameters = parameters
        self.sizes = [-(-p.numel() // _ALIGNED) * _ALIGNED for p in parameters]
        self.weights = parameters[0].detach().new_zeros(sum(self.sizes))
        for p, part in zip(parameters, self._parts(self.weights), strict=True):
            p.data = part.copy_(p.data)
        # Number of elements with and without weight decay.
        self.kinds = [sum(self.sizes[:n_decaying]), sum(self.sizes[n_decaying:])]
        self.gradient = torch.zeros_like(self.weights)
        self.gradients = self._parts(self.gradient)
        self.forget()

    def _parts(self, whole: Tensor) -> list[Tensor]:
        """Return the views of a tensor that belong to the parameters."""
        parts = torch.split(whole, self.sizes)
        return [
            part[: p.numel()].view(p.shape) for part, p in zip(parts, self.parameters, strict=True)
        ]

    def forget(self) -> None:
        """Set the moments and the step count to zero."""
        self.first, self.second = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.count = self.weights.new_zeros(())
        whole = (self.weights, self.gradient, self.first, self.second)
        self.by_kind = list(zip(*(torch.split(part, self.kinds) for part in whole), strict=True))

    def moments(self) -> dict[Tensor, dict[str, Tensor]]:
        """Return the state of each parameter in the format of torch.optim.AdamW."""
        moments = zip(self._parts(self.first), self._parts(self.second), strict=True)
        return {
            p: {"step": self.count.clone(), "exp_avg": first, "exp_avg_sq": second}
            for p, (first, second) in zip(self.parameters, moments, strict=True)
        }

    def load_moments(self, state: Mapping[Tensor, Mapping[str, Tensor]]) -> None:
        """Load the state of each parameter."""
        for p, first, second in zip(
            self.parameters, self._parts(self.first), self._parts(self.second), strict=True
        ):
            first.copy_(state[p]["exp_avg"])
            second.copy_(state[p]["exp_avg_sq"])
            self.count.copy_(state[p]["step"])

    def descend(self, learning_rate: float, weight_decay: float) -> None:
        """Take one AdamW step."""
        self.count += 1
        for parts, decay in zip(self.by_kind, (weight_decay, 0.0), strict=True):
            weights, gradient, first, second = parts
            torch._fused_adamw_(
                [weights], [gradient], [first], [second], [], [self.count], lr=learning_rate,
                beta1=BETAS[0], beta2=BETAS[1], weight_decay=decay, eps=EPS, amsgrad=False,
                maximize=False,
            )  # fmt: skip

    def clear(self) -> None:
        """Remove the gradients of the parameters."""
        for p in self.parameters:
            p.grad = None

    def gather(self, gradients: Sequence[Tensor | None], written: Sequence[int] = ()) -> None:
        """Copy gradients into the flat tensor, except for those already written there."""
        if len(written) == len(gradients):
            return
        places = [place for place in range(len(gradients)) if place not in written]
        found = [
            torch.zeros_like(self.parameters[place]) if (g := gradients[place]) is None else g
            for place in places
        ]
        torch._foreach_copy_([self.gradients[place] for place in places], found)

    def release(self) -> None:
        """Give each parameter a separate tensor again."""
        for p in self.parameters:
            p.grad = None
            p.data = p.data.clone()


def tensors_of(batch: Batch) -> list[Tensor]:
    """Return the tensors of a batch, without the target if it is the inputs."""
    cells = [batch.inputs] if batch.target is batch.inputs else [batch.inputs, batch.target]
    tensors = [tensor for one in cells for tensor in one if tensor is not None]
    return tensors if batch.weight is None else [*tensors, batch.weight]


def batch_of(like: Batch, tensors: Sequence[Tensor]) -> Batch:
    """Return a batch of the form of ``like`` from its tensors."""
    given = iter(tensors)

    def cells(one: Cells) -> Cells:
        return Cells(next(given), None if one.observed is None else next(given))

    inputs = cells(like.inputs)
    target = inputs if like.target is like.inputs else cells(like.target)
    return Batch(inputs, target, None if like.weight is None else next(given), like.shard)


def shape_of(batch: Batch) -> Any:
    """Return the shapes, dtypes and the shard of a batch, for which a recording is valid."""
    parts = (*batch.inputs, *batch.target, batch.weight)
    shapes = tuple(None if part is None else (part.shape, part.dtype) for part in parts)
    # Without the process group.
    shard = None if batch.shard is None else batch.shard[:3]
    return (batch.target is batch.inputs, shard, *shapes)


def make_step(
    engine: TrainingEngine,
    module: AutoencoderModule,
    update: Update,
    n_steps: int,
    example: TrainingData | None = None,
) -> Step:
    """Return a recorded step if that is possible and worthwhile, else an eager step."""
    kind = RecordedStep if can_record(engine, module, n_steps) else Step
    return kind(engine, module, update, example)


def can_record(engine: TrainingEngine, module: AutoencoderModule, n_steps: int) -> bool:
    """Return True if the module can be recorded and its steps are many and small."""
    device = device_of(engine)
    # On a GPU, launching operations takes a large part of the time for large networks, too.
    is_light = device.type == "cuda" or sum(p.numel() for p in module.parameters()) < _HEAVY
    can = hasattr(torch, "_fused_adamw_") and module.is_steady and not _has_foreign_layers(module)
    suits = device.type in ("cpu", "cuda") and getattr(engine, "records", False)
    return n_steps >= _MIN_STEPS and is_light and can and suits


def device_of(engine: TrainingEngine) -> torch.device:
    """Return the device on which an engine computes."""
    found: torch.device = getattr(engine, "torch_device", torch.device("cpu"))
    return found


def _has_foreign_layers(module: nn.Module) -> bool:
    """Return True if a layer is defined outside torch.nn and latently."""
    return any(not f"{type(part).__module__}.".startswith(_KNOWN) for part in module.modules())
