"""Simplification of a recorded computation.

Every rule keeps all results to the bit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx

from latently.training.recorded._recording import Recording

_ATEN = torch.ops.aten
#: Operations that matter for autograd only.
_AUTOGRAD_NODES = (_ATEN.detach.default, _ATEN.alias.default)
_COPY = _ATEN._to_copy.default
#: Operations that create a constant tensor in the shape of another one, with its value.
_FILLED = {
    _ATEN.ones_like.default: 1.0,
    _ATEN.zeros_like.default: 0.0,
    _ATEN.new_ones.default: 1.0,
    _ATEN.new_zeros.default: 0.0,
}
_WITH_NUMBERS = tuple(getattr(_ATEN, name).Tensor for name in ("add", "sub", "mul", "div"))
_VIEWS = (_ATEN.view.default, _ATEN._unsafe_view.default, _ATEN.expand.default)
_TRANSPOSES = (_ATEN.t.default, _ATEN.transpose.int)


def simplify(recording: Recording) -> None:
    """Remove operations without arithmetic, and operations with the same result in every step.

    Parameters
    ----------
    recording : Recording
        Recording that is changed in place.
    """
    _remove_autograd_nodes(recording.graph)
    _remove_double_transposes(recording.graph)
    _remove_identity_views(recording.graph)
    _hold_numbers(recording)
    _fold_constants(recording)
    recording.graph.eliminate_dead_code(_must_stay)


def write_outputs(recording: Recording) -> list[int]:
    """Write outputs that are matrix products or sums over rows into given tensors.

    Parameters
    ----------
    recording : Recording
        Simplified recording, changed in place. It gets an additional input for each of these
        outputs, into which the output is written.

    Returns
    -------
    list of int
        Indices of these outputs, in the order of the additional inputs.
    """
    graph = recording.graph
    last = graph.find_nodes(op="placeholder")[-1]
    outputs: Any = graph.output_node().args[0]
    written = []
    for place, node in enumerate(outputs):
        if outputs.count(node) > 1 or (call := _call_with_output(node)) is None:
            continue
        with graph.inserting_after(last):
            last = graph.placeholder(f"into_{place}")
        with graph.inserting_before(node):
            direct = graph.call_function(*call, {"out": last})
        direct.meta = dict(node.meta)
        _replace(node, direct)
        written.append(place)
    graph.eliminate_dead_code(_must_stay)
    return written


def _call_with_output(node: fx.Node) -> tuple[Any, tuple[Any, ...]] | None:
    """Return the function and arguments that write the output of a node into ``out``, or None."""
    if len(node.users) > 1:
        return None
    if node.target == _ATEN.mm.default:
        return _ATEN.mm.out, node.args
    summed: Any = node.args[0] if node.target == _ATEN.view.default else None
    if summed is None or summed.target != _ATEN.sum.dim_IntList or summed.args[1:] != ([0], True):
        return None
    # The gradient of a bias: the sum over the rows with keepdim, and a view without that axis.
    is_plain = summed.meta["val"].shape[1:] == node.meta["val"].shape
    return (_ATEN.sum.IntList_out, (summed.args[0], [0])) if is_plain else None


def _remove_autograd_nodes(graph: fx.Graph) -> None:
    for node in graph.find_nodes(op="call_function", target=_COPY):
        # A scalar that is converted to a tensor by a copy can be used as it is.
        if not isinstance(node.args[0], fx.Node):
            _replace(node, node.args[0])
    for mark in _AUTOGRAD_NODES:
        for node in graph.find_nodes(op="call_function", target=mark):
            _replace(node, node.args[0])


def _remove_double_transposes(graph: fx.Graph) -> None:
    """Replace a transpose of a transpose by the matrix."""
    for node in graph.nodes:
        inner = node.args[0] if node.args else None
        if (
            node.target in _TRANSPOSES
            and isinstance(inner, fx.Node)
            and (inner.target, inner.args[1:]) == (node.target, node.args[1:])
        ):
            node.replace_all_uses_with(inner.args[0])


def _remove_identity_views(graph: fx.Graph) -> None:
    """Replace a view with the shape and strides of its input by the input."""
    for node in graph.nodes:
        if node.target in _VIEWS:
            shown, given = node.meta["val"], node.args[0].meta["val"]
            if (shown.shape, shown.stride()) == (given.shape, given.stride()):
                node.replace_all_uses_with(node.args[0])


def _hold_numbers(recording: Recording) -> None:
    """Store scalar operands of arithmetic as constant tensors."""
    for node in recording.graph.nodes:
        like = node.meta.get("val")
        if node.target not in _WITH_NUMBERS or isinstance(node.args[1], fx.Node):
            continue
        if like.is_floating_point() and like.dtype == node.args[0].meta["val"].dtype:
            with recording.graph.inserting_before(node):
                number = recording.hold(like.new_tensor(node.args[1]))
            node.update_arg(1, number)


def _fold_constants(recording: Recording) -> None:
    """Evaluate subgraphs that depend on shapes only, such as the gradient of a mean."""
    known: dict[fx.Node, Tensor] = {}
    for node in recording.graph.nodes:
        if node.op != "call_function" or not isinstance(node.meta.get("val"), Tensor):
            continue
        value = _constant(node, known)
        if value is not None and not any(_is_mutating(user) for user in node.users):
            known[node] = value
    for node in recording.graph.nodes:
        if node not in known and node.target == _ATEN.add.Tensor and len(node.args) == 2:
            _remove_zero_summand(node, known)
    for node, value in known.items():
        if any(user not in known for user in node.users):
            with recording.graph.inserting_before(node):
                held = recording.hold(value.contiguous(), like=node)
            node.replace_all_uses_with(held, delete_user_cb=lambda user: user not in known)


def _constant(node: fx.Node, known: dict[fx.Node, Tensor]) -> Tensor | None:
    """Return the value of a node if it is the same in every step, else None."""
    like: Tensor = node.meta["val"]
    if node.target in _FILLED:
        return torch.full(like.shape, _FILLED[node.target], dtype=like.dtype, device=like.device)
    if _is_zero_product(node, known):
        return torch.zeros(like.shape, dtype=like.dtype, device=like.device)
    inputs = node.all_input_nodes
    if not inputs or not all(one in known for one in inputs) or _is_mutating(node):
        return None
    target: Any = node.target
    if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()):
        return None
    args = fx.node.map_arg(node.args, lambda one: known[one])
    kwargs = fx.node.map_arg(node.kwargs, lambda one: known[one])
    value = target(*args, **kwargs)
    return value if isinstance(value, Tensor) else None


def _is_zero_product(node: fx.Node, known: dict[fx.Node, Tensor]) -> bool:
    """Return True for a product of constant zeros and a scalar input, such as a penalty weight."""
    if node.target != _ATEN.mul.Tensor:
        return False
    parts = [one for one in node.args if isinstance(one, fx.Node)]
    zeros = [one for one in parts if one in known and not known[one].any()]
    numbers = [one for one in parts if one.op == "placeholder" and one.meta["val"].ndim == 0]
    return len(parts) == 2 and len(zeros) == 1 and len(numbers) == 1


def _remove_zero_summand(node: fx.Node, known: dict[fx.Node, Tensor]) -> None:
    """Replace a sum with zeros by the other summand."""
    for one, other in (node.args, node.args[::-1]):
        is_zero = isinstance(one, fx.Node) and one in known and not known[one].any()
        if is_zero and isinstance(other, fx.Node) and _have_same_form(node, other):
            node.replace_all_uses_with(other)
            return


def _have_same_form(one: fx.Node, other: fx.Node) -> bool:
    first, second = one.meta["val"], other.meta["val"]
    return bool(first.shape == second.shape and first.dtype == second.dtype)


def _is_mutating(node: fx.Node) -> bool:
    """Return True if a node changes its inputs."""
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable)


def _must_stay(node: fx.Node) -> bool:
    """Return True for a node that must be kept although no other node uses it."""
    return node.op in ("placeholder", "output") or _is_mutating(node)


def _replace(node: fx.Node, value: Any) -> None:
    node.replace_all_uses_with(value)
    node.graph.erase_node(node)
