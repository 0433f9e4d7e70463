"""An ONNX graph under construction, whose values are combined by operators of Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from latently.export._onnx import import_onnx

#: Versions of the operators, and of the file format, which onnxruntime 1.22 reads.
_OPSET, _ML_OPSET, _IR_VERSION = 21, 3, 10
_ML = "ai.onnx.ml"
#: Beginning of the names of values inside the graph.
INNER = "/"


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the graph.

    Parameters
    ----------
    graph : Graph
        The graph.
    name : str
        Its name in the graph.
    dtype : dtype
        Type of the elements, ``object`` for texts.
    """

    graph: Graph
    name: str
    dtype: np.dtype[Any]

    def __add__(self, other: Value | float | np.ndarray) -> Value:
        return self._with("Add", other)

    def __sub__(self, other: Value | float | np.ndarray) -> Value:
        return self._with("Sub", other)

    def __mul__(self, other: Value | float | np.ndarray) -> Value:
        return self._with("Mul", other)

    def __truediv__(self, other: Value | float | np.ndarray) -> Value:
        return self._with("Div", other)

    def __matmul__(self, other: Value | np.ndarray) -> Value:
        return self._with("MatMul", other)

    def __mod__(self, other: Value | float | np.ndarray) -> Value:
        return self._with("Mod", other)

    def __neg__(self) -> Value:
        return self._apply("Neg")

    def __lt__(self, other: Value | float | np.ndarray) -> Value:  # type: ignore[misc]
        return self._compared("Less", other)

    def __le__(self, other: Value | float | np.ndarray) -> Value:  # type: ignore[misc]
        return self._compared("LessOrEqual", other)

    def __gt__(self, other: Value | float | np.ndarray) -> Value:  # type: ignore[misc]
        return self._compared("Greater", other)

    def __ge__(self, other: Value | float | np.ndarray) -> Value:  # type: ignore[misc]
        return self._compared("GreaterOrEqual", other)

    def equals(self, other: Value | float | np.ndarray) -> Value:
        """Return True where the elements are equal."""
        return self._compared("Equal", other)

    def __and__(self, other: Value | np.ndarray) -> Value:
        return self._with("And", other)

    def __or__(self, other: Value | np.ndarray) -> Value:
        return self._with("Or", other)

    def __invert__(self) -> Value:
        return self._apply("Not")

    def maximum(self, other: Value | float | np.ndarray) -> Value:
        """Return the larger of two elements."""
        return self._with("Max", other)

    def minimum(self, other: Value | float | np.ndarray) -> Value:
        """Return the smaller of two elements."""
        return self._with("Min", other)

    def exp(self) -> Value:
        """Return the exponential of each element."""
        return self._apply("Exp")

    def log(self) -> Value:
        """Return the natural logarithm of each element."""
        return self._apply("Log")

    def sqrt(self) -> Value:
        """Return the square root of each element."""
        return self._apply("Sqrt")

    def abs(self) -> Value:
        """Return the absolute value of each element."""
        return self._apply("Abs")

    def sign(self) -> Value:
        """Return -1, 0 or 1 for each element."""
        return self._apply("Sign")

    def floor(self) -> Value:
        """Return each element, rounded down."""
        return self._apply("Floor")

    def round(self) -> Value:
        """Return each element, rounded to the nearest integer, halves to the even one."""
        return self._apply("Round")

    def sin(self) -> Value:
        """Return the sine of each element."""
        return self._apply("Sin")

    def cos(self) -> Value:
        """Return the cosine of each element."""
        return self._apply("Cos")

    def tanh(self) -> Value:
        """Return the hyperbolic tangent of each element."""
        return self._apply("Tanh")

    def sigmoid(self) -> Value:
        """Return the logistic function of each element."""
        return self._apply("Sigmoid")

    def relu(self) -> Value:
        """Return each element, zero where it is negative."""
        return self._apply("Relu")

    def square(self) -> Value:
        """Return the square of each element."""
        return self * self

    def arcsinh(self) -> Value:
        """Return the inverse hyperbolic sine, log(|x| + sqrt(x^2 + 1)) with the sign of x."""
        size = self.abs()
        return self.sign() * (size + (size.square() + 1.0).sqrt()).log()

    def is_nan(self) -> Value:
        """Return True where an element is not a number."""
        return self.graph.apply("IsNaN", self, dtype=np.bool_)

    def cast(self, dtype: Any) -> Value:
        """Return the elements as another type."""
        kind = np.dtype(dtype)
        if kind == self.dtype:
            return self
        to = import_onnx().helper.np_dtype_to_tensor_dtype(kind)
        return self.graph.apply("Cast", self, dtype=kind, to=to)

    def sum(self, axis: int = 1, *, keep: bool = False) -> Value:
        """Return the sums over an axis."""
        return self._reduced("ReduceSum", axis, keep)

    def max(self, axis: int = 1, *, keep: bool = False) -> Value:
        """Return the maxima over an axis."""
        return self._reduced("ReduceMax", axis, keep)

    def min(self, axis: int = 1, *, keep: bool = False) -> Value:
        """Return the minima over an axis."""
        return self._reduced("ReduceMin", axis, keep)

    def mean(self, axes: int | Sequence[int] = 1, *, keep: bool = False) -> Value:
        """Return the means over one axis or several."""
        return self._reduced("ReduceMean", axes, keep)

    def any(self, axis: int = 1) -> Value:
        """Return True where any element along an axis is true."""
        # The maximum of no row is not defined, and the sum is zero.
        return self.cast(np.float32).sum(axis) > 0.5

    def all(self, axis: int = 1) -> Value:
        """Return True where all elements along an axis are true."""
        return ~(~self).any(axis)

    def argmax(self, axis: int = 1) -> Value:
        """Return the position of the first maximum along an axis."""
        return self.graph.apply("ArgMax", self, dtype=np.int64, axis=axis, keepdims=0)

    def softmax(self, axis: int = -1) -> Value:
        """Return the exponentials divided by their sum along an axis."""
        return self._apply("Softmax", axis=axis)

    def reshape(self, *shape: int) -> Value:
        """Return the elements in another shape, with one length of -1."""
        return self._apply("Reshape", np.array(shape, dtype=np.int64))

    def transposed(self, *axes: int) -> Value:
        """Return the tensor with its axes in another order."""
        return self._apply("Transpose", perm=list(axes))

    def expanded(self, axis: int) -> Value:
        """Return the tensor with a new axis of length one."""
        return self._apply("Unsqueeze", np.array([axis], dtype=np.int64))

    def columns(self, start: int, stop: int, axis: int = 1) -> Value:
        """Return the elements from ``start`` to ``stop`` along an axis."""
        bounds = (np.array([bound], dtype=np.int64) for bound in (start, stop, axis))
        return self._apply("Slice", *bounds)

    def take(self, places: Value | np.ndarray, axis: int = 0) -> Value:
        """Return the elements at ``places`` along an axis."""
        return self._apply("Gather", places, axis=axis)

    def length(self) -> Value:
        """Return the length of the first axis, as a tensor of one element."""
        return self.graph.apply("Shape", self, dtype=np.int64, start=0, end=1)

    def _with(self, operator: str, other: Value | float | np.ndarray) -> Value:
        return self._apply(operator, self._alike(other))

    def _compared(self, operator: str, other: Value | float | np.ndarray) -> Value:
        return self.graph.apply(operator, self, self._alike(other), dtype=np.bool_)

    def _alike(self, other: Value | float | np.ndarray) -> Value | np.ndarray:
        return other if isinstance(other, Value) else np.asarray(other).astype(self.dtype)

    def _reduced(self, operator: str, axes: int | Sequence[int], keep: bool) -> Value:
        places = np.atleast_1d(np.asarray(axes, dtype=np.int64))
        return self._apply(operator, places, keepdims=int(keep))

    def _apply(self, operator: str, *others: Value | np.ndarray, **attributes: Any) -> Value:
        return self.graph.apply(operator, self, *others, **attributes)


@dataclass
class Graph:
    """A graph of plain ONNX operators.

    Nodes are added to the innermost open body, so that a function that builds nodes can be used
    both in the graph and in the body of a scan. Equal constants are stored once.
    """

    inputs: list[Any] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    _bodies: list[list[Any]] = field(default_factory=lambda: [[]])
    _stored: list[Any] = field(default_factory=list)
    _constants: dict[tuple[str, tuple[int, ...], bytes], Value] = field(default_factory=dict)
    _n_values: int = 0

    def add_input(self, name: str, dtype: Any, shape: Sequence[int | str]) -> Value:
        """Add an input of the graph.

        Parameters
        ----------
        name : str
            Name of the input.
        dtype : dtype
            Type of its elements, ``object`` for texts.
        shape : sequence of int or str
            Length of each axis, a name for a length that may vary.
        """
        value = Value(self, name, np.dtype(dtype))
        self.inputs.append(_described(name, value.dtype, shape))
        return value

    def add_default(self, name: str, default: np.ndarray) -> Value:
        """Add an optional input with a default value."""
        self._stored.append(import_onnx().numpy_helper.from_array(default, name))
        return self.add_input(name, default.dtype, default.shape)

    def add_output(self, name: str, value: Value, shape: Sequence[int | str]) -> None:
        """Name a value as an output of the graph."""
        onnx = import_onnx()
        self._bodies[-1].append(onnx.helper.make_node("Identity", [value.name], [name]))
        self.outputs.append(_described(name, value.dtype, shape))

    def constant(self, array: np.ndarray) -> Value:
        """Return a constant. Texts are arrays of objects."""
        array = np.asarray(array)
        key = str(array.dtype), array.shape, _bytes_of(array)
        if key not in self._constants:
            value = self._new(array.dtype)
            self._stored.append(_tensor(array, value.name))
            self._constants[key] = value
        return self._constants[key]

    def apply(
        self,
        operator: str,
        *inputs: Value | np.ndarray | None,
        dtype: Any = None,
        domain: str = "",
        n_outputs: int = 1,
        output: int = 0,
        **attributes: Any,
    ) -> Value:
        """Add a node and return one of its outputs.

        Parameters
        ----------
        operator : str
            Name of the ONNX operator.
        *inputs : Value, ndarray or None
            Inputs, of which arrays become constants and None is left out.
        dtype : dtype or None, default=None
            Type of the output. None means the type of the first input.
        domain : str, default=""
            Domain of the operator.
        n_outputs : int, default=1
            Number of its outputs.
        output : int, default=0
            Position of the output that is returned.
        **attributes : object
            Attributes of the node.
        """
        given = [self.constant(i) if isinstance(i, np.ndarray) else i for i in inputs]
        first = next(value for value in given if value is not None)
        result = self._new(first.dtype if dtype is None else np.dtype(dtype))
        results = [self._new(first.dtype).name for _ in range(n_outputs)]
        results[output] = result.name
        node = import_onnx().helper.make_node(
            operator, ["" if value is None else value.name for value in given], results,
            domain=domain, **attributes,
        )  # fmt: skip
        self._bodies[-1].append(node)
        return result

    def where(
        self, condition: Value, first: Value | np.ndarray, second: Value | np.ndarray
    ) -> Value:
        """Return elements of ``first`` where the condition is true, else those of ``second``."""
        kind = first.dtype if isinstance(first, np.ndarray | Value) else None
        return self.apply("Where", condition, first, second, dtype=kind)

    def concat(self, values: Sequence[Value], axis: int = 1) -> Value:
        """Return tensors joined along an axis."""
        return values[0] if len(values) == 1 else self.apply("Concat", *values, axis=axis)

    def look_up(self, texts: Value, known: Sequence[str], missing: str) -> Value:
        """Return the index of each text, ``len(known)`` for unknown ones and -1 for ``missing``."""
        return self.apply(
            "LabelEncoder", texts, dtype=np.int64, domain=_ML, keys_strings=[*known, missing],
            values_int64s=[*range(len(known)), -1], default_int64=len(known),
        )  # fmt: skip

    def by_chunks(
        self,
        values: Sequence[Value],
        n_rows: int,
        build: Callable[[list[Value]], list[Value]],
    ) -> list[Value]:
        """Compute chunks of rows one after another, which bounds the memory.

        Parameters
        ----------
        values : sequence of Value
            Tensors with one entry per row along their first axis.
        n_rows : int
            Largest number of rows of a chunk. All chunks of a batch are equally long.
        build : callable
            Adds the nodes for some rows, and returns tensors with one entry per row.

        Returns
        -------
        list of Value
            The results for all rows.
        """
        onnx = import_onnx()
        length = values[0].length()
        n_chunks = ((length + (n_rows - 1)) / n_rows).maximum(1)
        size = (length + n_chunks - 1) / n_chunks
        split = [self._split(value, length, n_chunks, size) for value in values]
        with self._body() as nodes:
            inside = [self._new(value.dtype) for value in values]
            results = build(inside)
            ends = [self.apply("Identity", result) for result in results]
        body = onnx.helper.make_graph(
            nodes, "chunk", [_described(v.name, v.dtype) for v in inside],
            [_described(v.name, v.dtype) for v in ends],
        )  # fmt: skip
        outputs = [self._new(end.dtype) for end in ends]
        node = onnx.helper.make_node(
            "Scan", [v.name for v in split], [v.name for v in outputs], body=body,
            num_scan_inputs=len(split),
        )  # fmt: skip
        self._bodies[-1].append(node)
        return [self._joined(output, length) for output in outputs]

    def choose(
        self, condition: Value, first: Callable[[], Value], second: Callable[[], Value]
    ) -> Value:
        """Return the value of one of two functions, of which only the chosen one is computed.

        Parameters
        ----------
        condition : Value of bool, of one element
            True chooses the first.
        first, second : callable
            Add the nodes of a branch and return its value. Both values have one type.
        """
        onnx = import_onnx()
        branches, kind = [], None
        for name, build in (("first", first), ("second", second)):
            with self._body() as nodes:
                value = build()
                end = self.apply("Identity", value)
            kind = value.dtype
            branches.append(onnx.helper.make_graph(nodes, name, [], [_described(end.name, kind)]))
        output = self._new(kind)
        node = onnx.helper.make_node(
            "If", [condition.name], [output.name], then_branch=branches[0],
            else_branch=branches[1],
        )  # fmt: skip
        self._bodies[-1].append(node)
        return output

    def _split(self, value: Value, length: Value, n_chunks: Value, size: Value) -> Value:
        """Return rows as (n_chunks, size, ...), with the last row repeated."""
        stop = (n_chunks * size).reshape()
        places = self.apply("Range", np.array(0), stop, np.array(1))
        rows = value.take(places.minimum((length - 1).maximum(0)))
        rest = self.apply("Shape", value, dtype=np.int64, start=1)
        shape = self.concat([n_chunks, size, rest], axis=0)
        return self.apply("Reshape", rows, shape, allowzero=1)

    def _joined(self, chunks: Value, length: Value) -> Value:
        """Return chunks as rows without the repeated ones."""
        shape = self.apply("Shape", chunks, dtype=np.int64)
        n_rows = shape.columns(0, 1, axis=0) * shape.columns(1, 2, axis=0)
        rest = self.apply("Shape", chunks, dtype=np.int64, start=2)
        rows = self.apply("Reshape", chunks, self.concat([n_rows, rest], axis=0), allowzero=1)
        return self.apply("Slice", rows, np.array([0]), length, np.array([0]))

    def to_model(self, name: str, notes: dict[str, str]) -> Any:
        """Return the ONNX model, checked.

        Parameters
        ----------
        name : str
            Name of the graph.
        notes : dict of str to str
            Entries of the metadata.
        """
        onnx = import_onnx()
        graph = onnx.helper.make_graph(
            self._bodies[0], name, self.inputs, self.outputs, initializer=self._stored
        )
        opsets = [
            onnx.helper.make_opsetid("", _OPSET), onnx.helper.make_opsetid(_ML, _ML_OPSET)
        ]  # fmt: skip
        model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
        onnx.helper.set_model_props(model, notes)
        onnx.checker.check_model(model)
        return model

    @contextmanager
    def _body(self) -> Iterator[list[Any]]:
        self._bodies.append([])
        try:
            yield self._bodies[-1]
        finally:
            self._bodies.pop()

    def _new(self, dtype: Any) -> Value:
        self._n_values += 1
        return Value(self, f"{INNER}{self._n_values}", np.dtype(dtype))


def _described(name: str, dtype: np.dtype[Any], shape: Sequence[int | str] | None = None) -> Any:
    helper, types = import_onnx().helper, import_onnx().TensorProto
    kind = types.STRING if dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, shape)


def _tensor(array: np.ndarray, name: str) -> Any:
    onnx = import_onnx()
    if array.dtype.kind != "O":
        return onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
    texts = [text.encode() for text in array.ravel()]
    return onnx.helper.make_tensor(name, onnx.TensorProto.STRING, array.shape, texts)


def _bytes_of(array: np.ndarray) -> bytes:
    return "\0".join(array.ravel()).encode() if array.dtype.kind == "O" else array.tobytes()
