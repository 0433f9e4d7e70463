"""What the mean and a PCA of the same size reach on the same rows: is the network worth it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from latently._layout import Layout
from latently._tabular import Tabular
from latently.exceptions import DataError
from latently.io import check_memory
from latently.nn import AutoencoderModule, Cells, spread

#: Rows that the PCA is fitted to; its error hardly changes with more.
_MAX_PCA_ROWS = 10_000
#: Widest row for which the covariance is decomposed whole.
_MAX_COVARIANCE_WIDTH = 2_048
_RANDOMIZED_COMPONENTS = 128
#: Of the rows and of what is left of them, in double precision.
_BYTES_PER_ELEMENT = 24
#: Share of the variance that ``n_components="auto"`` keeps, and its most components.
_AUTO_SHARE = 0.9
_AUTO_MAX_COMPONENTS = 64
#: A PCA within this factor of the network is called as good.
_AS_GOOD = 1.02


@dataclass(frozen=True, repr=False)
class Baselines(Tabular):
    """Mean squared error of an encoded cell, on the same rows, by three ways to rebuild them.

    Attributes
    ----------
    mean : float
        By the column means.
    pca : float
        By a PCA of as many components as the model has active in a row.
    autoencoder : float
        By the fitted model.
    n_components : int
        Components of that PCA.
    n_rows : int
        Rows judged.
    rows : {"validation", "training"}
        Which rows: training rows only where there were too few to hold any out.
    """

    mean: float
    pca: float
    autoencoder: float
    n_components: int
    n_rows: int
    rows: Literal["validation", "training"]

    def columns(self) -> dict[str, list[Any]]:
        """Return each way to rebuild the rows, with its error.

        Returns
        -------
        dict of str to list
            Three entries.
        """
        ways = ("mean", "pca", "autoencoder")
        return {"by": list(ways), "squared_error": [float(getattr(self, way)) for way in ways]}

    def caption(self) -> str:
        return str(self)

    def check_consistent(self) -> None:
        """Raise DataError if the figures of a file cannot be."""
        errors = (self.mean, self.pca, self.autoencoder)
        if not all(error >= 0 for error in errors) or self.n_components < 0:
            raise DataError("The model's baselines_ are out of range.")
        if not 0 < self.n_rows < 2**62:
            raise DataError("The model's baselines_ are of no rows.")

    def __str__(self) -> str:
        return (
            f"squared error of a cell on {self.n_rows:,} {self.rows} rows: "
            f"column means {self.mean:.4g}, PCA of {self.n_components} components {self.pca:.4g}, "
            f"autoencoder {self.autoencoder:.4g} ({self.verdict})"
        )

    @property
    def verdict(self) -> str:
        """Say in words how the model compares with PCA."""
        if self.autoencoder > self.mean:
            return "worse than the column means: train longer, or the columns are unrelated"
        if self.autoencoder * _AS_GOOD < self.pca:
            return f"{1 - self.autoencoder / self.pca:.0%} below PCA"
        standing = "better" if self.autoencoder > self.pca * _AS_GOOD else "as good"
        return f"PCA of the same size is {standing}: try more steps, wider layers, or use PCA"


class Spectrum(NamedTuple):
    """A PCA of the encoded rows.

    Attributes
    ----------
    mean : Tensor of shape (width,)
        Mean of the encoded rows.
    components : Tensor of shape (n, width)
        Directions, the largest variance first.
    shares : Tensor of shape (n,)
        Share of the variance along each.
    mean_square : float
        Mean squared length of a row less the mean.
    """

    mean: Tensor
    components: Tensor
    shares: Tensor
    mean_square: float


def fit_spectrum(cells: Cells, layout: Layout) -> Spectrum:
    """Return the PCA of some rows, missing cells filled with the mean."""
    n_rows, width = min(len(cells.values), _MAX_PCA_ROWS), layout.width
    check_memory(
        n_rows * width * _BYTES_PER_ELEMENT,
        f"The PCA of {n_rows:,} rows of {width:,} encoded elements that a model is compared with",
        "Give fewer columns or rows",
    )
    seen = _seen_elements(cells, layout)
    mean = _observed_mean(cells.values.flatten(1), seen)
    first = slice(_MAX_PCA_ROWS)
    rows = cells.values[first].flatten(1).double() - mean.double()
    if seen is not None:
        rows = torch.where(seen[first], rows, 0.0)
    if rows.shape[1] <= _MAX_COVARIANCE_WIDTH:
        values, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        values, vectors = values.flip(0).clamp(min=0), vectors.flip(1)
    else:
        rank = min(_RANDOMIZED_COMPONENTS, *rows.shape)
        _, singular, vectors = torch.svd_lowrank(rows, rank, niter=4)
        values = singular.square() / len(rows)
    total = rows.square().sum(1).mean()
    shares = values / total.clamp(min=1e-30)
    return Spectrum(mean, vectors.T.float(), shares.float(), float(total))


def automatic_components(spectrum: Spectrum) -> int:
    """Return the size of the code for ``n_components="auto"``."""
    below = spectrum.shares.cumsum(0) < _AUTO_SHARE - 1e-9
    return min(int(below.sum()) + 1, len(spectrum.shares), _AUTO_MAX_COMPONENTS)


def shares_left(spectrum: Spectrum, cells: Cells, layout: Layout, n_sizes: int) -> Tensor:
    """Return the share of the variation of rows that a PCA of 1, 2, ... components leaves.

    A missing cell reads as the mean.
    """
    centered = cells.values.flatten(1) - spectrum.mean
    seen = _seen_elements(cells, layout)
    if seen is not None:
        centered = torch.where(seen, centered, 0.0)
    whole = centered.square().sum().clamp(min=1e-30)
    kept = (centered @ spectrum.components[:n_sizes].T).square().sum(0).cumsum(0)
    return (1 - kept / whole).clamp(min=0)


def compare(
    module: AutoencoderModule,
    spectrum: Spectrum,
    target: Cells,
    rebuilt: Tensor,
    rows: Literal["validation", "training"],
) -> Baselines:
    """Hold a model's reconstruction of some rows against the column means and PCA."""
    seen = _seen_elements(target, module.likelihood.layout)
    values = target.values.flatten(1)
    centered = values - spectrum.mean
    if seen is not None:
        centered = torch.where(seen, centered, 0.0)
    components = spectrum.components[: module.latent.n_active]
    return Baselines(
        mean=_mean_square(centered, seen),
        pca=_mean_square(centered - centered @ components.T @ components, seen),
        autoencoder=_mean_square(values - rebuilt, seen),
        n_components=len(components),
        n_rows=len(values),
        rows=rows,
    )


def _seen_elements(cells: Cells, layout: Layout) -> Tensor | None:
    return None if cells.observed is None else spread(cells.observed, layout)


def _observed_mean(values: Tensor, seen: Tensor | None) -> Tensor:
    if seen is None:
        return values.mean(0)
    return torch.where(seen, values, 0.0).sum(0) / seen.sum(0).clamp(min=1)


def _mean_square(differences: Tensor, seen: Tensor | None) -> float:
    if seen is None:
        return float(differences.square().mean())
    return float(differences[seen].square().mean()) if bool(seen.any()) else 0.0
