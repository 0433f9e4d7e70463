"""Corruptions of training batches, which a denoising autoencoder learns to undo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor
from torch.nn import functional as F

from latently._renamed import Renames
from latently.exceptions import ParameterError
from latently.nn._batch_shard import draw_shard, normal_like, uniform_like, whole_batch

#: ``(values, observed) -> (values, observed)``. ``values`` has shape (batch, \*shape) and is in
#: standard deviations of the column (pixels: 0 to 1). ``observed`` has shape (batch, n_columns) and
#: is True where the encoder sees a cell.
Corruption = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(eq=False, repr=False)
class Masking(Renames, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Hide cells at random [1]_.

    All elements of a category or a date are hidden together.

    Parameters
    ----------
    fraction : float or tuple of two floats, default=0.2
        Probability that a cell is hidden, in [0, 1). Larger values make the code depend more on
        relations between columns and less on single cells. With a pair, the fraction of each row is
        drawn uniformly between the two, so that the model learns from few and many gaps.

    References
    ----------
    .. [1] Vincent et al. (2010), Stacked Denoising Autoencoders.

    Examples
    --------
    >>> values, observed = Masking(0.5)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> observed.shape
    torch.Size([2, 4])
    """

    fraction: float | tuple[float, float] = 0.2
    renamed_parameters: ClassVar[Mapping[str, str]] = {"rate": "fraction"}

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Hide cells of a batch."""
        low, high = (
            self.fraction if isinstance(self.fraction, tuple) else (self.fraction, self.fraction)
        )
        _check_fraction("rate", low)
        _check_fraction("rate", high)
        uniform = uniform_like(observed)
        return values, observed & (uniform >= _uniform_between(low, high, observed))


@dataclass(eq=False, repr=False)
class GaussianNoise(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Add normal noise to every element.

    Parameters
    ----------
    scale : float or tuple of two floats, default=0.1
        Standard deviation of the noise, in standard deviations of the column. For images, as a
        fraction of the pixel range. With a pair, the scale of each row is drawn uniformly between
        the two, so that the model learns from weak and strong noise.
    clip : bool, default=False
        If True, clip noisy values to [0, 1], as a camera does with pixels.

    Examples
    --------
    >>> values, observed = GaussianNoise(0.1)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> values.shape
    torch.Size([2, 4])
    """

    scale: float | tuple[float, float] = 0.1
    clip: bool = False

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Add noise to a batch."""
        low, high = self.scale if isinstance(self.scale, tuple) else (self.scale, self.scale)
        if not 0 <= low <= high:
            raise ParameterError(f"scale must be at least 0, got {self.scale}. Try 0.1.")
        noise = normal_like(values) * _uniform_between(low, high, values)
        noisy = values + noise
        return noisy.clamp(0, 1) if self.clip else noisy, observed


@dataclass(eq=False, repr=False)
class SaltAndPepper(Renames, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Set random elements to the lowest or the highest value of their batch.

    Parameters
    ----------
    fraction : float, default=0.1
        Probability that an element is set, in [0, 1). Lowest and highest are equally likely.

    Examples
    --------
    >>> values, observed = SaltAndPepper(0.1)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> values.shape
    torch.Size([2, 4])
    """

    fraction: float = 0.1
    renamed_parameters: ClassVar[Mapping[str, str]] = {"rate": "fraction"}

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Set elements of a batch."""
        _check_fraction("fraction", self.fraction)
        uniform, every = uniform_like(values), whole_batch(values)
        values = torch.where(uniform < self.fraction / 2, every.amin(), values)
        return torch.where(uniform > 1 - self.fraction / 2, every.amax(), values), observed


@dataclass(eq=False, repr=False)
class Blocks(Renames, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Hide one square of each image [1]_.

    Parameters
    ----------
    fraction : float, default=0.4
        Side of the square as a fraction of the shorter side of the image, in (0, 1].

    References
    ----------
    .. [1] DeVries and Taylor (2017), Improved Regularization of Convolutional Neural Networks with
       Cutout.

    Examples
    --------
    >>> images, observed = torch.ones(2, 1, 8, 8), torch.ones(2, 64, dtype=torch.bool)
    >>> (~Blocks(0.5)(images, observed)[1]).sum(1)
    tensor([16, 16])
    """

    fraction: float = 0.4
    renamed_parameters: ClassVar[Mapping[str, str]] = {"share": "fraction"}

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Hide squares of a batch of images."""
        _check_images("Blocks", values)
        if not 0 < self.fraction <= 1:
            raise ParameterError(f"fraction must be in (0, 1], got {self.fraction}. Try 0.4.")
        height, width = values.shape[2:]
        side = max(round(self.fraction * min(height, width)), 1)
        hidden = _span(height, side, values)[:, :, None] & _span(width, side, values)[:, None]
        hidden = hidden[:, None].expand_as(values).flatten(1)
        return values, observed & ~hidden


@dataclass(eq=False, repr=False)
class Blur(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Blur images with a Gaussian kernel.

    Parameters
    ----------
    radius : float, default=1.0
        Standard deviation of the kernel in pixels. Larger values blur more.

    Examples
    --------
    >>> images, observed = torch.ones(2, 1, 8, 8), torch.ones(2, 64, dtype=torch.bool)
    >>> bool(torch.allclose(Blur(1.5)(images, observed)[0], images))
    True
    """

    radius: float = 1.0

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Blur a batch of images."""
        _check_images("Blur", values)
        if self.radius <= 0:
            raise ParameterError(f"radius must be positive, got {self.radius}. Try 1.0.")
        reach = math.ceil(3 * self.radius)
        steps = torch.arange(-reach, reach + 1).to(values)
        kernel = (-0.5 * (steps / self.radius).square()).exp()
        kernel = kernel / kernel.sum()
        grey = values.flatten(0, 1)[:, None]
        grey = F.pad(grey, (reach,) * 4, mode="replicate")
        grey = F.conv2d(F.conv2d(grey, kernel[None, None, None]), kernel[None, None, :, None])
        return grey.view(values.shape), observed


@dataclass(eq=False, repr=False)
class Downsampling(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Reduce images by averaging squares of pixels, then enlarge them by bilinear interpolation.

    Parameters
    ----------
    factor : int, default=2
        Side of the squares in pixels. If it does not divide the height or width, the last pixels
        are repeated. Larger values remove more detail.

    Examples
    --------
    >>> images, observed = torch.rand(2, 1, 8, 8), torch.ones(2, 64, dtype=torch.bool)
    >>> Downsampling(2)(images, observed)[0].shape
    torch.Size([2, 1, 8, 8])
    """

    factor: int = 2

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Remove detail from a batch of images."""
        _check_images("Downsampling", values)
        if self.factor < 1:
            raise ParameterError(f"factor must be at least 1, got {self.factor}. Try 2.")
        height, width = values.shape[2:]
        padding = (0, -width % self.factor, 0, -height % self.factor)
        small = F.avg_pool2d(F.pad(values, padding, mode="replicate"), self.factor)
        return larger(small, self.factor)[:, :, :height, :width], observed


def larger(images: Tensor, times: int) -> Tensor:
    """Enlarge images by a factor, with bilinear interpolation."""
    if times == 1:
        return images
    return F.interpolate(images, scale_factor=times, mode="bilinear", align_corners=False)


def _uniform_between(low: float, high: float, values: Tensor) -> Tensor | float:
    """Return ``low`` if both bounds are equal, else a uniform draw for each row."""
    if low == high:
        return low
    first = values.flatten(1)[:, 0].float()
    share = uniform_like(first).view(-1, *(1,) * (values.ndim - 1))
    return low + (high - low) * share


def _span(length: int, side: int, values: Tensor) -> Tensor:
    """Return a mask of ``side`` consecutive positions for each row, drawn at random."""
    start = draw_shard(
        lambda n: torch.randint(length - side + 1, (n, 1), device=values.device), len(values)
    )
    place = torch.arange(length, device=values.device)
    return (place >= start) & (place < start + side)


def _check_images(name: str, values: Tensor) -> None:
    if values.ndim != 4:
        raise ParameterError(f"{name} must be applied to images, got rows of a table. Use Masking.")


def _check_fraction(name: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise ParameterError(f"{name} must be in [0, 1), got {rate}. Try 0.2.")
