"""How many components a code needs: the error of every size, and the choice among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from latently._tabular import Tabular
from latently.estimators._baselines import Spectrum, automatic_components
from latently.estimators._inference import ask
from latently.exceptions import DataError
from latently.nn import AutoencoderModule, Cells

#: Sizes looked at beyond what a PCA needs, and the most.
_MORE, _FURTHER, _MOST = 2, 4, 64
#: Rows that the sizes are judged on.
_MAX_ROWS = 4_096
#: Share of the variation that may be left by the size chosen.
_LEFT = 0.1
#: A bend of the curve counts from here on: the logarithm of how many times more the last
#: component takes off than each of the next ones.
_BEND = 0.15
#: Where one component less leaves so little there is no need of a bend; and how many times what
#: each of the next ones takes off the last one must.
_LITTLE, _TIMES = 0.02, 2.0
#: Less of the variation than this is nothing: columns that repeat each other would make a bend.
_NOTHING = 1e-3
#: Sizes after a bend over which the curve must be flat.
_AFTER = 3

Reason = Literal["bend", "share", "best"]
#: What each reason says.
REASONS: dict[Reason, str] = {
    "bend": "where the curve bends",
    "share": "the first to leave at most a tenth",
    "best": "the first to rebuild nine tenths of what the best one does",
}


@dataclass(frozen=True, repr=False)
class ComponentsCurve(Tabular):
    """The error of codes of every size, and the size chosen.

    Attributes
    ----------
    errors : tuple of float
        Share of the variation of unseen rows that 1, 2, ... components leave, those of the ordered
        code or, where the size was looked for, of a PCA if that leaves less; 0 rebuilds the rows to
        the last cell, 1 is no better than their mean.
    n_components : int
        The size chosen.
    reason : {"bend", "share", "best"}
        Why: the curve bends there, so that further components add little; or it is the first size
        to leave at most a tenth; or, where none does, the first to rebuild nine tenths of what the
        best one rebuilds.
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
        """Raise DataError if the parts do not belong together, as those of a file may not."""
        known = 1 <= self.n_components <= len(self.errors)
        if not known or not all(0 <= error < np.inf for error in self.errors):
            raise DataError("The model's components_curve_ does not fit together.")

    @classmethod
    def choose(cls, errors: np.ndarray) -> ComponentsCurve:
        """Choose among sizes 1, 2, ... by their errors.

        Parameters
        ----------
        errors : ndarray of shape (n_sizes,)
            Share of the variation that each leaves.

        Returns
        -------
        ComponentsCurve
            The curve with its choice.
        """
        bend = _bend(errors)
        if bend is not None:
            return cls(tuple(errors.tolist()), bend, "bend")
        least = float(errors.min())
        allowed = _LEFT if least <= _LEFT else 1 - (1 - _LEFT) * (1 - least)
        first = int(np.argmax(errors <= max(allowed, least))) + 1
        return cls(tuple(errors.tolist()), first, "share" if least <= _LEFT else "best")

    def __str__(self) -> str:
        why = REASONS[self.reason]
        around = range(max(self.n_components - 1, 1), min(self.n_components + 1, len(self.errors)))
        left = ", ".join(f"{size}: {self.errors[size - 1]:.1%}" for size in [*around, around.stop])
        return f"{self.n_components} components, {why} (variation left by {left})"


def _bend(errors: np.ndarray) -> int | None:
    """Return the size at which the curve of the logarithm bends most, where it does."""
    if len(errors) <= 2:
        return None
    logs = np.log(np.maximum(np.concatenate([[1.0], errors]), _NOTHING))
    sizes = np.arange(1, len(errors))
    ahead = np.minimum(sizes + _AFTER, len(errors))
    before, after = logs[sizes - 1] - logs[sizes], (logs[sizes] - logs[ahead]) / (ahead - sizes)
    bends = before - after
    # A curve that falls evenly to nothing bends in its logarithm only.
    one_less = np.concatenate([[1.0], errors[:-2]])
    taken = one_less - errors[:-1]
    later = (errors[sizes - 1] - errors[ahead - 1]) / (ahead - sizes)
    bends[(one_less < _LITTLE) | (taken < _TIMES * later)] = -np.inf
    best = int(bends.argmax())
    plain = bends[best] >= _BEND and errors[best] <= _LEFT
    return int(sizes[best]) if plain else None


def most_components(spectrum: Spectrum) -> int:
    """Return the largest size worth a look: well beyond what a PCA of the rows needs."""
    by_pca = automatic_components(spectrum)
    return min(_MORE * by_pca + _FURTHER, len(spectrum.mean), _MOST)


def size_errors(module: AutoencoderModule, cells: Cells) -> np.ndarray:
    """Return the share of the variation that each number of first components leaves.

    Parameters
    ----------
    module : AutoencoderModule
        With an ordered code.
    cells : Cells
        Rows to judge by.

    Returns
    -------
    ndarray of shape (n_components,)
        One for each size from 1.
    """
    squares = ask(module, cells.take(slice(_MAX_ROWS)), _squares_left).sum(0, dtype=torch.float64)
    *left, whole = squares.tolist()
    return np.array(left) / whole if whole else np.ones(len(left))


def _squares_left(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return each row's squared distance from what each size rebuilds and from the mean."""
    code, mean = module.latent(module.hidden(cells)).sample, module.likelihood.mean
    target = cells.values.flatten(1)
    rebuilt = (mean(module.decode(code[:, :size])) for size in range(1, code.shape[1] + 1))
    distances = [target - rows for rows in rebuilt]
    if cells.observed is not None:
        seen = module.likelihood.spread(cells.observed)
        distances = [torch.where(seen, distance, 0.0) for distance in distances]
    distances.append(module.centered(cells))
    return torch.stack([distance.square().sum(1) for distance in distances], 1)
