"""PCA baseline of a search, on the encoded rows of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently.estimators import BaseAutoencoder, Spectrum, fit_spectrum, fitted_of
from latently.nn import Cells

#: Fraction of the observed cells that is hidden to score an imputation.
_HIDDEN = 0.2


@dataclass(frozen=True)
class EncodedPCA:
    """PCA of encoded rows.

    Attributes
    ----------
    model : autoencoder
        Fitted autoencoder, whose encoding is used.
    spectrum : Spectrum
        Mean and directions of the PCA.
    n_components : int
        Number of directions in use.
    """

    model: BaseAutoencoder
    spectrum: Spectrum
    n_components: int

    @classmethod
    def fit(cls, model: BaseAutoencoder, X: Any, n_components: int) -> EncodedPCA:
        """Fit a PCA to the rows encoded by a fitted model."""
        cells = fitted_of(model).read(X, fitting=True)
        spectrum = fit_spectrum(cells, model.preprocessor_.layout)
        return cls(model, spectrum, min(n_components, len(spectrum.components)))

    def codes(self, X: Any) -> np.ndarray:
        """Return the components of rows, (n_samples, n_components)."""
        codes: np.ndarray = (self._centered(fitted_of(self.model).read(X)) @ self._axes.T).numpy()
        return codes

    def errors(self, X: Any) -> np.ndarray:
        """Return the squared distance of each row from its reconstruction."""
        residuals = self._residuals(fitted_of(self.model).read(X))
        errors: np.ndarray = residuals.square().sum(1).numpy()
        return errors

    def unexplained(self, X: Any) -> float:
        """Return the share of the variation of rows that is not reconstructed."""
        cells = fitted_of(self.model).read(X)
        whole = self._centered(cells).square().sum()
        return float(self._residuals(cells).square().sum() / whole.clamp(min=1e-30))

    def reconstruct(self, cells: Cells) -> Tensor:
        """Return the reconstruction of encoded rows, with missing cells filled by the mean."""
        centered = self._centered(cells)
        return self.spectrum.mean.double() + centered @ self._axes.T @ self._axes

    @property
    def _axes(self) -> Tensor:
        return self.spectrum.components[: self.n_components].double()

    def _centered(self, cells: Cells) -> Tensor:
        centered = cells.values.flatten(1).double() - self.spectrum.mean.double()
        return torch.where(_seen(cells, self.model), centered, 0.0)

    def _residuals(self, cells: Cells) -> Tensor:
        residuals = cells.values.flatten(1).double() - self.reconstruct(cells)
        return torch.where(_seen(cells, self.model), residuals, 0.0)


@dataclass(frozen=True)
class HiddenCells:
    """Encoded rows with hidden cells, and the values of these cells."""

    shown: Cells
    values: Tensor
    hidden: Tensor
    mean: Tensor

    def unexplained(self, filled: Tensor) -> float:
        """Return the share of the variation of the hidden cells that is not predicted."""
        wrong = (self.values - filled)[self.hidden].square().sum()
        whole = (self.values - self.mean)[self.hidden].square().sum()
        return float(wrong / whole.clamp(min=1e-30))


def hide_cells(model: BaseAutoencoder, X: Any, seed: int) -> HiddenCells:
    """Hide a random fifth of the observed cells, the same for every model."""
    cells = fitted_of(model).read(X)
    shape = len(cells.values), model.preprocessor_.layout.n_columns
    observed = torch.ones(shape, dtype=torch.bool) if cells.observed is None else cells.observed
    drawn = torch.from_numpy(np.random.default_rng(seed).random(shape) < _HIDDEN)
    shown = Cells(cells.values, observed & ~drawn)
    hidden = model.module_.likelihood.spread(observed & drawn)
    return HiddenCells(
        shown, cells.values.flatten(1).double(), hidden, model.module_.center.double().flatten()
    )


def _seen(cells: Cells, model: BaseAutoencoder) -> Tensor:
    if cells.observed is None:
        return torch.ones((), dtype=torch.bool)
    return model.module_.likelihood.spread(cells.observed)
