"""What a PCA of the same size reaches, on rows encoded as the network sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently.estimators import BaseAutoencoder, Spectrum, fit_spectrum
from latently.nn import Cells

#: Share of the observed cells that is hidden to judge how gaps are filled.
_HIDDEN = 0.2


@dataclass(frozen=True)
class EncodedPCA:
    """A PCA of encoded rows.

    Attributes
    ----------
    model : autoencoder
        Whose encoding it shares.
    spectrum : Spectrum
        Mean and directions.
    n_components : int
        Directions in use.
    """

    model: BaseAutoencoder
    spectrum: Spectrum
    n_components: int

    @classmethod
    def fit(cls, model: BaseAutoencoder, X: Any, n_components: int) -> EncodedPCA:
        """Fit a PCA to rows as a fitted model encodes them."""
        spectrum = fit_spectrum(model._read(X, fitting=True), model.preprocessor_.layout)
        return cls(model, spectrum, min(n_components, len(spectrum.components)))

    def codes(self, X: Any) -> np.ndarray:
        """Return the coordinates of rows."""
        codes: np.ndarray = (self._centered(self.model._read(X)) @ self._axes.T).numpy()
        return codes

    def errors(self, X: Any) -> np.ndarray:
        """Return the squared distance of each row from its reconstruction."""
        errors: np.ndarray = self._residuals(self.model._read(X)).square().sum(1).numpy()
        return errors

    def left(self, X: Any) -> float:
        """Return the share of the variation of rows that is not rebuilt."""
        cells = self.model._read(X)
        whole = self._centered(cells).square().sum()
        return float(self._residuals(cells).square().sum() / whole.clamp(min=1e-30))

    def rebuild(self, cells: Cells) -> Tensor:
        """Return encoded rows rebuilt, hidden cells read as the mean."""
        centered = self._centered(cells)
        return self.spectrum.mean.double() + centered @ self._axes.T @ self._axes

    @property
    def _axes(self) -> Tensor:
        return self.spectrum.components[: self.n_components].double()

    def _centered(self, cells: Cells) -> Tensor:
        centered = cells.values.flatten(1).double() - self.spectrum.mean.double()
        return torch.where(_seen(cells, self.model), centered, 0.0)

    def _residuals(self, cells: Cells) -> Tensor:
        residuals = cells.values.flatten(1).double() - self.rebuild(cells)
        return torch.where(_seen(cells, self.model), residuals, 0.0)


@dataclass(frozen=True)
class HiddenCells:
    """Encoded rows with some cells hidden, and what was in them."""

    shown: Cells
    values: Tensor
    hidden: Tensor
    mean: Tensor

    def left(self, filled: Tensor) -> float:
        """Return the share of the variation of the hidden cells that is not filled in."""
        wrong = (self.values - filled)[self.hidden].square().sum()
        whole = (self.values - self.mean)[self.hidden].square().sum()
        return float(wrong / whole.clamp(min=1e-30))


def hide_cells(model: BaseAutoencoder, X: Any, seed: int) -> HiddenCells:
    """Hide a fifth of the observed cells, the same ones for every model."""
    cells = model._read(X)
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
