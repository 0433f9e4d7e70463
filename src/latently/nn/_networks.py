"""Networks: the shape of encoder and decoder, as parameters that can be set and searched."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from latently.exceptions import ParameterError

ActivationName = Literal["gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"]
NormalizationName = Literal["batch", "layer"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}
DENSE_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "layer": nn.LayerNorm,
}
CONV_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


@runtime_checkable
class Network(Protocol):
    """Anything that builds an encoder and a decoder for rows of a given shape."""

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Return fresh modules: (batch, \\*input_shape) -> (batch, n_hidden), and
        (batch, n_components) -> (batch, n_outputs) or any shape with as many elements."""
        ...


@dataclass(kw_only=False, eq=False, repr=False)
class DenseNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A mirrored stack of fully connected layers.

    Parameters
    ----------
    hidden_sizes : "auto" or tuple of int, default="auto"
        Widths of the encoder's hidden layers; the decoder mirrors them. ``()`` is a linear
        autoencoder, whose code spans the PCA subspace. "auto" takes two layers, the first about
        four times the input's width, within 32 and 512, the second half of it. Wider layers fit
        more and overfit sooner.
    activation : {"gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"}, default="gelu"
        Between layers.
    normalization : {"batch", "layer"} or None, default=None
        After each hidden layer. "batch" trains faster on many rows.
    dropout : float, default=0.0
        Share of hidden units switched off at random in training, in [0, 1).
    activate_code : bool, default=False
        True normalises the code and bends it by the activation, as the layers before it: better
        features for a linear model, a worse map.
    linear_path : bool, default=False
        True adds a linear map from the input to the code, and from the code to the output, to what
        the layers answer [1]_: training starts from what a PCA could do and learns the rest.

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
            Numbers that the encoder answers for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Numbers that the decoder answers for a row.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        """
        self._check()
        n_inputs = math.prod(input_shape)
        sizes = self._sizes(n_inputs)
        encoder = self._path([n_inputs, *sizes, n_hidden])
        decoder = self._path([n_components, *reversed(sizes), n_outputs])
        if self.activate_code:
            encoder.extend(self._bend(n_hidden))
        return nn.Sequential(nn.Flatten(), *encoder), decoder

    def _path(self, sizes: Sequence[int]) -> nn.Sequential:
        layers = nn.Sequential(*self._stack(sizes[:-1]), nn.Linear(sizes[-2], sizes[-1]))
        if not self.linear_path:
            return layers
        return nn.Sequential(_Sum(layers, nn.Linear(sizes[0], sizes[-1])))

    def _check(self) -> None:
        _check_choice("activation", self.activation, ACTIVATIONS)
        _check_choice("normalization", self.normalization, DENSE_NORMALIZATIONS, optional=True)
        _check_share("dropout", self.dropout)
        if self.hidden_sizes != "auto":
            _check_sizes("hidden_sizes", self.hidden_sizes)

    def _sizes(self, n_inputs: int) -> list[int]:
        if self.hidden_sizes != "auto":
            return [int(size) for size in self.hidden_sizes]
        first = 2 ** math.ceil(math.log2(min(max(4 * n_inputs, 32), 512)))
        return [first, first // 2]

    def _stack(self, sizes: Sequence[int]) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for size, following in pairwise(sizes):
            layers.extend([nn.Linear(size, following), *self._bend(following)])
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
        return layers

    def _bend(self, size: int) -> list[nn.Module]:
        """Return what follows a linear map: normalisation and activation."""
        bend = ACTIVATIONS[self.activation]()
        if self.normalization is None:
            return [bend]
        return [DENSE_NORMALIZATIONS[self.normalization](size), bend]


class _Sum(nn.Module):
    """The sum of what several paths answer."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, values: Tensor) -> Tensor:
        answers: Tensor = sum(path(values) for path in self.paths)
        return answers


@dataclass(kw_only=False, eq=False, repr=False)
class ConvNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Strided convolutions down to the code, nearest-neighbour upsampling and convolutions back.

    Any image size works, odd ones too: the decoder goes back through the sizes that the encoder
    came through. Upsampling by repetition avoids the checkerboards of transposed convolutions [1]_.

    Parameters
    ----------
    channels : "auto" or tuple of int, default="auto"
        Channels after each halving of the image. "auto" halves until the shorter side is about
        four pixels, at most four times, starting at 32 channels and doubling.
    kernel_size : int, default=3
        Side of the convolutions, odd. Larger sees further and costs quadratically more.
    activation : {"gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"}, default="gelu"
        Between layers.
    normalization : {"batch", "layer"} or None, default="batch"
        After each hidden convolution.
    dropout : float, default=0.0
        Share of feature maps switched off at random in training, in [0, 1).

    References
    ----------
    .. [1] Odena, Dumoulin and Olah (2016), Deconvolution and Checkerboard Artifacts.

    Examples
    --------
    >>> encoder, decoder = ConvNetwork((8, 16)).build((1, 9, 7), 3, 3, 63)
    >>> decoder(encoder(torch.zeros(5, 1, 9, 7))).shape
    torch.Size([5, 1, 9, 7])
    """

    channels: Literal["auto"] | Sequence[int] = "auto"
    kernel_size: int = 3
    activation: ActivationName = "gelu"
    normalization: NormalizationName | None = "batch"
    dropout: float = 0.0

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and the decoder.

        Parameters
        ----------
        input_shape : tuple of (int, int, int)
            Channels, height and width of an image.
        n_hidden : int
            Numbers that the encoder answers for an image.
        n_components : int
            Size of the code.
        n_outputs : int
            Numbers that the decoder answers for an image: channels times height times width.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value, or the rows are no images.
        """
        self._check(input_shape)
        n_channels, height, width = input_shape
        stages = self._stages(min(height, width))
        sizes = [(height, width)]
        for _ in stages:
            sizes.append(((sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2))
        bottom = (stages[-1] if stages else n_channels, *sizes[-1])
        encoder = nn.Sequential()
        for size, following in pairwise([n_channels, *stages]):
            encoder.extend(self._convolution(size, following, stride=2))
        encoder.extend([nn.Flatten(), nn.Linear(math.prod(bottom), n_hidden)])
        decoder = nn.Sequential(nn.Linear(n_components, math.prod(bottom)), nn.Unflatten(1, bottom))
        backwards = [*reversed(stages), stages[0] if stages else n_channels]
        for (size, following), target in zip(pairwise(backwards), sizes[-2::-1], strict=True):
            decoder.append(_Resize(target))
            decoder.extend(self._convolution(size, following, stride=1))
        decoder.append(self._plain(backwards[-1], n_outputs // (height * width), stride=1))
        return encoder, decoder

    def _check(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise ParameterError(
                "ConvNetwork needs images, got rows of a table. Give an array of shape "
                "(n, height, width[, channels]), or use DenseNetwork."
            )
        _check_choice("activation", self.activation, ACTIVATIONS)
        _check_choice("normalization", self.normalization, CONV_NORMALIZATIONS, optional=True)
        _check_share("dropout", self.dropout)
        if self.channels != "auto":
            _check_sizes("channels", self.channels)
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ParameterError(
                f"kernel_size must be odd and positive, got {self.kernel_size}. Use 3 or 5."
            )

    def _stages(self, shorter_side: int) -> list[int]:
        if self.channels != "auto":
            return [int(size) for size in self.channels]
        halvings = min(max(round(math.log2(max(shorter_side, 2) / 4)), 1), 4)
        return [32 * 2**stage for stage in range(halvings)]

    def _plain(self, size: int, following: int, stride: int) -> nn.Module:
        return nn.Conv2d(size, following, self.kernel_size, stride, self.kernel_size // 2)

    def _convolution(self, size: int, following: int, stride: int) -> list[nn.Module]:
        layers = [self._plain(size, following, stride)]
        if self.normalization is not None:
            layers.append(CONV_NORMALIZATIONS[self.normalization](following))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            layers.append(nn.Dropout2d(self.dropout))
        return layers


class _Resize(nn.Module):
    """Nearest-neighbour resizing to a fixed size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(image, self.size)


@contextmanager
def hidden_layers(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """Keep what the activations of an encoder answer, (batch, width) each, in their order.

    Feature maps are kept as the mean over their pixels; the activation of the code is the code's.
    """
    kept: list[Tensor] = []

    def keep(part: nn.Module, given: object, answer: Tensor) -> None:
        kept.append(answer if answer.ndim == 2 else answer.flatten(2).mean(2))

    bends = tuple(type(make()) for make in ACTIVATIONS.values())
    parts = list(encoder.modules())
    hooks = [p.register_forward_hook(keep) for p in parts[:-1] if isinstance(p, bends)]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


ModuleOrFactory = nn.Module | Callable[[tuple[int, ...], int], nn.Module]


@dataclass(kw_only=False, eq=False, repr=False)
class CustomNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Your own encoder and decoder.

    Parameters
    ----------
    encoder : Module or callable
        Maps (batch, \\*input_shape) to (batch, n_hidden), where ``n_hidden`` is ``n_components``,
        twice that for a variational model (mean and log variance). A callable is asked as
        ``encoder(input_shape, n_hidden)`` for a fresh module. A module is copied before it is
        trained; yours stays as it was.
    decoder : Module or callable
        Maps (batch, n_components) to as many numbers a row as the encoded row holds. A callable
        is asked as ``decoder(input_shape, n_components)``.

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
        """Copy or make the modules, and try them on two rows of zeros.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row.
        n_hidden : int
            Numbers that the encoder must answer for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Numbers that the decoder must answer for a row.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a module takes or answers another shape.
        """
        encoder = _fresh("encoder", self.encoder, input_shape, n_hidden)
        decoder = _fresh("decoder", self.decoder, input_shape, n_components)
        _try_module("encoder", encoder, input_shape, n_hidden)
        _try_module("decoder", decoder, (n_components,), n_outputs)
        return encoder, decoder


def _fresh(name: str, part: ModuleOrFactory, input_shape: tuple[int, ...], size: int) -> nn.Module:
    module = copy.deepcopy(part) if isinstance(part, nn.Module) else part(input_shape, size)
    if not isinstance(module, nn.Module):
        raise ParameterError(
            f"{name} must be an nn.Module or a callable that returns one, got "
            f"{type(module).__name__}."
        )
    return module


def _try_module(name: str, module: nn.Module, shape: tuple[int, ...], n_numbers: int) -> None:
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            answer = module(torch.zeros(2, *shape))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ParameterError(
            f"{name} cannot take rows of shape {shape}: {reason}. Change its first layer."
        ) from error
    finally:
        module.train(was_training)
    if not isinstance(answer, Tensor) or answer.numel() != 2 * n_numbers or len(answer) != 2:
        got = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise ParameterError(
            f"{name} must answer {n_numbers} numbers a row, got {got} for 2 rows of shape {shape}. "
            "Change its last layer."
        )


def _check_choice(
    name: str,
    value: str | None,
    choices: dict[str, object] | dict[str, Callable[..., nn.Module]],
    *,
    optional: bool = False,
) -> None:
    if value in choices or (optional and value is None):
        return
    allowed = ", ".join(repr(choice) for choice in choices) + (" or None" if optional else "")
    raise ParameterError(f"{name} must be one of {allowed}, got {value!r}.")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ParameterError(f"{name} must be in [0, 1), got {value}. Try 0.1.")


def _check_sizes(name: str, sizes: Sequence[int]) -> None:
    listed = isinstance(sizes, Sequence) and not isinstance(sizes, str)
    whole = listed and all(hasattr(size, "__index__") for size in sizes)
    if not whole or any(int(size) < 1 for size in sizes):
        raise ParameterError(
            f'{name} must be "auto" or positive integers, got {sizes!r}. Try (64, 32).'
        )
