"""Selection of the number of components from the reconstruction error of every size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from latently._tabular import Tabular
from latently.estimators._inference import ask
from latently.estimators.fit._baselines import Spectrum, automatic_components
from latently.exceptions import DataError
from latently.nn import AutoencoderModule, Cells

#: The largest size tried is this factor times the size of a PCA, plus this number, at most this.
_PCA_FACTOR, _PCA_EXTRA, _MAX_SIZE = 2, 4, 64
#: Maximum number of rows on which errors are computed.
_MAX_ROWS = 4_096
#: Maximum share of the variation that the selected size may leave.
_MAX_LEFT = 0.1
#: Minimum bend: the decrease of the log error by the last component, minus the mean decrease by
#: each of the next ones.
_MIN_BEND = 0.15
#: There is no bend where one component less leaves a smaller share than this, or where the last
#: component reduces the error by less than this factor times each of the next ones.
_NEGLIGIBLE, _MIN_DROP_RATIO = 0.02, 2.0
#: Smaller shares count as this share. Otherwise redundant columns would cause a bend.
_FLOOR = 1e-3
#: Number of sizes after a bend that are compared with it.
_N_AHEAD = 3

Reason = Literal["bend", "share", "best"]
#: Text of each reason.
REASONS: dict[Reason, str] = {
    "bend": "where the curve bends",
    "share": "the first to leave at most a tenth",
    "best": "the first to reconstruct nine tenths as much as the best",
}


@dataclass(frozen=True, repr=False)
class ComponentsCurve(Tabular):
    """Reconstruction errors of codes of every size, and the selected size.

    Attributes
    ----------
    errors : tuple of float
        Share of the variation of held-out rows that 1, 2, ... components leave. 0 is a perfect
        reconstruction, 1 is one as good as the mean. With ``n_components="auto"`` it is the lower
        of the errors of the ordered code and of a PCA.
    n_components : int
        Selected size.
    reason : {"bend", "share", "best"}
        Reason of the selection. "bend": the curve bends there, and further components add little.
        "share": the first size that leaves at most a tenth of the variation. "best": no size does,
        and this is the first to reconstruct nine tenths of the variation that the best size
        reconstructs.
    """

    errors: tuple[float, ...]
    n_components: int
    reason: Reason

    def __post_init__(self) -> None:
        object.__setattr__(self, "errors", tuple(self.errors))

    def columns(self) -> dict[str, list[Any]]:
        """Return each size, the share of the variation that it leaves, and which was chosen.

        Returns
        -------
        dict of str to list
            An entry a size.
        """
        sizes = range(1, len(self.errors) + 1)
        chosen = [size == self.n_components for size in sizes]
        return {"n_components": list(sizes), "left": list(self.errors), "chosen": chosen}

    def caption(self) -> str:
        return str(self)

    def check_consistent(self) -> None:
        """Raise DataError if the attributes, such as those of a file, are inconsistent."""
        known = 1 <= self.n_components <= len(self.errors)
        if not known or not all(0 <= error < np.inf for error in self.errors):
            raise DataError(
                "The components_curve_ of the model is inconsistent. Save the model again."
            )

    @classmethod
    def choose(cls, errors: np.ndarray) -> ComponentsCurve:
        """Select among sizes 1, 2, ... by their errors.

        Parameters
        ----------
        errors : ndarray of shape (n_sizes,)
            Share of the variation that each size leaves.

        Returns
        -------
        ComponentsCurve
            The curve with the selected size.
        """
        bend = _bend(errors)
        if bend is not None:
            return cls(tuple(errors.tolist()), bend, "bend")
        least = float(errors.min())
        allowed = _MAX_LEFT if least <= _MAX_LEFT else 1 - (1 - _MAX_LEFT) * (1 - least)
        first = int(np.argmax(errors <= max(allowed, least))) + 1
        return cls(tuple(errors.tolist()), first, "share" if least <= _MAX_LEFT else "best")

    def __str__(self) -> str:
        why = REASONS[self.reason]
        around = range(max(self.n_components - 1, 1), min(self.n_components + 1, len(self.errors)))
        left = ", ".join(f"{size}: {self.errors[size - 1]:.1%}" for size in [*around, around.stop])
        return f"{self.n_components} components, {why} (variation left by {left})"


def _bend(errors: np.ndarray) -> int | None:
    """Return the size at which the log error bends most, or None without a bend."""
    if len(errors) <= 2:
        return None
    logs = np.log(np.maximum(np.concatenate([[1.0], errors]), _FLOOR))
    sizes = np.arange(1, len(errors))
    ahead = np.minimum(sizes + _N_AHEAD, len(errors))
    before, after = logs[sizes - 1] - logs[sizes], (logs[sizes] - logs[ahead]) / (ahead - sizes)
    bends = before - after
    # A curve that decreases linearly to zero bends only in its logarithm.
    one_less = np.concatenate([[1.0], errors[:-2]])
    taken = one_less - errors[:-1]
    later = (errors[sizes - 1] - errors[ahead - 1]) / (ahead - sizes)
    bends[(one_less < _NEGLIGIBLE) | (taken < _MIN_DROP_RATIO * later)] = -np.inf
    best = int(bends.argmax())
    plain = bends[best] >= _MIN_BEND and errors[best] <= _MAX_LEFT
    return int(sizes[best]) if plain else None


def most_components(spectrum: Spectrum) -> int:
    """Return the largest size to try, well above the number of components of a PCA."""
    by_pca = automatic_components(spectrum)
    return min(_PCA_FACTOR * by_pca + _PCA_EXTRA, len(spectrum.mean), _MAX_SIZE)


def size_errors(module: AutoencoderModule, cells: Cells) -> np.ndarray:
    """Return the share of the variation that the first 1, 2, ... components leave.

    Parameters
    ----------
    module : AutoencoderModule
        Module with an ordered code.
    cells : Cells
        Rows on which the errors are computed.

    Returns
    -------
    ndarray of shape (n_components,)
        Share left by each size from 1.
    """
    squares = ask(module, cells.take(slice(_MAX_ROWS)), _squares_left).sum(0, dtype=torch.float64)
    *left, whole = squares.tolist()
    return np.array(left) / whole if whole else np.ones(len(left))


def _squares_left(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return squared distances of rows from the reconstruction of each size and from the mean."""
    code, mean = module.latent(module.hidden(cells)).sample, module.likelihood.mean
    target = cells.values.flatten(1)
    reconstructions = (mean(module.decode(code[:, :size])) for size in range(1, code.shape[1] + 1))
    distances = [target - rows for rows in reconstructions]
    if cells.observed is not None:
        seen = module.likelihood.spread(cells.observed)
        distances = [torch.where(seen, distance, 0.0) for distance in distances]
    distances.append(module.centered(cells))
    return torch.stack([distance.square().sum(1) for distance in distances], 1)
