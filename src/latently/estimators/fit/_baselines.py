"""Baselines of a model: the errors of the column means and of a PCA of the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from latently._layout import Layout
from latently._tabular import Tabular
from latently.exceptions import DataError
from latently.io._resources import check_memory
from latently.nn import AutoencoderModule, Cells, spread

#: Maximum number of rows of the PCA, whose error hardly changes with more.
_MAX_PCA_ROWS = 10_000
#: Maximum row width for a full decomposition of the covariance.
_MAX_COVARIANCE_WIDTH = 2_048
_RANDOMIZED_COMPONENTS = 128
#: Bytes per element of the rows and their residuals, in double precision.
_BYTES_PER_ELEMENT = 24
#: Share of the variance that ``n_components="auto"`` keeps, and its maximum.
_AUTO_SHARE = 0.9
_AUTO_MAX_COMPONENTS = 64
#: A PCA whose error is within this factor of the error of the network is called as good.
_TIE_FACTOR = 1.02


@dataclass(frozen=True, repr=False)
class Baselines(Tabular):
    """Mean squared errors of encoded cells by the model and by two baselines, on the same rows.

    Attributes
    ----------
    mean : float
        Error of the column means.
    pca : float
        Error of a PCA with as many components as are active in a row of the model.
    autoencoder : float
        Error of the fitted model.
    n_components : int
        Number of components of the PCA.
    n_rows : int
        Number of rows.
    rows : {"validation", "training"}
        Kind of the rows. Training rows are used only if no rows were held out.
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
        """Raise DataError if the values, such as those of a file, are impossible."""
        errors = (self.mean, self.pca, self.autoencoder)
        if not all(error >= 0 for error in errors) or self.n_components < 0:
            raise DataError("The model's baselines_ are out of range.")
        if not 0 < self.n_rows < 2**62:
            raise DataError("The model's baselines_ have an impossible number of rows.")

    def __str__(self) -> str:
        return (
            f"squared error of a cell on {self.n_rows:,} {self.rows} rows: "
            f"column means {self.mean:.4g}, PCA of {self.n_components} components {self.pca:.4g}, "
            f"autoencoder {self.autoencoder:.4g} ({self.conclusion})"
        )

    @property
    def conclusion(self) -> str:
        """Comparison with the PCA, in words."""
        if self.autoencoder > self.mean:
            return "worse than the column means: train longer, or the columns are unrelated"
        if self.autoencoder * _TIE_FACTOR < self.pca:
            return f"{1 - self.autoencoder / self.pca:.0%} below PCA"
        standing = "better" if self.autoencoder > self.pca * _TIE_FACTOR else "as good"
        return f"PCA of the same size is {standing}: try more steps, wider layers, or use PCA"


class Spectrum(NamedTuple):
    """A PCA of the encoded rows.

    Attributes
    ----------
    mean : Tensor of shape (width,)
        Mean of the encoded rows.
    components : Tensor of shape (n, width)
        Directions, sorted by decreasing variance.
    shares : Tensor of shape (n,)
        Share of the variance along each direction.
    mean_square : float
        Mean squared norm of the centered rows.
    """

    mean: Tensor
    components: Tensor
    shares: Tensor
    mean_square: float


def fit_spectrum(cells: Cells, layout: Layout) -> Spectrum:
    """Return the PCA of some rows, with missing cells filled by the mean."""
    n_rows, width = min(len(cells.values), _MAX_PCA_ROWS), layout.width
    check_memory(
        n_rows * width * _BYTES_PER_ELEMENT,
        f"The PCA of {n_rows:,} rows of {width:,} encoded elements that a model is compared with",
        "Give fewer columns or rows",
    )
    observed = _observed_elements(cells, layout)
    mean = _observed_mean(cells.values.flatten(1), observed)
    first = slice(_MAX_PCA_ROWS)
    rows = cells.values[first].flatten(1).double() - mean.double()
    if observed is not None:
        rows = torch.where(observed[first], rows, 0.0)
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


def unexplained_shares(spectrum: Spectrum, cells: Cells, layout: Layout, n_sizes: int) -> Tensor:
    """Return the share of the variation of rows that a PCA of 1, 2, ... components leaves.

    Missing cells are filled by the mean.
    """
    centered = cells.values.flatten(1) - spectrum.mean
    observed = _observed_elements(cells, layout)
    if observed is not None:
        centered = torch.where(observed, centered, 0.0)
    whole = centered.square().sum().clamp(min=1e-30)
    kept = (centered @ spectrum.components[:n_sizes].T).square().sum(0).cumsum(0)
    return (1 - kept / whole).clamp(min=0)


def compare_with_baselines(
    module: AutoencoderModule,
    spectrum: Spectrum,
    target: Cells,
    reconstruction: Tensor,
    rows: Literal["validation", "training"],
) -> Baselines:
    """Return the errors of reconstructed rows, of the column means and of the PCA."""
    observed = _observed_elements(target, module.likelihood.layout)
    values = target.values.flatten(1)
    centered = values - spectrum.mean
    if observed is not None:
        centered = torch.where(observed, centered, 0.0)
    components = spectrum.components[: module.latent.n_active]
    return Baselines(
        mean=_mean_square(centered, observed),
        pca=_mean_square(centered - centered @ components.T @ components, observed),
        autoencoder=_mean_square(values - reconstruction, observed),
        n_components=len(components),
        n_rows=len(values),
        rows=rows,
    )


def _observed_elements(cells: Cells, layout: Layout) -> Tensor | None:
    return None if cells.observed is None else spread(cells.observed, layout)


def _observed_mean(values: Tensor, observed: Tensor | None) -> Tensor:
    if observed is None:
        return values.mean(0)
    return torch.where(observed, values, 0.0).sum(0) / observed.sum(0).clamp(min=1)


def _mean_square(differences: Tensor, observed: Tensor | None) -> float:
    if observed is None:
        return float(differences.square().mean())
    return float(differences[observed].square().mean()) if bool(observed.any()) else 0.0
