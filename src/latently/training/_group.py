"""Training of several models at once, with stacked weights and one computation for each step.

The weights of a model with a smaller code are padded with zeros to the shapes of the largest model.
A component with zero input and output weights has a zero gradient and stays zero. This is checked
for every recorded step, because a user's network may violate it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad_and_value, vmap

from latently.nn import AutoencoderModule, flushing_denormals
from latently.training._callbacks import Callback, context_callbacks
from latently.training._data import Batch, TrainingData, balanced_split
from latently.training._engine import TrainingEngine
from latently.training._history import StopReason
from latently.training._loop import Trained
from latently.training._run import OutOfTime, Run, TrainingOptions
from latently.training._step import (
    BETAS,
    EPS,
    LossModule,
    Update,
    batch_of,
    can_record,
    device_of,
    loss_by,
    shape_of,
    state_of,
    tensors_of,
)
from latently.training._stream import StreamedData
from latently.training.recorded import (
    CannotRecord,
    Script,
    record,
    script,
    simplify,
    while_recording,
)

#: Finished models are removed from the group when at most this fraction still trains.
_COMPACT_BELOW = 0.5
#: Tolerance for the rounding of a loss that is computed in another order.
_ROUNDING = 1e-4
#: Number of training rows that are evaluated if there are no validation rows.
_SAMPLE_ROWS = 4_096


def can_group(modules: Sequence[AutoencoderModule], engine: TrainingEngine, n_steps: int) -> bool:
    """Return True if the steps of some modules can be recorded as one computation.

    Models with batch normalisation cannot be grouped, because it updates buffers in a step. Neither
    can models that several workers or a GPU train. The weights of the modules must have the same
    numbers of axes, but may differ in their lengths.
    """
    if engine.workers.n_workers > 1 or device_of(engine).type != "cpu":
        return False
    axes = [[len(shape) for shape in shapes_of(module)] for module in modules]
    if any(of_one != axes[0] for of_one in axes):
        return False
    module = largest(modules)
    writes = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())
    return can_record(engine, module, n_steps) and not writes


class GroupStep:
    """A step of several models, recorded once under ``vmap`` and replayed.

    For each layer, one tensor contains the weights of all models along its first axis. The weights
    of each model are views of it. Those of a smaller model are the leading part of each axis.

    Parameters
    ----------
    precision : context manager
        Context in which losses are computed.
    modules : sequence of AutoencoderModule
        Modules that are trained in place.
    update : Update
        Learning rate and weight decay.
    """

    def __init__(
        self,
        precision: AbstractContextManager[object],
        modules: Sequence[AutoencoderModule],
        update: Update,
    ) -> None:
        self.precision, self.modules, self.update = precision, list(modules), update
        self.largest = largest(modules)
        self.is_padded = any(shapes_of(m) != shapes_of(self.largest) for m in modules)
        named = [(name, p) for name, p in self.largest.named_parameters() if p.requires_grad]
        kinds = [[(n, p) for n, p in named if (p.ndim > 1) == decays] for decays in (True, False)]
        self.stacks = [
            _Stack([name for name, _ in kind], modules, update.weight_decay if decays else 0.0)
            for kind, decays in zip(kinds, (True, False), strict=True)
            if kind
        ]
        self.names = [name for stack in self.stacks for name in stack.names]
        self.buffers = {
            name: _padded([module.get_buffer(name) for module in modules])
            for name, _ in self.largest.named_buffers()
        }
        self.counts = [0] * len(self.modules)
        self.penalty_weight = torch.ones(())
        self.scripts: dict[Any, Script] = {}

    def reset(self, member: int) -> None:
        """Reset the moments of the optimiser for one model."""
        for stack in self.stacks:
            stack.first[member] = stack.second[member] = 0
        self.counts[member] = 0

    def backward(self, batch: Batch, penalty_weight: float) -> Tensor:
        """Compute the gradients of each model on its batch, and return the losses, (n_models,)."""
        shape = shape_of(batch)
        if shape not in self.scripts:
            self.scripts[shape] = self._record(batch)
        self.penalty_weight.fill_(penalty_weight)
        losses, *found = self.scripts[shape](*self._inputs(batch))
        torch._foreach_copy_([g for stack in self.stacks for g in stack.gradients], found)
        return losses

    def clip(self, longest: float) -> None:
        """Clip the norm of the gradient of each model."""
        parts = [torch.linalg.vector_norm(stack.gradient, dim=1) for stack in self.stacks]
        lengths = torch.linalg.vector_norm(torch.stack(parts), dim=0)
        # A comparison with NaN is False, so its model is scaled, and stays NaN by itself.
        if not bool((lengths <= longest).all()):
            shorter = (longest / (lengths + 1e-6)).clamp(max=1.0)[:, None]
            for stack in self.stacks:
                stack.gradient.mul_(shorter)

    def descend(self, rates: dict[int, float]) -> None:
        """Update the weights of some models, each with its own learning rate."""
        together: dict[tuple[float, int], list[int]] = defaultdict(list)
        for member, rate in rates.items():
            self.counts[member] += 1
            together[rate, self.counts[member]].append(member)
        for (rate, count), members in together.items():
            for stack in self.stacks:
                stack.descend(members, count, rate)

    def keep(self, members: Sequence[int]) -> GroupStep:
        """Return a step of some of the models, with their current optimiser states."""
        chosen = torch.tensor(members)
        kept = GroupStep(self.precision, [self.modules[m] for m in members], self.update)
        for new, old in zip(kept.stacks, self.stacks, strict=True):
            new.copy_moments(old, chosen)
        kept.counts = [self.counts[member] for member in members]
        return kept

    def release(self) -> None:
        """Give each parameter of each model a separate tensor again."""
        for module in self.modules:
            for name in self.names:
                p = module.get_parameter(name)
                p.data = p.data.clone(memory_format=torch.contiguous_format)

    def _inputs(self, batch: Batch) -> list[Tensor]:
        weights = [weight for stack in self.stacks for weight in stack.weights]
        return [*weights, *self.buffers.values(), *tensors_of(batch), self.penalty_weight]

    def _record(self, batch: Batch) -> Script:
        weights_of, buffers_of = self.largest.get_parameter, self.largest.get_buffer
        own = [*map(weights_of, self.names), *map(buffers_of, self.buffers)]
        n_weights, n_buffers = len(self.names), len(self.buffers)

        def loss_of_one(weights: Sequence[Tensor], rest: Sequence[Tensor], penalty: Tensor) -> Any:
            state = state_of(self.largest, own, [*weights, *rest[:n_buffers]])
            again = batch_of(batch, rest[n_buffers:])
            with self.precision:
                return loss_by(self.largest, state, again, penalty)

        every = vmap(grad_and_value(loss_of_one), in_dims=(0, 0, None), randomness="different")

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            weights, rest = tensors[:n_weights], tensors[n_weights:-1]
            gradients, losses = every(weights, rest, tensors[-1])
            return (losses, *gradients)

        with while_recording(self.penalty_weight.device):
            found = record(step, self._inputs(batch))
            simplify(found)
            recorded = script(found)
            losses, *gradients = recorded(*self._inputs(batch))
        if self.is_padded:
            self._check_padding(batch, losses, gradients)
        return recorded

    @torch.no_grad()
    def _check_padding(self, batch: Batch, losses: Tensor, gradients: list[Tensor]) -> None:
        """Raise CannotRecord unless padded models have the losses of the models themselves."""
        for place, module in enumerate(self.modules):
            own = batch_of(batch, [tensor[place] for tensor in tensors_of(batch)])
            with self.precision:
                alone = LossModule(module)(own, self.penalty_weight)
            if not torch.allclose(losses[place], alone, rtol=_ROUNDING, atol=_ROUNDING):
                raise CannotRecord("a smaller code padded with zeros has another loss")
            for name, whole in zip(self.names, gradients, strict=True):
                corner = _corner(whole[place], module.get_parameter(name).shape)
                if whole[place].count_nonzero() > corner.count_nonzero():
                    raise CannotRecord(f"the zeros that pad {name} would be trained")


class _Stack:
    """The parameters of all models with one weight decay, one row for each model."""

    def __init__(
        self, names: list[str], modules: Sequence[AutoencoderModule], weight_decay: float
    ) -> None:
        self.names, self.weight_decay = names, weight_decay
        own = [[module.get_parameter(name) for module in modules] for name in names]
        layers = [_padded([p.detach() for p in layer]) for layer in own]
        self.shapes = [layer.shape[1:] for layer in layers]
        self.weight = torch.cat([layer.flatten(1) for layer in layers], 1)
        self.gradient = torch.zeros_like(self.weight)
        self.first, self.second = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        self.weights, self.gradients = self._layers(self.weight), self._layers(self.gradient)
        # Created once, because a view takes as long as a small operation.
        self.whole = (self.weight, self.gradient, self.first, self.second)
        self.rows = [part.unbind() for part in self.whole]
        for layer, parts in zip(own, self.weights, strict=True):
            for p, part in zip(layer, parts, strict=True):
                p.data = _corner(part, p.shape)

    def copy_moments(self, old: _Stack, chosen: Tensor) -> None:
        """Copy the moments of some models of another stack."""
        for to, of in ((self.first, old.first), (self.second, old.second)):
            for new, layer in zip(self._layers(to), old._layers(of), strict=True):
                new.copy_(_corner(layer[chosen], new.shape))

    def _layers(self, whole: Tensor) -> list[Tensor]:
        """Return a view for each layer, with the models along the first axis."""
        parts = torch.split(whole, [shape.numel() for shape in self.shapes], 1)
        return [
            part.view(len(whole), *shape) for part, shape in zip(parts, self.shapes, strict=True)
        ]

    def descend(self, members: list[int], count: int, rate: float) -> None:
        """Take the AdamW step number ``count`` for some models."""
        if len(members) == len(self.weight):
            weights, gradients, first, second = ([part] for part in self.whole)
        else:
            weights, gradients, first, second = ([part[m] for m in members] for part in self.rows)
        counts = [torch.tensor(float(count))] * len(weights)
        torch._fused_adamw_(
            weights, gradients, first, second, [], counts, lr=rate, beta1=BETAS[0], beta2=BETAS[1],
            weight_decay=self.weight_decay, eps=EPS, amsgrad=False, maximize=False,
        )  # fmt: skip


def largest(modules: Sequence[AutoencoderModule]) -> AutoencoderModule:
    """Return the module with the most parameters."""
    return max(modules, key=lambda module: sum(p.numel() for p in module.parameters()))


def shapes_of(module: nn.Module) -> list[torch.Size]:
    """Return the shapes of the weights."""
    return [p.shape for p in module.parameters()]


def _padded(parts: Sequence[Tensor]) -> Tensor:
    """Stack tensors with the same number of axes, padding smaller ones with zeros at the end."""
    shape = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
    whole = parts[0].new_zeros(len(parts), *shape)
    for row, part in zip(whole, parts, strict=True):
        _corner(row, part.shape).copy_(part)
    return whole


def _corner(whole: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the leading part of each axis."""
    return whole[tuple(slice(size) for size in shape)]


class _MemberStep:
    """The part of the shared step that the run of one model uses."""

    def __init__(self, group: _Group, place: int) -> None:
        self._group, self._place = group, place
        self.precision = group.stepper.precision

    def reset(self) -> None:
        self._group.reset(self._place)


class _Group:
    """Several trainings with common steps and separate evaluations."""

    def __init__(
        self,
        engine: TrainingEngine,
        modules: Sequence[AutoencoderModule],
        rows: TrainingData,
        sides: Sequence[tuple[Tensor, Tensor]],
        options: Sequence[TrainingOptions],
        corruption: Any,
    ) -> None:
        first = options[0]
        update = Update(first.learning_rate, first.weight_decay)
        self.stepper = GroupStep(engine.autocast(modules[0], rows), modules, update)
        self.rows, self.batch_size = rows, first.batch_size
        self.places = [train for train, _ in sides]
        self.runs = [
            Run(
                engine, module, _MemberStep(self, place), _placeholder_rows(rows, train),
                rows.select(valid) if len(valid) else None, own, corruption,
            )
            for place, (module, (train, valid), own) in enumerate(
                zip(modules, sides, options, strict=True)
            )
        ]  # fmt: skip
        self.active = list(range(len(modules)))
        self.in_step = list(self.active)
        # Indices of the next batches, and batches that are already gathered, each with the next one
        # at the end.
        self.waiting: list[Tensor] = []
        self.ready: list[Batch] = []

    def reset(self, place: int) -> None:
        """Reset the moments of the optimiser for one model."""
        self.stepper.reset(self.in_step.index(place))

    def train(self, callbacks: Sequence[Callback]) -> None:
        """Train every model to its end, and report the records of the most advanced one."""
        reported = 0
        left = {place: self.runs[place].next_stretch() for place in self.active}
        losses = dict.fromkeys(self.active, 0.0)
        n_taken = dict.fromkeys(self.active, 0)
        while self.active:
            n_steps = min(left[place] for place in self.active)
            found = self._advance(n_steps)
            for place in list(self.active):
                losses[place] += found[place] * n_steps
                n_taken[place] += n_steps
                left[place] -= n_steps
                if left[place]:
                    continue
                run = self.runs[place]
                record = run.evaluate_stretch(losses[place] / n_taken[place])
                if record is not None and record.step > reported:
                    reported = record.step
                    for callback in callbacks:
                        callback.on_evaluation(record)
                left[place] = run.next_stretch()
                losses[place], n_taken[place] = 0.0, 0
                if not left[place]:
                    self.active.remove(place)
            if self.active and len(self.active) <= _COMPACT_BELOW * len(self.in_step):
                kept = [self.in_step.index(place) for place in self.active]
                self.stepper.release()
                self.stepper = self.stepper.keep(kept)
                self.ready = [_of_models(batch, kept) for batch in self.ready]
                self.in_step = list(self.active)

    def end_early(self, reason: StopReason) -> None:
        """End every training that is not finished, and keep its best weights."""
        for place in self.active:
            self.runs[place].end_early(reason)

    def _advance(self, n_steps: int) -> dict[int, float]:
        """Take some steps with all models of the step, and return the mean loss of each."""
        total, n_rows = torch.zeros(len(self.in_step)), 0
        clip = self.runs[0].options.gradient_clip
        for place in self.in_step:
            self.runs[place].module.train()
        for _ in range(n_steps):
            run = self.runs[self.active[0]]
            run.check_time()
            progress = run.step / run.options.n_steps
            batch = run.corrupted(self._next_batch())
            size = batch.inputs.values.shape[1]
            total += size * self.stepper.backward(batch, run.module.latent.weight_at(progress))
            n_rows += size
            if clip is not None:
                self.stepper.clip(clip)
            rates = {}
            for place in self.active:
                rates[self.in_step.index(place)] = self.runs[place].learning_rate()
                self.runs[place].step += 1
            self.stepper.descend(rates)
        means = (total / n_rows).tolist()
        return dict(zip(self.in_step, means, strict=True))

    def _next_batch(self) -> Batch:
        """Return the next batch of each model, stacked; the same as in a separate training."""
        if not self.waiting and not self.ready:
            orders = [
                places[torch.randperm(len(places), generator=run.generator)]
                for places, run in zip(self.places, self.runs, strict=True)
            ]
            split = balanced_split(torch.arange(len(orders[0])), self.batch_size)
            sizes = [len(index) for index in split]
            self.waiting = list(torch.split(torch.stack(orders), sizes, 1))[::-1]
        if not self.ready:
            n_models = len(self.in_step)
            some = self.waiting[-self.rows.at_once(n_models * self.batch_size) :]
            del self.waiting[-len(some) :]
            found = self.rows.gathered([index[self.in_step].flatten() for index in some])
            self.ready = [_split_by_model(batch, n_models) for batch in found]
        return self.ready.pop()


def _split_by_model(batch: Batch, n_models: int) -> Batch:
    """Move the rows of each model, which are consecutive, to a separate first axis."""
    return batch_of(batch, [t.view(n_models, -1, *t.shape[1:]) for t in tensors_of(batch)])


def _of_models(batch: Batch, members: list[int]) -> Batch:
    """Return the batches of some models."""
    return batch_of(batch, [tensor[members] for tensor in tensors_of(batch)])


def _no_chunks(*_: int) -> Iterator[TrainingData]:
    return iter(())


def _placeholder_rows(rows: TrainingData, places: Tensor) -> StreamedData:
    """Return training rows without batches, because the group gathers the batches of its models."""
    sample = rows.select(places[:_SAMPLE_ROWS])
    return StreamedData(len(places), _no_chunks, lambda _: [len(places)], sample)


@flushing_denormals()
def train_group(
    engine: TrainingEngine,
    modules: Sequence[AutoencoderModule],
    rows: TrainingData,
    sides: Sequence[tuple[Tensor, Tensor]],
    options: Sequence[TrainingOptions],
    callbacks: Iterable[Callback] = (),
    corruption: Callable[..., Any] | None = None,
) -> list[Trained]:
    """Train models at once, each on its own rows, and return their best weights.

    Each model is evaluated, stopped early and rolled back separately, as by ``train``.

    Parameters
    ----------
    engine : TrainingEngine
        Engine that takes the steps.
    modules : sequence of AutoencoderModule
        Modules for which ``can_group`` returns True, trained in place. They may differ in the size
        of the code.
    rows : TrainingData
        All rows.
    sides : sequence of (Tensor, Tensor)
        For each model, the indices of its training rows and of its validation rows. All models have
        the same number of training rows.
    options : sequence of TrainingOptions
        Options of each model, which differ in the seed only.
    callbacks : iterable of Callback, default=()
        Called at the evaluations of the most advanced model.
    corruption : callable or None, default=None
        Function that changes the inputs of every training batch.

    Returns
    -------
    list of Trained
        Result of each model.

    Raises
    ------
    CannotRecord
        If the step cannot be recorded, or padding changes a loss. The modules must then be created
        again.
    DivergenceError
        If the loss of a model diverges more than three times.
    """
    group = _Group(engine, modules, rows, sides, options, corruption)
    callbacks = [*callbacks, *context_callbacks()]
    for callback in callbacks:
        callback.on_train_begin(options[0].n_steps)
    try:
        group.train(callbacks)
    except KeyboardInterrupt:
        group.end_early("interrupted")
    except OutOfTime:
        group.end_early("time limit")
    finally:
        group.stepper.release()
        for callback in callbacks:
            callback.on_train_end(group.runs[0].history)
    for run in group.runs:
        run.history.steps = f"recorded, {len(modules)} models at once"
        run.restore_best()
    return [Trained(run.best_weights, run.history, {}) for run in group.runs]
