"""Layers of torch as nodes of a graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor, nn

from latently.exceptions import ParameterError
from latently.export._graph import Value
from latently.nn import PathSum
from latently.nn.images import Residual, Resize, UNet
from latently.nn.variants import Atoms, Scaled


def apply_layer(layer: nn.Module, values: Value) -> Value:
    """Return the output of a layer, or of a network of layers, in evaluation mode.

    Parameters
    ----------
    layer : Module
        Layer of ``DenseNetwork``, ``ConvNetwork``, ``DictionaryNetwork`` or a U-net, or a
        ``Sequential`` of torch's own layers of these kinds.
    values : Value of shape (n_rows, ...)
        Its input.

    Raises
    ------
    ParameterError
        If a layer has no operators.
    """
    for kinds, build in _LAYERS:
        if isinstance(layer, kinds):
            return build(layer, values)
    known = "Linear, Conv2d, normalisation, pooling and activation layers"
    raise ParameterError(
        f"network must consist of layers that ONNX has, got {type(layer).__name__}. Use {known}."
    )


def weights(tensor: Tensor, like: Value) -> np.ndarray:
    """Return a parameter in the precision of a value."""
    array: np.ndarray = tensor.detach().cpu().double().numpy().astype(like.dtype)
    return array


def _sequence(layer: nn.Module, values: Value) -> Value:
    for part in layer.children():
        values = apply_layer(part, values)
    return values


def _same(layer: nn.Module, values: Value) -> Value:
    return values


def _flatten(layer: nn.Module, values: Value) -> Value:
    return values.graph.apply("Flatten", values, axis=1)


def _unflatten(layer: Any, values: Value) -> Value:
    size: tuple[int, ...] = tuple(layer.unflattened_size)
    return values.reshape(-1, *size)


def _sum(layer: Any, values: Value) -> Value:
    first, *rest = (apply_layer(path, values) for path in layer.paths)
    for part in rest:
        first = first + part
    return first


def _linear(layer: Any, values: Value) -> Value:
    product = values @ weights(layer.weight.T, values)
    return product if layer.bias is None else product + weights(layer.bias, values)


def _scaled(layer: Any, values: Value) -> Value:
    return _linear(layer, _flatten(layer, values) / float(layer.scale))


def _atoms(layer: Any, code: Value) -> Value:
    rows = code @ weights(layer.weight, code) + weights(layer.bias, code)
    return rows * float(layer.scale)


def _gelu(layer: nn.Module, values: Value) -> Value:
    # Operators have no error function in double precision.
    inner = (values / math.sqrt(2)).cast(np.float32)
    error = values.graph.apply("Erf", inner).cast(values.dtype)
    return values * (error + 1.0) * 0.5


def _elu(layer: nn.Module, values: Value) -> Value:
    below = values.minimum(0.0).exp() - 1.0
    return values.graph.where(values > 0.0, values, below)


def _layer_norm(layer: Any, values: Value) -> Value:
    centered = values - values.mean(keep=True)
    variance = centered.square().mean(keep=True)
    normal = centered / (variance + float(layer.eps)).sqrt()
    return normal * weights(layer.weight, values) + weights(layer.bias, values)


def _batch_norm(layer: Any, values: Value) -> Value:
    scale: np.ndarray = weights(layer.weight / (layer.running_var + layer.eps).sqrt(), values)
    shift: np.ndarray = weights(layer.bias, values) - weights(layer.running_mean, values) * scale
    if isinstance(layer, nn.BatchNorm2d):
        scale, shift = scale[:, None, None], shift[:, None, None]
    return values * scale + shift


def _group_norm(layer: Any, values: Value) -> Value:
    graph, n_groups = values.graph, layer.num_groups
    shape = graph.apply("Shape", values, dtype=np.int64)
    groups = graph.apply("Reshape", values, np.array([0, n_groups, -1]))
    centered = groups - groups.mean(2, keep=True)
    normal = centered / (centered.square().mean(2, keep=True) + float(layer.eps)).sqrt()
    maps = graph.apply("Reshape", normal, shape)
    scale, shift = (weights(part, values)[:, None, None] for part in (layer.weight, layer.bias))
    return maps * scale + shift


def _convolution(layer: Any, values: Value) -> Value:
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        raise ParameterError(
            f"padding must be a number with zeros to be exported, got {layer.padding!r} with "
            f"{layer.padding_mode!r}. Use padding=1."
        )
    given = values.cast(np.float32)  # onnxruntime has no convolution in double precision
    bias = None if layer.bias is None else weights(layer.bias, given)
    maps = values.graph.apply(
        "Conv", given, weights(layer.weight, given), bias,
        kernel_shape=list(layer.kernel_size), strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding], dilations=list(layer.dilation), group=layer.groups,
    )  # fmt: skip
    return maps.cast(values.dtype)


def _transposed_convolution(layer: Any, values: Value) -> Value:
    given = values.cast(np.float32)
    bias = None if layer.bias is None else weights(layer.bias, given)
    maps = values.graph.apply(
        "ConvTranspose", given, weights(layer.weight, given), bias,
        kernel_shape=list(layer.kernel_size), strides=list(layer.stride),
        pads=[*layer.padding, *layer.padding],
    )  # fmt: skip
    return maps.cast(values.dtype)


def _pool(layer: Any, values: Value) -> Value:
    return values.graph.apply(
        "MaxPool", values, kernel_shape=[layer.kernel_size] * 2, strides=[layer.stride] * 2,
        ceil_mode=int(layer.ceil_mode),
    )  # fmt: skip


def _resize(layer: Any, values: Value) -> Value:
    maps = values.graph.apply(
        "Resize", values.cast(np.float32), None, None, np.array([*layer.size]), mode="nearest",
        axes=[2, 3], coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip
    return maps.cast(values.dtype)


def _residual(layer: Any, values: Value) -> Value:
    return apply_layer(layer.bend, values + apply_layer(layer.path, values))


def unet(layer: UNet, images: Value) -> Value:
    """Return images of the same size, computed from feature maps of several sizes."""
    graph = images.graph
    size = graph.apply("Shape", images, dtype=np.int64, start=2)
    lacking = (-size) % layer.grain
    none = graph.constant(np.zeros(4, dtype=np.int64))
    pads = graph.concat([none, graph.constant(np.zeros(2, np.int64)), lacking], axis=0)
    maps = bottom(layer, graph.apply("Pad", images, pads, mode="edge"))
    output = maps.pop()
    for grow, join in zip(layer.up, layer.join, strict=True):
        output = apply_layer(join, graph.concat([apply_layer(grow, output), maps.pop()]))
    whole = apply_layer(layer.last, output)
    return graph.apply("Slice", whole, np.zeros(2, np.int64), size, np.array([2, 3]))


def bottom(layer: UNet, images: Value) -> list[Value]:
    """Return the feature maps of a U-net at every size, by decreasing size."""
    maps = [apply_layer(layer.first, images)]
    for halve in layer.down:
        maps.append(apply_layer(halve, maps[-1]))
    return maps


_Build = Callable[[Any, Value], Value]
_LAYERS: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], _Build], ...] = (
    (Scaled, _scaled),
    (Atoms, _atoms),
    (PathSum, _sum),
    (Resize, _resize),
    (UNet, unet),
    (Residual, _residual),
    (nn.Sequential, _sequence),
    ((nn.Identity, nn.Dropout, nn.Dropout2d), _same),
    (nn.Flatten, _flatten),
    (nn.Unflatten, _unflatten),
    (nn.Linear, _linear),
    (nn.Conv2d, _convolution),
    (nn.ConvTranspose2d, _transposed_convolution),
    (nn.MaxPool2d, _pool),
    ((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm),
    (nn.LayerNorm, _layer_norm),
    (nn.GroupNorm, _group_norm),
    (nn.GELU, _gelu),
    (nn.ReLU, lambda layer, values: values.relu()),
    (nn.SiLU, lambda layer, values: values * values.sigmoid()),
    (nn.ELU, _elu),
    (nn.Tanh, lambda layer, values: values.tanh()),
    (nn.Sigmoid, lambda layer, values: values.sigmoid()),
)
