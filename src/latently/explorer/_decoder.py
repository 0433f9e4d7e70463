"""A dense decoder as a list of layers, which the page evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latently.estimators import fitted_of
from latently.explorer._blob import Blob
from latently.nn import PathSum

#: Largest number of weights in a page.
_MAX_WEIGHTS = 1_000_000
#: Codes on which the layers must return what the model decodes, and their tolerance.
_N_TRIED, _TOLERANCE = 16, 1e-5

Layer = dict[str, Any]
_ACTIVATIONS: dict[type[nn.Module], str] = {
    nn.GELU: "gelu",
    nn.ReLU: "relu",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.Tanh: "tanh",
    nn.Sigmoid: "sigmoid",
}
_IGNORED = (nn.Identity, nn.Dropout, nn.Flatten)


class _Other(Exception):
    """The decoder has a layer that the page cannot evaluate."""


def decoder_of(model: Any, codes: NDArray[np.float64], blob: Blob) -> list[Layer] | None:
    """Return the layers of a dense decoder.

    Parameters
    ----------
    model : autoencoder
        Fitted.
    codes : ndarray of shape (n_samples, n_components)
        Codes on which the layers are compared with the model.
    blob : Blob
        Takes the weights.

    Returns
    -------
    list of dict or None
        None if another kind of layer is needed, or there are too many weights.
    """
    try:
        layers = [*_rotation(model), *_widening(model), *_layers(model.module_.decoder)]
        layers += _likelihood(model.module_.likelihood)
    except _Other:
        return None
    if _n_weights(layers) > _MAX_WEIGHTS or not _agrees(model, layers, codes[:_N_TRIED]):
        return None
    return [_stored(layer, blob) for layer in layers]


def _rotation(model: Any) -> Iterator[Layer]:
    rotation = getattr(model, "rotation_", None)
    if rotation is not None:
        yield {"op": "linear", "weight": rotation.inverse.T, "bias": rotation.center}


def _widening(model: Any) -> Iterator[Layer]:
    """Yield the layer that adds zeros to the codes of an ordered latent."""
    latent = model.module_.latent
    if latent.n_decoded != latent.n_components:
        weight = np.eye(latent.n_decoded, latent.n_components)
        yield {"op": "linear", "weight": weight, "bias": np.zeros(latent.n_decoded)}


def _layers(module: nn.Module) -> Iterator[Layer]:
    name = next((name for kind, name in _ACTIVATIONS.items() if isinstance(module, kind)), None)
    if isinstance(module, nn.Sequential):
        for part in module.children():
            yield from _layers(part)
    elif isinstance(module, PathSum):
        yield {"op": "sum", "paths": [list(_layers(path)) for path in module.paths.children()]}
    elif name is not None:
        yield _activation(module, name)
    elif not isinstance(module, _IGNORED):
        yield _weighted(module)


def _activation(module: nn.Module, name: str) -> Layer:
    if getattr(module, "approximate", "none") != "none" or getattr(module, "alpha", 1.0) != 1.0:
        raise _Other
    return {"op": name}


def _weighted(module: nn.Module) -> Layer:
    if type(module) is nn.Linear:
        bias = torch.zeros(module.out_features) if module.bias is None else module.bias
        return {"op": "linear", "weight": _array(module.weight), "bias": _array(bias)}
    if isinstance(module, nn.BatchNorm1d) and module.affine and module.running_var is not None:
        factor = _array(module.weight) / np.sqrt(_array(module.running_var) + module.eps)
        assert module.running_mean is not None
        shift = _array(module.bias) - _array(module.running_mean) * factor
        return {"op": "scale", "weight": factor, "bias": shift}
    if type(module) is nn.LayerNorm and module.elementwise_affine and module.bias is not None:
        own = {"weight": _array(module.weight), "bias": _array(module.bias)}
        return {"op": "norm", **own, "eps": module.eps}
    raise _Other


def _array(tensor: torch.Tensor) -> NDArray[np.float64]:
    return tensor.detach().cpu().double().numpy()


_MEANS = {"gaussian": None, "discretized_logistic": None, "bernoulli": "sigmoid",
          "categorical": "softmax", "continuous_bernoulli": "continuous"}  # fmt: skip


def _likelihood(likelihood: Any) -> Iterator[Layer]:
    """Yield the offset of the decoder's output, and the mean of each block of columns."""
    if likelihood.own is not None:
        raise _Other
    offset = _array(likelihood.offset)
    yield {"op": "scale", "weight": np.ones_like(offset), "bias": offset}
    start = 0
    for block in likelihood.layout.blocks:
        size, name = block.width * block.n_columns, _MEANS[block.likelihood]
        if name is not None:
            yield {"op": name, "from": start, "to": start + size, "width": block.width}
        start += size


def _n_weights(layers: list[Layer]) -> int:
    own = sum(np.size(layer.get("weight", ())) for layer in layers)
    return own + sum(_n_weights(path) for layer in layers for path in layer.get("paths", ()))


def _stored(layer: Layer, blob: Blob) -> Layer:
    """Return a layer with its arrays in the block of bytes."""
    if "paths" in layer:
        return {**layer, "paths": [[_stored(part, blob) for part in p] for p in layer["paths"]]}
    return {
        name: blob.add(value.astype(np.float32)) if isinstance(value, np.ndarray) else value
        for name, value in layer.items()
    }


def _agrees(model: Any, layers: list[Layer], codes: NDArray[np.float64]) -> bool:
    expected = fitted_of(model).decode(codes)
    found = run_layers(layers, codes)
    scale = 1 + np.abs(expected).max(initial=0.0)
    return found.shape == expected.shape and bool(
        np.abs(found - expected).max(initial=0.0) <= _TOLERANCE * scale
    )


def run_layers(layers: list[Layer], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate layers on rows, as the page does."""
    for layer in layers:
        values = _RUN[layer["op"]](values, layer)
    return values


def _by_block(values: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    """Apply the mean of a likelihood to some of the elements."""
    block = slice(layer["from"], layer["to"])
    part = torch.from_numpy(values[:, block].copy())
    answer = values.copy()
    if layer["op"] == "softmax":
        part = part.view(len(values), -1, layer["width"]).softmax(-1).flatten(1)
    elif layer["op"] == "continuous":
        small = part.abs() < 1e-2
        safe = torch.where(small, 1.0, part)
        part = torch.where(small, 0.5 + part / 12, -1 / torch.expm1(-safe) - 1 / safe)
    else:
        part = part.sigmoid()
    answer[:, block] = part.numpy()
    return answer


def _torch(function: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    def run(values: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
        return function(torch.from_numpy(values)).numpy()

    return run


def _norm(values: NDArray[np.float64], layer: Layer) -> NDArray[np.float64]:
    centred = values - values.mean(1, keepdims=True)
    spread = np.sqrt(np.square(centred).mean(1, keepdims=True) + layer["eps"])
    return np.asarray(centred / spread * layer["weight"] + layer["bias"])


_RUN: dict[str, Callable[[NDArray[np.float64], Layer], NDArray[np.float64]]] = {
    "linear": lambda values, layer: values @ layer["weight"].T + layer["bias"],
    "scale": lambda values, layer: values * layer["weight"] + layer["bias"],
    "norm": _norm,
    "sum": lambda values, layer: sum(
        (run_layers(path, values) for path in layer["paths"][1:]),
        run_layers(layer["paths"][0], values),
    ),
    "gelu": _torch(nn.functional.gelu),
    "relu": _torch(torch.relu),
    "silu": _torch(nn.functional.silu),
    "elu": _torch(nn.functional.elu),
    "tanh": _torch(torch.tanh),
    "sigmoid": lambda values, layer: (
        _by_block(values, layer) if "from" in layer else _torch(torch.sigmoid)(values, layer)
    ),
    "softmax": _by_block,
    "continuous": _by_block,
}
