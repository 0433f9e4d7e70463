"""The convolutional network for images."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from latently.exceptions import ParameterError
from latently.nn._layers import (
    ACTIVATIONS,
    ActivationName,
    BatchNorm2d,
    Dropout2d,
    Sum,
    check_choice,
    check_share,
    check_sizes,
)

ConvNormalizationName = Literal["batch", "group", "layer"]

CONV_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(math.gcd(8, channels), channels),
    "layer": lambda channels: nn.GroupNorm(1, channels),
}


@dataclass(kw_only=False, eq=False, repr=False)
class ConvNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A convolutional encoder, and a decoder of nearest-neighbour upsampling and convolutions.

    Images may have any size, because the decoder restores the sizes of the encoder's feature maps.
    Nearest-neighbour upsampling avoids the checkerboard artifacts of transposed convolutions [1]_.

    Parameters
    ----------
    channels : "auto" or tuple of int, default="auto"
        Number of channels after each halving of the image. "auto" halves until the shorter side is
        about four pixels, at most four times. It starts with 32 channels and doubles them.
    kernel_size : int, default=3
        Side of the convolution kernels, odd. Larger kernels have a larger receptive field, and
        their cost is quadratic in the side.
    activation : {"gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"}, default="gelu"
        Activation function between layers.
    normalization : {"batch", "group", "layer"} or None, default="batch"
        Normalisation after each hidden convolution. "group" and "layer" do not depend on the other
        images of a batch.
    dropout : float, default=0.0
        Fraction of feature maps that are set to zero at random in training, in [0, 1). Larger
        values regularise more.
    downsampling : {"stride", "pool"}, default="stride"
        Method of halving images. "stride" uses convolutions of stride two. "pool" uses convolutions
        at full size and then max pooling, which costs four times as much.
    residual_blocks : int, default=0
        Number of residual blocks of two convolutions at each size [2]_. More blocks fit finer
        shapes and take more time.

    References
    ----------
    .. [1] Odena, Dumoulin and Olah (2016), Deconvolution and Checkerboard Artifacts.
    .. [2] He et al. (2016), Deep Residual Learning for Image Recognition.

    Examples
    --------
    >>> import torch
    >>> encoder, decoder = ConvNetwork((8, 16)).build((1, 9, 7), 3, 3, 63)
    >>> decoder(encoder(torch.zeros(5, 1, 9, 7))).shape
    torch.Size([5, 1, 9, 7])
    """

    channels: Literal["auto"] | Sequence[int] = "auto"
    kernel_size: int = 3
    activation: ActivationName = "gelu"
    normalization: ConvNormalizationName | None = "batch"
    dropout: float = 0.0
    downsampling: Literal["stride", "pool"] = "stride"
    residual_blocks: int = 0

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and the decoder.

        Parameters
        ----------
        input_shape : tuple of (int, int, int)
            Channels, height and width of an image.
        n_hidden : int
            Number of encoder outputs for an image.
        n_components : int
            Size of the code.
        n_outputs : int
            Number of decoder outputs for an image: channels times height times width.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.

        Raises
        ------
        ParameterError
            If a parameter has an invalid value, or the rows are not images.
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
            encoder.extend(self._halving(size, following))
            encoder.extend(self._blocks(following))
        encoder.extend([nn.Flatten(), nn.Linear(math.prod(bottom), n_hidden)])
        decoder = nn.Sequential(nn.Linear(n_components, math.prod(bottom)), nn.Unflatten(1, bottom))
        backwards = [*reversed(stages), stages[0] if stages else n_channels]
        for (size, following), target in zip(pairwise(backwards), sizes[-2::-1], strict=True):
            decoder.append(Resize(target))
            decoder.extend(self._convolution(size, following, stride=1))
            decoder.extend(self._blocks(following))
        decoder.append(self._plain(backwards[-1], n_outputs // (height * width), stride=1))
        return encoder, decoder

    def search_space(self) -> dict[str, Any]:
        """Return the values of each parameter that ``tune`` tries by default.

        Returns
        -------
        dict of str to list or tuple
            Values of each parameter, as in the parameter ``space`` of ``tune``.
        """
        return {
            "channels": ["auto", (16, 32), (32, 64), (32, 64, 128)],
            "dropout": (0.0, 0.3),
            "residual_blocks": [0, 1],
        }

    def _check(self, input_shape: tuple[int, ...]) -> None:
        if len(input_shape) != 3:
            raise ParameterError(
                "ConvNetwork must be fitted to images, got rows of a table. Give an array of shape "
                "(n, height, width[, channels]), or use DenseNetwork."
            )
        check_choice("activation", self.activation, ACTIVATIONS)
        check_choice("normalization", self.normalization, CONV_NORMALIZATIONS, optional=True)
        check_share("dropout", self.dropout)
        check_choice("downsampling", self.downsampling, dict.fromkeys(("stride", "pool")))
        if self.residual_blocks < 0:
            raise ParameterError(
                f"residual_blocks must be at least 0, got {self.residual_blocks}. Use 1 or 2."
            )
        if self.channels != "auto":
            check_sizes("channels", self.channels)
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
        side = int(self.kernel_size)
        return nn.Conv2d(size, following, side, stride, side // 2)

    def _halving(self, size: int, following: int) -> list[nn.Module]:
        if self.downsampling == "stride":
            return self._convolution(size, following, stride=2)
        pool = nn.MaxPool2d(2, ceil_mode=True)  # keeps the last row of pixels of an odd side
        return [*self._convolution(size, following, stride=1), pool]

    def _blocks(self, size: int) -> list[nn.Module]:
        """Return residual blocks, each the sum of the identity and two convolutions."""
        return [
            Sum(nn.Identity(), self._two_convolutions(size)) for _ in range(self.residual_blocks)
        ]

    def _two_convolutions(self, size: int) -> nn.Sequential:
        first = self._convolution(size, size, stride=1)
        return nn.Sequential(*first, self._plain(size, size, stride=1))

    def _convolution(self, size: int, following: int, stride: int) -> list[nn.Module]:
        layers = [self._plain(size, following, stride)]
        if self.normalization is not None:
            layers.append(CONV_NORMALIZATIONS[self.normalization](following))
        layers.append(ACTIVATIONS[self.activation]())
        if self.dropout:
            layers.append(Dropout2d(self.dropout))
        return layers


class Resize(nn.Module):
    """Nearest-neighbour resizing to a fixed size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        """Return images of the size."""
        return F.interpolate(image, self.size)
