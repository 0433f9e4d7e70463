"""Distances between synthetic and real rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

#: Rows of each table between which distances are taken.
_NEAR_ROWS = 4_000
#: Share of the real rows' own nearest distances that counts as near.
_NEAR = 0.05
#: A squared distance below this, in deviations, is a copy.
_COPY = 1e-9


@dataclass(frozen=True)
class Privacy:
    """Distances from synthetic rows to the nearest real ones.

    Attributes
    ----------
    copies : float
        Share of synthetic rows that equal a real one.
    nearest : float
        Median distance to the nearest real row, in standard deviations.
    usual : float
        The same for rows that ``real`` does not hold (the holdout), or from real row to real row.
    too_near : float
        Share of synthetic rows that are nearer to a real row than 95 % of those are; about 0.05
        where nothing is given away.
    dcr_share : float or None, default=None
        Share of synthetic rows nearer to a row of ``real`` than to one of the holdout, of as many
        rows of each: 0.5 is best, 1 if all repeat ``real``. None without a holdout.
    adversarial_accuracy : float, default=0.5
        Accuracy with which the nearest neighbour tells real from synthetic rows [1]_: 0.5 is best,
        1 if the tables lie apart, 0 if each synthetic row repeats a real one.
    privacy_loss : float or None, default=None
        Adversarial accuracy against the holdout minus that against ``real``: 0 is best, positive
        if synthetic rows are nearer to ``real``. None without a holdout.

    References
    ----------
    .. [1] Yale et al. (2020), Generation and Evaluation of Privacy Preserving Synthetic Health
       Data.
    """

    copies: float
    nearest: float
    usual: float
    too_near: float
    dcr_share: float | None = None
    adversarial_accuracy: float = 0.5
    privacy_loss: float | None = None

    def lines(self) -> list[str]:
        """Return the figures with their meaning."""
        found = [
            f"nearest real row {self.nearest:.2f} deviations away, usual is {self.usual:.2f}; "
            f"{self.too_near:.1%} are too near (5 % is usual), {self.copies:.1%} are copies",
            f"the nearest neighbour tells them from real rows with an accuracy of "
            f"{self.adversarial_accuracy:.2f} (0.5 is best, below it rows are repeated)",
        ]
        if self.dcr_share is not None and self.privacy_loss is not None:
            found.append(
                f"{self.dcr_share:.1%} are nearer to real than to held-out rows (50 % is best); "
                f"privacy loss {self.privacy_loss:.2f} (0 is best)"
            )
        return found


def nearness(
    real: np.ndarray, synthetic: np.ndarray, holdout: np.ndarray | None, rng: np.random.Generator
) -> Privacy:
    """Return how near synthetic rows come to real ones.

    Parameters
    ----------
    real, synthetic : ndarray of shape (n_samples, width)
        Encoded rows, NaN for missing cells.
    holdout : ndarray of shape (n_samples, width) or None
        Real rows that the generator did not see.
    rng : numpy.random.Generator
        Random state of subsamples.

    Returns
    -------
    Privacy
        Shares and distances.
    """
    rows = np.nan_to_num(_some(real, rng))
    others = rows if holdout is None else np.nan_to_num(_some(holdout, rng))
    made = np.nan_to_num(_some(synthetic, rng))
    usual = _nearest(others, rows, own=holdout is None)
    found = _nearest(made, rows)
    accuracy, share, loss = _adversarial(rows, made), None, None
    if holdout is not None:
        share = _dcr_share(rows, others, made)
        loss = _adversarial(others, made) - accuracy
    return Privacy(
        copies=float((found < _COPY).mean()),
        nearest=float(np.sqrt(np.median(found))),
        usual=float(np.sqrt(np.median(usual))),
        too_near=_share_below(found, usual),
        dcr_share=share,
        adversarial_accuracy=accuracy,
        privacy_loss=loss,
    )


def _some(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rows[rng.permutation(len(rows))[:_NEAR_ROWS]]


def _dcr_share(real: np.ndarray, holdout: np.ndarray, synthetic: np.ndarray) -> float:
    """Return the share of rows nearer to real than to held-out rows; ties count half."""
    n = min(len(real), len(holdout))
    to_real, to_others = (_nearest(synthetic, rows[:n]) for rows in (real, holdout))
    is_tie = np.abs(to_real - to_others) <= _COPY
    return float(((to_real < to_others) & ~is_tie).mean() + is_tie.mean() / 2)


def _adversarial(real: np.ndarray, synthetic: np.ndarray) -> float:
    """Return the leave-one-out accuracy of the nearest neighbour, with as many rows of each."""
    n = min(len(real), len(synthetic))
    real, synthetic = real[:n], synthetic[:n]
    parts = []
    for rows, others in ((real, synthetic), (synthetic, real)):
        across, within = _nearest(rows, others), _nearest(rows, rows, own=True)
        is_tie = np.abs(across - within) <= _COPY
        parts.append(((across > within) & ~is_tie).mean() + is_tie.mean() / 2)
    return float(np.mean(parts))


def _share_below(found: np.ndarray, usual: np.ndarray) -> float:
    """Return the share below what 5 % of the usual are; of ties, as many as of the usual count."""
    limit = np.quantile(usual, _NEAR, method="lower")
    below, tied = ((usual < limit).mean(), (usual == limit).mean())
    part = (_NEAR - below) / max(tied, 1e-12)
    return float((found < limit).mean() + part * (found == limit).mean())


def _nearest(rows: np.ndarray, others: np.ndarray, *, own: bool = False) -> np.ndarray:
    """Return the squared distance to the nearest other row."""
    distance = cdist(rows, others, "sqeuclidean")
    if own:
        np.fill_diagonal(distance, np.inf)
    nearest: np.ndarray = distance.min(1)
    return nearest
