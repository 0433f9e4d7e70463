"""The U-net, which denoises images of any size."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latently._layout import Block, Layout
from latently.nn._batch_shard import uniform_like
from latently.nn._corruption import larger
from latently.nn._latents import Code, Deterministic
from latently.nn._layers import BatchNorm2d
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells, RowLoss

#: Side of the tiles of a large image, and their overlap on each side. The overlap is larger than
#: the receptive field, so that tiles join without seams.
_TILE, _MARGIN = 256, 64
#: Fraction of pixels that blind training replaces, and the largest distance of the replacement.
_HIDDEN, _REACH = 0.02, 2


def _convolution(size: int, following: int, scales: bool, stride: int = 1) -> nn.Sequential:
    """Return a convolution of stride 1 or 2 with its activation.

    With ``scales``, it has no bias and no normalisation, and is therefore homogeneous of degree 1.
    """
    layer = nn.Conv2d(size, following, 3, stride, 1, bias=False)
    if scales:
        return nn.Sequential(layer, nn.ReLU())
    return nn.Sequential(layer, BatchNorm2d(following), nn.GELU())


class Residual(nn.Module):
    """A residual block of two convolutions [1]_.

    Parameters
    ----------
    channels : int
        Number of input and output channels.
    scales : bool
        If True, the block is homogeneous: scaling the input scales the output.

    References
    ----------
    .. [1] He et al. (2016), Deep Residual Learning for Image Recognition.
    """

    def __init__(self, channels: int, scales: bool) -> None:
        super().__init__()
        *linear, bend = _convolution(channels, channels, scales)
        self.path = nn.Sequential(_convolution(channels, channels, scales), *linear)
        self.bend = bend

    def forward(self, image: Tensor) -> Tensor:
        """Return images of the same size and channels."""
        output: Tensor = self.bend(image + self.path(image))
        return output


class UNet(nn.Module):
    """A convolutional encoder and decoder with skip connections at each size [1]_.

    Parameters
    ----------
    n_channels : int
        Number of channels of the input and the output images.
    channels : sequence of int
        Number of feature maps at full size, at half, at a quarter, and so on.
    scales : bool, default=False
        If True, leave out biases and normalisation, so that scaling the input scales the output.
        One network is then suitable for all noise levels [2]_.

    References
    ----------
    .. [1] Ronneberger, Fischer and Brox (2015), U-Net.
    .. [2] Mohan et al. (2020), Robust and Interpretable Blind Image Denoising via Bias-Free
       Convolutional Neural Networks.
    .. [3] He et al. (2015), Delving Deep into Rectifiers.
    """

    def __init__(self, n_channels: int, channels: Sequence[int], scales: bool = False) -> None:
        super().__init__()
        self.first = _convolution(n_channels, channels[0], scales)
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(size, following, scales, 2), Residual(following, scales))
            for size, following in pairwise(channels)
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(size, following, 2, 2, bias=not scales)
            for size, following in pairwise(reversed(channels))
        )
        self.join = nn.ModuleList(
            _convolution(2 * size, size, scales) for size in reversed(channels[:-1])
        )
        self.last = nn.Conv2d(channels[0], n_channels, 3, 1, 1, bias=not scales)
        if scales and not self.last.weight.is_meta:
            self._initialize()
        self.grain = 2 ** (len(channels) - 1)

    def _initialize(self) -> None:
        """Initialise weights so that feature maps keep their scale without normalisation [3]_."""
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.last.weight)  # the initial output equals the input image

    def bottom(self, image: Tensor) -> list[Tensor]:
        """Return the feature maps at every size, by decreasing size."""
        maps = [self.first(image)]
        for halve in self.down:
            maps.append(halve(maps[-1]))
        return maps

    def forward(self, image: Tensor) -> Tensor:
        """Return images of the same size and channels."""
        height, width = image.shape[2:]
        padding = (0, -width % self.grain, 0, -height % self.grain)
        maps = self.bottom(F.pad(image, padding, mode="replicate"))
        output = maps.pop()
        for grow, join in zip(self.up, self.join, strict=True):
            output = join(torch.cat([grow(output), maps.pop()], 1))
        whole: Tensor = self.last(output)[:, :, :height, :width]
        return whole


class Pooled(Deterministic):
    """The mean of the smallest feature maps, from which no image can be decoded."""

    all_used: ClassVar[bool] = True


class UNetModule(AutoencoderModule):
    """A U-net that predicts the likelihood of clean pixels from noisy ones.

    For normal pixels, the network predicts the noise [1]_, which is added to the noisy image. The
    loss is the absolute error, in which strong noise has less weight than in the squared error.
    For Bernoulli pixels, the network predicts the logits.

    Parameters
    ----------
    layout : Layout
        Layout of the training patches.
    channels : sequence of int
        Number of feature maps of the U-net at each size.
    enlarge : int, default=1
        Factor by which reconstructions are higher and wider than their input.
    turns : bool, default=False
        If True, rotate and mirror patches at random in training.
    blind : bool, default=False
        If True, learn from noisy images alone. Random pixels are replaced by neighbours and
        predicted from their surroundings [2]_.

    References
    ----------
    .. [1] Zhang et al. (2017), Beyond a Gaussian Denoiser.
    .. [2] Krull, Buchholz and Jug (2019), Noise2Void.
    """

    encoder: UNet

    def __init__(
        self,
        layout: Layout,
        channels: Sequence[int],
        enlarge: int = 1,
        turns: bool = False,
        blind: bool = False,
    ) -> None:
        zeros = torch.zeros(layout.width)
        latent = Pooled(channels[-1])
        kind = layout.blocks[0].likelihood
        network = UNet(layout.shape[0], channels, scales=kind == "gaussian")
        super().__init__(network, latent, nn.Identity(), Likelihood(layout, zeros), zeros)
        self.kind = kind
        self.enlarge, self.turns, self.blind = enlarge, turns, blind

    def hidden(self, cells: Cells) -> Tensor:
        """Return the mean of the smallest feature maps, shape (batch, n_components)."""
        return self.encoder.bottom(_observed_images(cells))[-1].mean((2, 3)).to(self.center.dtype)

    def parameters_of(self, noisy: Tensor, level: Tensor | None = None) -> Tensor:
        """Return the likelihood's parameters of each pixel, in the shape of the images.

        Parameters
        ----------
        noisy : Tensor of shape (batch, channels, height, width)
            Noisy images.
        level : Tensor of shape (batch, channels, 1, 1) or None, default=None
            Brightness that is subtracted before the network, for normal pixels. None means the mean
            of each image and channel.
        """
        if self.kind == "bernoulli":
            logits: Tensor = self.encoder(noisy).to(noisy.dtype)
            return logits
        level = _brightness(noisy) if level is None else level
        noise: Tensor = self.encoder(noisy - level).to(noisy.dtype)
        return noisy + noise

    def reconstruct(self, cells: Cells) -> Tensor:
        """Return the expected clean images, computed tile by tile."""
        noisy = larger(_observed_images(cells), self.enlarge)
        clean = torch.empty_like(noisy)
        height, width = noisy.shape[2:]
        for top in range(0, height, _TILE):
            for left in range(0, width, _TILE):
                clean[:, :, top : top + _TILE, left : left + _TILE] = self._clean_tile(
                    noisy, top, left
                )
        return clean

    def _clean_tile(self, noisy: Tensor, top: int, left: int) -> Tensor:
        above, before = max(top - _MARGIN, 0), max(left - _MARGIN, 0)
        around = noisy[:, :, above : top + _TILE + _MARGIN, before : left + _TILE + _MARGIN]
        around = around.contiguous(memory_format=torch.channels_last)
        output = self.parameters_of(around, _brightness(noisy))
        mean = output.sigmoid() if self.kind == "bernoulli" else output
        return mean[:, :, top - above :, left - before :][:, :, :_TILE, :_TILE]

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the loss of each patch for reconstructing ``target`` from noisy ``inputs``."""
        noisy, clean, mask = _observed_images(inputs), target.values, target.observed
        if self.training and self.turns:
            noisy, clean, mask = _augmented(noisy, clean, mask)
        if self.training and self.blind:
            noisy, mask = _replace_pixels(noisy, mask)
        noisy = noisy.contiguous(memory_format=torch.channels_last)
        parameters, goal = self.parameters_of(noisy).flatten(1), clean.flatten(1)
        if self.kind == "gaussian":
            errors = (goal - parameters).abs()
            losses = errors if mask is None else torch.where(mask, errors, 0.0)
        else:
            losses = self.likelihood(parameters, goal, mask)
        return RowLoss(losses.sum(1), losses.new_zeros(len(losses)))

    def cell_errors(self, cells: Cells) -> Tensor:
        """Return half the deviance of each pixel from its reconstruction, (batch, n_pixels)."""
        shape = cells.values.shape[1:]
        layout = Layout(tuple(shape), (Block(self.kind, 1, shape.numel()),))
        likelihood = Likelihood(layout, cells.values.new_zeros(layout.width))
        target = cells.values.flatten(1)
        parameters = self.parameters_of(_observed_images(cells)).flatten(1)
        losses: Tensor = likelihood(parameters, target, cells.observed)
        return (losses - likelihood.least(target, cells.observed)).clamp(min=0)

    def encode(self, cells: Cells) -> Code:
        """Return the code of each image."""
        code: Code = self.latent(self.hidden(cells))
        return code


def _brightness(images: Tensor) -> Tensor:
    """Return the mean of each image and channel, (batch, channels, 1, 1)."""
    return images.mean((2, 3), keepdim=True)


def _observed_images(cells: Cells) -> Tensor:
    """Return images with zeros where pixels are missing."""
    if cells.observed is None:
        return cells.values
    return torch.where(cells.observed.view(cells.values.shape), cells.values, 0.0)


def _augmented(
    noisy: Tensor, clean: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Rotate a batch by a random multiple of 90 degrees and mirror it at random.

    Images that are not square are rotated by 0 or 180 degrees. All images of a batch, and all
    arguments, are transformed in the same way.
    """
    shape = clean.shape
    parts = [noisy, clean] if mask is None else [noisy, clean, mask.view(shape)]
    n_turns, mirrored = (int(torch.randint(n, ())) for n in (4, 2))
    if shape[2] != shape[3]:
        n_turns = n_turns // 2 * 2
    parts = [part.rot90(n_turns, (2, 3)) for part in parts]
    if mirrored:
        parts = [part.flip(3) for part in parts]
    return parts[0], parts[1], mask if mask is None else parts[2].flatten(1)


def _replace_pixels(noisy: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Replace random pixels by a neighbour, and restrict the loss to these pixels."""
    hidden = uniform_like(noisy[:, :1]) < _HIDDEN
    hidden = hidden.expand_as(noisy)
    steps = torch.randint(-_REACH, _REACH + 1, (2,)).tolist()
    if steps == [0, 0]:
        steps = [1, 0]
    stand_in = noisy.roll(steps, (2, 3))
    flat = hidden.flatten(1)
    return torch.where(hidden, stand_in, noisy), flat if mask is None else flat & mask
