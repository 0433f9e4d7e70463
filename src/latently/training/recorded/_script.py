"""A recorded computation as a TorchScript function, which runs without Python."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from latently.training.recorded._recording import CannotRecord, Recording

try:
    from torch.jit._fuser import optimized_execution
except ImportError:  # a private name of torch
    optimized_execution = None  # type: ignore[assignment]

#: Codes of dtypes, layouts and memory formats in TorchScript.
_CODES: dict[Any, int] = {
    torch.uint8: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.int64: 4,
    torch.float16: 5, torch.float32: 6, torch.float64: 7, torch.bool: 11, torch.bfloat16: 15,
    torch.strided: 0, torch.contiguous_format: 0, torch.preserve_format: 1, torch.channels_last: 2,
}  # fmt: skip
Script = Callable[..., tuple[Tensor, ...]]

#: Private names of torch that a recorded step needs.
_NAMES = ("_create_function_from_graph", "Graph", "ListType", "OptionalType", "TensorType",
          "TupleType")  # fmt: skip


class UnknownTorch(CannotRecord):
    """This version of torch lacks private names that a recorded step needs."""


def script(recording: Recording) -> Script:
    """Convert a recording to a TorchScript function [1]_.

    Parameters
    ----------
    recording : Recording
        Recording with tensors as inputs and a tuple of tensors as output.

    Returns
    -------
    callable
        Function with the inputs and outputs of the recording.

    Raises
    ------
    CannotRecord
        If the recording has a node that cannot be converted.
    UnknownTorch
        If this version of torch lacks a private name that is needed.

    References
    ----------
    .. [1] DeVito et al. (2018), TorchScript: intermediate representation and interpreter.
    """
    _check_names()
    writer = _Writer()
    try:
        function = torch._C._create_function_from_graph("step", writer.write(recording.graph))
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError) as error:
        raise CannotRecord(str(error).splitlines()[0] if str(error) else repr(error)) from None

    constants = [recording.constants[name] for name in writer.constants]

    def run(*tensors: Tensor) -> tuple[Tensor, ...]:
        # The optimiser would merge products with a common factor, which changes rounding.
        with torch.inference_mode(), optimized_execution(False):
            answers: tuple[Tensor, ...] = function(*tensors, *constants)
        return answers

    return run


def _check_names() -> None:
    lacking = [f"torch._C.{name}" for name in _NAMES if not hasattr(torch._C, name)]
    if optimized_execution is None:
        lacking.append("torch.jit._fuser.optimized_execution")
    if lacking:
        raise UnknownTorch(f"torch {torch.__version__} has no {lacking[0]}")


class _Writer:
    """Converts the nodes of a recording to a TorchScript graph."""

    def __init__(self) -> None:
        self.graph: Any = torch._C.Graph()
        self.values: dict[fx.Node, Any] = {}
        self.constants: list[str] = []

    def write(self, graph: fx.Graph) -> Any:
        for node in graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self.graph.addInput(node.name)
            elif node.op == "get_attr":
                # Constants are additional inputs after the tensors.
                self.values[node] = self.graph.addInput(node.name)
                self.constants.append(str(node.target))
            elif node.op == "output":
                self._write_outputs(node.args[0])
            elif node.op != "call_function":
                raise CannotRecord(f"a {node.op}")
            elif node.target is operator.getitem:
                self.values[node] = self.values[node.args[0]][node.args[1]]
            else:
                self.values[node] = self._call(node)
        return self.graph

    def _call(self, node: fx.Node) -> Any:
        schema = node.target._schema  # type: ignore[union-attr]
        given = [self._argument(node, place, one) for place, one in enumerate(schema.arguments)]
        call = self.graph.insertNode(self.graph.create(schema.name, given, len(schema.returns)))
        outputs = list(call.outputs())
        for value, one in zip(outputs, schema.returns, strict=True):
            value.setType(one.type)
        if len(outputs) > 1:
            return outputs
        return (
            outputs[0]
            if str(schema.returns[0].type) == "Tensor"
            else self._unpack(node, outputs[0])
        )

    def _argument(self, node: fx.Node, place: int, one: Any) -> Any:
        if one.kwarg_only or place >= len(node.args):
            default = one.default_value if one.has_default_value() else None
            return self._value(node.kwargs.get(one.name, default), one.type)
        return self._value(node.args[place], one.type)

    def _value(self, value: Any, kind: Any) -> Any:
        if isinstance(value, fx.Node):
            return self.values[value]
        if isinstance(value, list | tuple):
            if any(isinstance(item, fx.Node) for item in value):
                return self._list([self._value(item, None) for item in value], None in value)
            return self.graph.insertConstant(list(value))
        if isinstance(value, int) and not isinstance(value, bool) and "float" in str(kind):
            value = float(value)
        if isinstance(value, torch.dtype | torch.layout | torch.memory_format):
            value = _CODES[value]
        return self.graph.insertConstant(value)

    def _list(self, values: Sequence[Any], has_gaps: bool) -> Any:
        made = self.graph.insertNode(self.graph.create("prim::ListConstruct", values, 1))
        one: Any = torch._C.TensorType.get()
        kind = torch._C.OptionalType(one) if has_gaps else one
        made.output().setType(torch._C.ListType(kind))
        return made.output()

    def _unpack(self, node: fx.Node, value: Any) -> list[Any]:
        """Return the elements of a tensor list of the recorded length."""
        count = len(node.meta["val"])
        parts = self.graph.insertNode(self.graph.create("prim::ListUnpack", [value], count))
        return list(parts.outputs())

    def _write_outputs(self, nodes: Sequence[fx.Node]) -> None:
        values = [self.values[node] for node in nodes]
        made = self.graph.insertNode(self.graph.create("prim::TupleConstruct", values, 1))
        made.output().setType(torch._C.TupleType([torch._C.TensorType.get()] * len(values)))
        self.graph.registerOutput(made.output())
