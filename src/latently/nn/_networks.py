"""Networks: architectures of encoder and decoder with parameters that can be searched."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, Self, runtime_checkable

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from latently.exceptions import ParameterError
from latently.nn._layers import (
    ACTIVATIONS,
    DENSE_NORMALIZATIONS,
    ActivationName,
    Dropout,
    NormalizationName,
    Sum,
    check_choice,
    check_share,
    check_sizes,
)


@runtime_checkable
class Network(Protocol):
    """An object that builds an encoder and a decoder for rows of a given shape."""

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Return a new encoder and a new decoder.

        The encoder maps (batch, \\*input_shape) to (batch, n_hidden). The decoder maps
        (batch, n_components) to (batch, n_outputs), or to another shape with as many elements.
        """
        ...


@dataclass(kw_only=False, eq=False, repr=False)
class DenseNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A mirrored stack of fully connected layers.

    Parameters
    ----------
    hidden_sizes : "auto" or tuple of int, default="auto"
        Widths of the encoder's hidden layers. The decoder mirrors them. ``()`` gives a linear
        autoencoder, whose code spans the PCA subspace. "auto" uses two layers. The first has about
        four times the width of the input, between 32 and 512, and the second half of that. Wider
        layers fit more complex structure and overfit sooner.
    activation : {"gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"}, default="gelu"
        Activation function between layers.
    normalization : {"batch", "layer"} or None, default=None
        Normalisation after each hidden layer. "batch" trains faster on many rows.
    dropout : float, default=0.0
        Fraction of hidden units that are set to zero at random in training, in [0, 1). Larger
        values regularise more.
    activate_code : bool, default=False
        If True, apply normalisation and activation to the code, as to the hidden layers. This gives
        better features for a linear model, and a worse two-dimensional map.
    linear_path : bool, default=False
        If True, add a linear map from the input to the code, and one from the code to the output
        [1]_. The hidden layers then learn the difference from a linear autoencoder.

    References
    ----------
    .. [1] He et al. (2016), Deep Residual Learning for Image Recognition.

    Examples
    --------
    >>> encoder, decoder = DenseNetwork((64, 32)).build((10,), 3, 3, 10)
    >>> encoder(torch.zeros(5, 10)).shape
    torch.Size([5, 3])
    """

    hidden_sizes: Literal["auto"] | Sequence[int] = "auto"
    activation: ActivationName = "gelu"
    normalization: NormalizationName | None = None
    dropout: float = 0.0
    activate_code: bool = False
    linear_path: bool = False

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and the decoder.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row.
        n_hidden : int
            Number of encoder outputs for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Number of decoder outputs for a row.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a parameter has an invalid value.
        """
        self._check()
        n_inputs = math.prod(input_shape)
        sizes = self._sizes(n_inputs)
        encoder = self._path([n_inputs, *sizes, n_hidden])
        decoder = self._path([n_components, *reversed(sizes), n_outputs])
        if self.activate_code:
            encoder.extend(self._activation(n_hidden))
        return nn.Sequential(nn.Flatten(), *encoder), decoder

    def search_space(self) -> dict[str, Any]:
        """Return the values of each parameter that ``tune`` tries by default.

        Returns
        -------
        dict of str to list or tuple
            Values of each parameter, as in the parameter ``space`` of ``tune``.
        """
        return {
            "hidden_sizes": ["auto", (64,), (128,), (256,), (128, 64), (256, 128), (512, 256)],
            "dropout": (0.0, 0.3),
            "normalization": [None, "batch"],
            "linear_path": [False, True],
        }

    def _path(self, sizes: Sequence[int]) -> nn.Sequential:
        layers = nn.Sequential(*self._stack(sizes[:-1]), nn.Linear(sizes[-2], sizes[-1]))
        if not self.linear_path:
            return layers
        return nn.Sequential(Sum(layers, nn.Linear(sizes[0], sizes[-1])))

    def _check(self) -> None:
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("normalization", self.normalization, DENSE_NORMALIZATIONS, optional=True)
        check_share("dropout", self.dropout)
        if self.hidden_sizes != "auto":
            check_sizes("hidden_sizes", self.hidden_sizes)

    def _sizes(self, n_inputs: int) -> list[int]:
        if self.hidden_sizes != "auto":
            return [int(size) for size in self.hidden_sizes]
        first = 2 ** math.ceil(math.log2(min(max(4 * n_inputs, 32), 512)))
        return [first, first // 2]

    def _stack(self, sizes: Sequence[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for size, following in pairwise(sizes):
            layers.extend([nn.Linear(size, following), *self._activation(following)])
            if self.dropout:
                layers.append(Dropout(self.dropout))
        return layers

    def _activation(self, size: int) -> list[nn.Module]:
        """Return the normalisation and the activation that follow a linear map."""
        activation = ACTIVATIONS[self.activation]()
        if self.normalization is None:
            return [activation]
        return [DENSE_NORMALIZATIONS[self.normalization](size), activation]


ModuleOrFactory = nn.Module | Callable[[tuple[int, ...], int], nn.Module]


@dataclass(kw_only=False, eq=False, repr=False)
class CustomNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """An encoder and a decoder of your own.

    Parameters
    ----------
    encoder : Module or callable
        Module that maps (batch, \\*input_shape) to (batch, n_hidden). ``n_hidden`` equals
        ``n_components``, or twice that for a variational model (mean and log variance). A callable
        is called as ``encoder(input_shape, n_hidden)`` and returns a new module. A module is copied
        before training and is not changed. Weights that encoder and decoder share stay shared.
    decoder : Module or callable
        Module that maps (batch, n_components) to as many numbers per row as an encoded row has. A
        callable is called as ``decoder(input_shape, n_components)``.

    Examples
    --------
    >>> network = CustomNetwork(nn.Linear(4, 2), nn.Linear(2, 4))
    >>> encoder, decoder = network.build((4,), 2, 2, 4)
    >>> encoder is network.encoder
    False
    """

    encoder: ModuleOrFactory
    decoder: ModuleOrFactory

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Copy or create the modules, and check their output shapes on two rows of zeros.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row.
        n_hidden : int
            Required number of encoder outputs for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Required number of decoder outputs for a row.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a module has other input or output shapes, or is no module.
        """
        encoder = _created("encoder", self.encoder, input_shape, n_hidden)
        decoder = _created("decoder", self.decoder, input_shape, n_components)
        # Copied together, so that shared weights stay shared. Training is in single precision.
        encoder, decoder = (part.float() for part in copy.deepcopy((encoder, decoder)))
        _try_module("encoder", encoder, input_shape, n_hidden)
        _try_module("decoder", decoder, (n_components,), n_outputs)
        return encoder, decoder

    def __sklearn_clone__(self) -> Self:
        # ``build`` copies both together. Separate copies would not share weights.
        return type(self)(self.encoder, self.decoder)


def _created(
    name: str, part: ModuleOrFactory, input_shape: tuple[int, ...], size: int
) -> nn.Module:
    module = part if isinstance(part, nn.Module) else part(input_shape, size)
    if not isinstance(module, nn.Module):
        raise ParameterError(
            f"{name} must be an nn.Module or a callable that returns one, got "
            f"{type(module).__name__}."
        )
    if any(weight.is_meta for weight in module.parameters()):
        raise ParameterError(
            f"{name} must have weights with values, got weights on the meta device. Build it on "
            "the CPU."
        )
    return module


def _try_module(name: str, module: nn.Module, shape: tuple[int, ...], n_numbers: int) -> None:
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            output = module(torch.zeros(2, *shape))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(
            f"{name} must take rows of shape {shape}, got an error: {reason}. Change its first "
            "layer."
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(output, Tensor) or output.numel() != 2 * n_numbers or len(output) != 2:
        got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ParameterError(
            f"{name} must return {n_numbers} numbers per row, got {got} for 2 rows of shape "
            f"{shape}. Change its last layer."
        )
