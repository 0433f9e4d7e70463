"""Recording of a computation as a graph of ATen operations."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode


class CannotRecord(Exception):
    """The computation has an operation that cannot be recorded or replayed."""


class Recording(NamedTuple):
    """A graph of operations and the constant tensors that it reads.

    The value of a node during recording is its ``meta["val"]``.

    Attributes
    ----------
    graph : torch.fx.Graph
        Operations with placeholders for the inputs.
    constants : dict of str to Tensor
        Tensors that are not inputs, by the target of their node.
    """

    graph: fx.Graph
    constants: dict[str, Tensor]

    def hold(self, value: Tensor, like: fx.Node | None = None) -> fx.Node:
        """Add a constant at the current insertion point of the graph and return its node."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = value
        node = self.graph.get_attr(name)
        node.meta["val"] = value if like is None else like.meta["val"]
        return node


def record(compute: Callable[..., Sequence[Tensor]], tensors: Sequence[Tensor]) -> Recording:
    """Run a computation once and record its operations, including those of derivatives.

    Parameters
    ----------
    compute : callable
        Function from tensors to tensors. It is run, so that it may change its arguments.
    tensors : sequence of Tensor
        Inputs. The recording is valid for their shapes and dtypes.

    Returns
    -------
    Recording
        The operations below autograd and vmap, in the order of their calls.

    Raises
    ------
    CannotRecord
        If the output or the shape of an operation depends on values in a way that a graph cannot
        express.
    """
    recorder = _Recorder(tensors)
    with _without_cast_cache(), recorder:
        answers = compute(*tensors)
    recorder.graph.output(tuple(recorder.node_of(one) for one in answers))
    return recorder.recording


@contextmanager
def while_recording(device: torch.device) -> Iterator[None]:
    """Restore the random states after a recording, and raise CannotRecord for any error.

    Parameters
    ----------
    device : torch.device
        Device of the step.

    Raises
    ------
    CannotRecord
        If the recorded code raises an exception.
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
    """Disable the cache of autocast, so that every cast of a weight is recorded."""
    was_enabled = torch.is_autocast_cache_enabled()
    torch.set_autocast_cache_enabled(False)
    try:
        yield
    finally:
        torch.set_autocast_cache_enabled(was_enabled)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch is half typed
    """A dispatch mode that adds a node for each operation.

    ``make_fx`` of torch has more features and is slower.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = fx.Graph()
        self.recording = Recording(self.graph, {})
        self.nodes: dict[int, fx.Node] = {}
        # Keeps tensors alive, so that their ids stay unique.
        self.alive: list[Tensor] = []
        for place, tensor in enumerate(tensors):
            self._note(tensor, self.graph.placeholder(f"input_{place}"))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if _depends_on_values(func, args):
            raise CannotRecord(f"{func} depends on values")
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
        """Return the node of a tensor; an unknown tensor becomes a constant."""
        if id(tensor) not in self.nodes:
            self._note(tensor, self.recording.hold(tensor))
        return self.nodes[id(tensor)]

    def _note(self, tensor: Tensor, node: fx.Node) -> None:
        node.meta["val"] = tensor
        self.nodes[id(tensor)] = node
        self.alive.append(tensor)


def _depends_on_values(func: Any, args: tuple[Any, ...]) -> bool:
    """Return True if the output of an operation depends on values as a graph cannot express."""
    if func is torch.ops.aten.index.Tensor:
        return any(one is not None and one.dtype in (torch.bool, torch.uint8) for one in args[1])
    dynamic = torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape
    return any(tag in func.tags for tag in dynamic)


def _replace_tensors(given: Any, turn: Callable[[Tensor], fx.Node]) -> Any:
    """Return arguments with tensors replaced by nodes."""
    if isinstance(given, Tensor):
        return turn(given)
    if isinstance(given, list | tuple):
        return type(given)([_replace_tensors(one, turn) for one in given])
    if isinstance(given, dict):
        return {name: _replace_tensors(one, turn) for name, one in given.items()}
    return given
