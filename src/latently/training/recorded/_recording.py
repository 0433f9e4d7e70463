"""Recording a computation: which operations of ATen it calls, and on what."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode


class CannotRecord(Exception):
    """The computation has a part that cannot be recorded, or not be replayed."""


class Recording(NamedTuple):
    """A graph of operations, and the tensors that it takes from elsewhere than its inputs.

    The value that a node had when it was recorded is its ``meta["val"]``.
    """

    graph: fx.Graph
    constants: dict[str, Tensor]

    def hold(self, value: Tensor, like: fx.Node | None = None) -> fx.Node:
        """Return a new node of a constant, where nodes are inserted now."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        node = self.graph.get_attr(name)
        node.meta["val"] = value if like is None else like.meta["val"]
        return node


def record(compute: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor]) -> Recording:
    """Run a computation once and note its operations, derivatives included.

    Parameters
    ----------
    compute : callable
        From tensors to tensors. What it writes into the tensors that it is given is written.
    tensors : sequence of Tensor
        Inputs of the shapes that it is recorded for.

    Returns
    -------
    Recording
        Of the operations below autograd and vmap, in their order.

    Raises
    ------
    CannotRecord
        If an operation depends on the numbers otherwise than by arithmetic.
    """
    recorder = _Recorder(tensors)
    with _without_cast_cache(), recorder:
        answers = compute(*tensors)
    recorder.graph.output(tuple(recorder.node_of(one) for one in answers))
    return recorder.recording


@contextmanager
def while_recording(device: torch.device) -> Iterator[None]:
    """Leave no trace of what is drawn while a step is recorded, and say why one cannot be.

    Parameters
    ----------
    device : torch.device
        On which the step is taken.

    Raises
    ------
    CannotRecord
        In the place of whatever a layer raises under a recording.
    """
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        except CannotRecord:
            raise
        except Exception as error:
            reason = str(error).splitlines()
            raise CannotRecord(reason[0] if reason else type(error).__name__) from None


@contextmanager
def _without_cast_cache() -> Iterator[None]:
    """Let no cast of a weight be taken from before."""
    was_enabled = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(was_enabled)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is half typed
    """Writes each operation down as it is called.

    torch's own ``make_fx`` does the same for many more purposes, and takes ten times as long.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = fx.Graph()
        self.recording = Recording(self.graph, {})
        self.nodes: dict[int, fx.Node] = {}
        # As long as a tensor lives, nothing else has its number.
        self.alive: list[Tensor] = []
        for place, tensor in enumerate(tensors):
            self._note(tensor, self.graph.placeholder(f"input_{place}"))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _depends_on_values(func, args):
            raise CannotRecord(f"{func} depends on the numbers")
        given = _replace_tensors((args, kwargs), self.node_of)
        answer = func(*args, **kwargs)
        node = self.graph.create_node("call_function", func, *given)
        if isinstance(answer, Tensor):
            self._note(answer, node)
        else:
            node.meta["val"] = answer
            for place, one in enumerate(answer):
                if isinstance(one, Tensor):
                    self._note(one, self.graph.call_function(operator.getitem, (node, place)))
        return answer

    def node_of(self, tensor: Tensor) -> fx.Node:
        """Return where a tensor comes from; one from elsewhere is a constant from now on."""
        if id(tensor) not in self.nodes:
            self._note(tensor, self.recording.hold(tensor))
        return self.nodes[id(tensor)]

    def _note(self, tensor: Tensor, node: fx.Node) -> None:
        node.meta["val"] = tensor
        self.nodes[id(tensor)] = node
        self.alive.append(tensor)


def _depends_on_values(func: Any, args: tuple[Any, ...]) -> bool:
    """Return True where an answer, or its shape, would be another for other numbers."""
    if func is torch.ops.aten.index.Tensor:
        return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    riddles = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
    return any(tag in func.tags for tag in riddles)


def _replace_tensors(given: Any, turn: Callable[[Tensor], fx.Node]) -> Any:
    """Return arguments with each tensor turned into a node."""
    if isinstance(given, Tensor):
        return turn(given)
    if isinstance(given, list | tuple):
        return type(given)([_replace_tensors(one, turn) for one in given])
    if isinstance(given, dict):
        return {name: _replace_tensors(one, turn) for name, one in given.items()}
    return given
