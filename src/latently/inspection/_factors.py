"""Agreement of latents with known factors, and with the latents of other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn import config_context
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.metrics import mutual_info_score

from latently._tabular import Tabular
from latently.exceptions import DataError
from latently.inspection._latents import decoding_model

#: Bins of mutual information, trees of DCI, and the smallest correlation of a trusted latent.
_N_BINS, _N_TREES, _TRUSTED = 20, 50, 0.9


_MEASURES = ("mig", "disentanglement", "completeness", "informativeness", "sap", "correlation")


@dataclass(frozen=True, eq=False, repr=False)
class FactorScores(Tabular):
    """Agreement of a code with known factors, from 0 (none) to 1 (perfect).

    Attributes
    ----------
    mutual_information : ndarray of shape (n_latents, n_factors)
        Mutual information of each latent and factor, divided by the entropy of the factor.
    mig : float
        Mutual information gap between the best and the second latent, mean over factors.
    disentanglement, completeness, informativeness : float
        DCI scores. Disentanglement is 1 if each latent predicts a single factor, completeness is 1
        if a single latent predicts each factor. Informativeness is the R2 of the factors.
    sap : float
        Gap of the squared correlation between the best and the second latent, mean over factors.
    correlation : float
        Mean absolute rank correlation of factors and latents, matched one to one.
    matched : tuple of int
        Index of the latent matched to each factor.
    """

    mutual_information: np.ndarray
    mig: float
    disentanglement: float
    completeness: float
    informativeness: float
    sap: float
    correlation: float
    matched: tuple[int, ...]

    def columns(self) -> dict[str, list[Any]]:
        """Return each measure with its value, except the array of mutual information.

        Returns
        -------
        dict of str to list
            An entry a measure.
        """
        names = _MEASURES
        return {"measure": list(names), "value": [float(getattr(self, name)) for name in names]}

    def __str__(self) -> str:
        return (
            f"MIG {self.mig:.2f}, DCI {self.disentanglement:.2f} / {self.completeness:.2f} / "
            f"{self.informativeness:.2f}, SAP {self.sap:.2f}, matched correlation "
            f"{self.correlation:.2f}"
        )


def score_factors(Z: Any, factors: Any) -> FactorScores:
    """Measure how well codes stand for known factors, one latent each.

    Parameters
    ----------
    Z : array-like of shape (n_samples, n_latents)
        Codes.
    factors : array-like of shape (n_samples, n_factors)
        The truth, as numbers.

    Returns
    -------
    FactorScores
        MIG [1]_, DCI [2]_, SAP [3]_ and the correlation of matched pairs.

    Raises
    ------
    DataError
        If the two are not tables of numbers with as many rows, 100 at least.

    References
    ----------
    .. [1] Chen et al. (2018), Isolating Sources of Disentanglement in VAEs.
    .. [2] Eastwood and Williams (2018), A Framework for the Quantitative Evaluation of Disentangled
       Representations.
    .. [3] Kumar, Sattigeri and Balakrishnan (2018), Variational Inference of Disentangled Latent
       Concepts from Unlabeled Observations.

    Examples
    --------
    >>> factors = np.random.default_rng(0).normal(size=(500, 3))
    >>> scores = score_factors(factors[:, ::-1], factors)
    >>> scores.matched, scores.mig > 0.8
    ((2, 1, 0), True)
    """
    codes, truth = (np.asarray(part, dtype=np.float64) for part in (Z, factors))
    if codes.ndim != 2 or truth.ndim != 2 or len(codes) != len(truth) or len(codes) < 100:
        raise DataError(
            f"Codes and factors must be tables of as many rows, 100 at least, got shapes "
            f"{codes.shape} and {truth.shape}."
        )
    information = _information(codes, truth)
    squares = np.square(_correlations(codes, truth))
    weights, r2 = _importances(codes, truth)
    ranks = np.abs(_correlations(rankdata(codes, axis=0), rankdata(truth, axis=0)))
    latents, order = linear_sum_assignment(-ranks)
    return FactorScores(
        mutual_information=information,
        mig=_gap(information),
        disentanglement=_concentration(weights),
        completeness=_concentration(weights.T),
        informativeness=float(r2.clip(0).mean()),
        sap=_gap(squares),
        correlation=float(ranks[latents, order].mean()),
        matched=tuple(latents[np.argsort(order)].tolist()),
    )


def _gap(scores: np.ndarray) -> float:
    """Return the mean gap between the largest and the second value of each column."""
    if len(scores) == 1:
        return float(scores[0].mean())
    best = np.sort(scores, 0)[::-1]
    return float((best[0] - best[1]).mean())


def _information(codes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return mutual information less its bias under independence, divided by the entropy."""
    ours, theirs = ([_binned(column) for column in part.T] for part in (codes, truth))
    order = np.random.default_rng(0).permutation(len(codes))

    def information(place: int, factor: np.ndarray) -> float:
        found = mutual_info_score(ours[place], factor)
        return float(found - mutual_info_score(ours[place], factor[order]))

    entropy = np.array([mutual_info_score(factor, factor) for factor in theirs])
    found = [[information(place, factor) for factor in theirs] for place in range(len(ours))]
    shares: np.ndarray = np.clip(np.array(found) / np.maximum(entropy, 1e-12), 0, 1)
    return shares


def _binned(values: np.ndarray) -> np.ndarray:
    inner = np.quantile(values, np.linspace(0, 1, _N_BINS + 1)[1:-1])
    return np.asarray(np.digitize(values, np.unique(inner)))


def _correlations(codes: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return Pearson correlations, (n_latents, n_factors), with 0 for constant columns."""
    first, second = (
        (part - part.mean(0)) / np.maximum(part.std(0), 1e-12) for part in (codes, truth)
    )
    return np.asarray(first.T @ second / len(first))


def _importances(codes: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return importances of latents for each factor, weighted by held-out R2, and the R2."""
    half = len(codes) // 2
    weights, r2 = [], []
    for factor in truth.T:
        trees = ExtraTreesRegressor(_N_TREES, max_features=1.0, min_samples_leaf=5, random_state=0)
        with config_context(array_api_dispatch=False):
            trees.fit(codes[:half], factor[:half])
            r2.append(trees.score(codes[half:], factor[half:]))
        weights.append(trees.feature_importances_ * max(r2[-1], 0.0))
    return np.array(weights).T, np.array(r2)


def _concentration(weights: np.ndarray) -> float:
    """Return the mean of one minus the normalised entropy of each row, weighted by the row sums."""
    total = weights.sum(1, keepdims=True)
    if weights.shape[1] == 1 or not total.sum():
        return float(bool(total.sum()))
    shares = weights / np.maximum(total, 1e-300)
    entropy = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1) / np.log(weights.shape[1])
    return float(((1 - entropy) * total[:, 0]).sum() / total.sum())


@dataclass(frozen=True, repr=False)
class Stability(Tabular):
    """Reproducibility of latents when a model is trained again.

    Attributes
    ----------
    correlation : tuple of float
        Mean correlation of each latent of the first model with its matches in the others.
    trusted : tuple of bool
        At least 0.9.
    """

    correlation: tuple[float, ...]
    trusted: tuple[bool, ...]

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute.

        Returns
        -------
        dict of str to list
            An entry a latent of the first model.
        """
        latents = list(range(len(self.correlation)))
        return {
            "latent": latents, "correlation": list(self.correlation), "trusted": list(self.trusted),
        }  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Return lists, ready for JSON.

        Returns
        -------
        dict
            One entry an attribute.
        """
        return asdict(self)

    def __str__(self) -> str:
        conclusions = [
            "trust it" if good else "another seed, another latent" for good in self.trusted
        ]
        pairs = zip(self.correlation, conclusions, strict=True)
        return "\n".join(
            f"latent {j}  {value:.2f}  {conclusion}" for j, (value, conclusion) in enumerate(pairs)
        )


def stability(models: Sequence[Any], X: Any) -> Stability:
    """Match the latents of models with different seeds, and find the reproducible ones.

    Parameters
    ----------
    models : sequence of autoencoders
        Two or more, fitted with different seeds.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.

    Returns
    -------
    Stability
        Correlation of each latent of the first model with its matches, up to sign.

    Raises
    ------
    DataError
        If there are fewer than two models.
    """
    if len(models) < 2:
        raise DataError(f"Stability compares models, got {len(models)}. Give two or more.")
    codes = [np.asarray(decoding_model(model).transform(X), dtype=np.float64) for model in models]
    found = []
    for other in codes[1:]:
        close = np.abs(_correlations(codes[0], other))
        ours, theirs = linear_sum_assignment(-close)
        matched = np.zeros(codes[0].shape[1])
        matched[ours] = close[ours, theirs]
        found.append(matched)
    mean = np.mean(found, 0)
    return Stability(tuple(mean.tolist()), tuple((mean >= _TRUSTED).tolist()))
