"""Confidence intervals by repeated cross-validation, and learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t as student
from sklearn.base import clone
from sklearn.metrics import check_scoring
from sklearn.model_selection import GroupKFold, RepeatedKFold

from latently._sklearn import Interval, check_parameters
from latently._tabular import Tabular
from latently._validation import read_seed
from latently.estimators import BaseAutoencoder, is_autoencoder
from latently.exceptions import DataError, ParameterError
from latently.tuning._objectives import fit_model
from latently.tuning._pca import EncodedPCA
from latently.tuning._rows import Rows, read_rows, split_rows

#: Minimum number of training rows of a point of a learning curve.
_MIN_ROWS = 20
#: Minimum ratio of test to training error that counts as overfitting, and minimum relative decrease
#: of the error in the last step that counts as a rising curve.
_GAP, _RISE = 1.3, 0.05


@dataclass(frozen=True, repr=False)
class RepeatedScore(Tabular):
    """Mean score with a confidence interval, by repeated cross-validation.

    Attributes
    ----------
    scores : tuple of float
        Score of each fold of each repetition.
    mean : float
        Mean of the scores.
    low, high : float
        Bounds of the confidence interval, a t-interval that is corrected for folds with common
        training rows [1]_.
    confidence : float
        Confidence level of the interval, in (0, 1).

    References
    ----------
    .. [1] Nadeau and Bengio (2003), Inference for the Generalization Error.
    """

    scores: tuple[float, ...]
    mean: float
    low: float
    high: float
    confidence: float

    def columns(self) -> dict[str, list[Any]]:
        """Return the score of each fold.

        Returns
        -------
        dict of str to list
            An entry for each fold of each repetition.
        """
        return {"fold": list(range(len(self.scores))), "score": list(self.scores)}

    def caption(self) -> str:
        return str(self)

    def __str__(self) -> str:
        return (
            f"{self.mean:.4f} ({self.confidence:.0%} interval {self.low:.4f} to {self.high:.4f}, "
            f"{len(self.scores)} folds)"
        )


def repeated_score(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    scoring: Any = None,
    n_splits: int = 5,
    n_repeats: int = 3,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> RepeatedScore:
    """Repeat cross-validation, and return the mean score with its confidence interval.

    Parameters
    ----------
    model : estimator
        Autoencoder, task or any other estimator of scikit-learn. Clones of it are fitted.
    X : array-like, DataFrame, Table or image stack
        Rows.
    y : array-like or None, default=None
        Labels, if the scoring needs them.
    scoring : str, callable or None, default=None
        Scoring as in scikit-learn. None uses ``model.score``, which for an autoencoder is the share
        of the variation that is reconstructed.
    n_splits, n_repeats : int, default=5 and 3
        Number of folds and of repetitions. More of them make the interval more stable.
    groups : array-like or None, default=None
        Group of each row. The rows of a group are in one fold.
    confidence : float, default=0.95
        Confidence level of the interval, in (0, 1). A higher level widens it.
    random_state : int, RandomState or None, default=None
        Random state of the folds.

    Returns
    -------
    RepeatedScore
        Scores, mean and interval.

    Raises
    ------
    ParameterError
        If a parameter has a wrong value.
    DataError
        If there are fewer rows than folds.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder
    >>> from latently.tuning import repeated_score
    >>> model = Autoencoder(2, max_epochs=20, random_state=0)
    >>> found = repeated_score(model, load_iris().data, n_repeats=2, random_state=0)
    >>> len(found.scores), found.low < found.mean < found.high
    (10, True)
    """
    check_parameters(
        {
            "n_splits": [Interval(Integral, 2, None, closed="left")],
            "n_repeats": [Interval(Integral, 1, None, closed="left")],
            "confidence": [Interval(Real, 0, 1, closed="neither")],
        },
        {"n_splits": n_splits, "n_repeats": n_repeats, "confidence": confidence},
        "repeated_score",
    )
    rows, seed = read_rows(X, y, groups), read_seed(random_state)
    try:
        scorer = check_scoring(model, scoring)
    except (TypeError, ValueError) as error:
        raise ParameterError(f"{str(error).splitlines()[0].rstrip('.')}. Give a scoring.") from None
    scores, ratios = [], []
    for train, test in _folds(rows, n_splits, n_repeats, seed):
        train_rows, test_rows = rows.take(train), rows.take(test)
        fitted = _fitted(model, train_rows)
        scores.append(float(scorer(fitted, test_rows.X, test_rows.y)))
        ratios.append(len(test) / len(train))
    mean, spread = float(np.mean(scores)), np.std(scores, ddof=1)
    # Folds share training rows, so that their variance alone makes the interval too narrow.
    standard = spread * np.sqrt(1 / len(scores) + np.mean(ratios))
    half = float(student.ppf(0.5 + confidence / 2, len(scores) - 1) * standard)
    return RepeatedScore(tuple(scores), mean, mean - half, mean + half, float(confidence))


def _fitted(model: Any, rows: Rows) -> Any:
    if is_autoencoder(model):
        return fit_model(clone(model), rows)
    return clone(model).fit(rows.X, rows.y)


def _folds(rows: Rows, n_splits: int, n_repeats: int, seed: int) -> list[tuple[Any, Any]]:
    blank = np.zeros((len(rows), 1))
    try:
        if rows.groups is None:
            return list(
                RepeatedKFold(n_splits=n_splits, n_repeats=n_repeats, random_state=seed).split(
                    blank
                )
            )
        return [
            pair
            for turn in range(n_repeats)
            for pair in GroupKFold(n_splits, shuffle=True, random_state=seed + turn).split(
                blank, None, rows.groups
            )
        ]
    except ValueError as error:
        raise DataError(f"{str(error).rstrip('.')}. Ask for fewer splits.") from None


@dataclass(frozen=True, repr=False)
class LearningCurve(Tabular):
    """Share of the variation that is reconstructed, by the number of training rows.

    Attributes
    ----------
    sizes : tuple of int
        Numbers of training rows.
    train, test, pca : tuple of tuple of float
        Scores for each size and repetition: of the model on the training rows and on the test
        rows, and of a PCA with as many components on the test rows.
    n_test : int
        Number of test rows.
    """

    sizes: tuple[int, ...]
    train: tuple[tuple[float, ...], ...]
    test: tuple[tuple[float, ...], ...]
    pca: tuple[tuple[float, ...], ...]
    n_test: int

    @property
    def conclusion(self) -> str:
        """Advice on more rows and components, in words."""
        train, test = (1 - np.median(values, 1) for values in (self.train, self.test))
        rises = len(test) > 1 and test[-2] - test[-1] > _RISE * test[-2]
        if test[-1] > _GAP * max(train[-1], 0.0):
            more = "more rows would help" if rises else "fewer components would cost little"
            return f"the model overfits; {more}, and so would dropout or a corruption"
        if rises:
            return "the curve still rises; more rows would help"
        return "the curve is flat; more rows would not help, more components might"

    def columns(self) -> dict[str, list[Any]]:
        """Return the size, the repetition and the three shares of each fit.

        Returns
        -------
        dict of str to list
            An entry for each size and repetition.
        """
        n_times = len(self.test[0])
        shares = {"train": self.train, "test": self.test, "pca": self.pca}
        return {
            "n_rows": [size for size in self.sizes for _ in range(n_times)],
            "repetition": list(range(n_times)) * len(self.sizes),
            **{name: [one for part in parts for one in part] for name, parts in shares.items()},
        }

    def caption(self) -> str:
        return self.conclusion

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a dict for JSON.

        Returns
        -------
        dict
            Attributes and conclusion.
        """
        return {**asdict(self), "conclusion": self.conclusion}

    def __str__(self) -> str:
        lines = [f"{'rows':>8}  {'train':>8}  {'test':>8}  {'PCA test':>8}"]
        for size, *parts in zip(self.sizes, self.train, self.test, self.pca, strict=True):
            cells = "  ".join(f"{np.median(values):>8.4f}" for values in parts)
            lines.append(f"{size:>8,}  {cells}")
        return "\n".join([*lines, self.conclusion])


def learning_curve(
    model: BaseAutoencoder,
    X: Any,
    *,
    shares: Sequence[float] = (0.125, 0.25, 0.5, 1.0),
    n_repeats: int = 3,
    test_fraction: float = 0.2,
    groups: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> LearningCurve:
    """Fit a model to an increasing number of rows and score it on held-out ones.

    Parameters
    ----------
    model : autoencoder
        Autoencoder whose clones are fitted.
    X : array-like, DataFrame, Table or image stack
        Rows.
    shares : sequence of float, default=(0.125, 0.25, 0.5, 1.0)
        Fractions of the rows that are not held out, in (0, 1].
    n_repeats : int, default=3
        Number of repetitions, each with other test and training rows.
    test_fraction : float, default=0.2
        Fraction of the rows in the test set.
    groups : array-like or None, default=None
        Group of each row. The rows of a group are on one side of each split.
    random_state : int, RandomState or None, default=None
        Random state of the splits, and of the models without one.

    Returns
    -------
    LearningCurve
        Scores at each number of rows, with advice.

    Raises
    ------
    ParameterError
        If a parameter has a wrong value.
    DataError
        If the smallest fraction has fewer than 20 rows.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder
    >>> from latently.tuning import learning_curve
    >>> model = Autoencoder(2, max_epochs=5)
    >>> curve = learning_curve(model, load_iris().data, shares=(0.5, 1), random_state=0)
    >>> curve.sizes
    (60, 120)
    """
    check_parameters(
        {
            "n_repeats": [Interval(Integral, 1, None, closed="left")],
            "test_fraction": [Interval(Real, 0, 1, closed="neither")],
            "share": [Interval(Real, 0, 1, closed="right")],
        },
        {"n_repeats": n_repeats, "test_fraction": test_fraction, "share": min(shares, default=0)},
        "learning_curve",
    )
    if not hasattr(model, "score"):
        raise ParameterError(
            f"model must have a score method, got {type(model).__name__}. Use an Autoencoder."
        )
    rows, seed = read_rows(X, None, groups), read_seed(random_state)
    figures = []
    sizes: tuple[int, ...] = ()
    for turn in range(n_repeats):
        rest, test_rows = split_rows(rows, test_fraction, True, seed + turn)
        sizes = tuple(round(min(share, 1.0) * len(rest)) for share in sorted(shares))
        if sizes[0] < _MIN_ROWS:
            raise DataError(
                f"shares must give at least {_MIN_ROWS} rows each, got {sizes[0]}. Give larger "
                "ones, or more rows."
            )
        order = np.random.default_rng(seed + turn).permutation(len(rest))
        figures.append([_point(model, rest.take(order[:size]), test_rows, seed) for size in sizes])
    by_size = [tuple(zip(*points, strict=True)) for points in zip(*figures, strict=True)]
    train, test, pca = (tuple(point[place] for point in by_size) for place in range(3))
    return LearningCurve(sizes, train, test, pca, len(test_rows))


def _point(
    model: BaseAutoencoder, train: Rows, test: Rows, seed: int
) -> tuple[float, float, float]:
    """Return the scores on training rows and test rows, and of a PCA on the test rows."""
    copy: Any = clone(model)
    if copy.random_state is None:
        copy.set_params(random_state=seed)
    fitted: Any = fit_model(copy, train)
    pca = EncodedPCA.fit(fitted, train.X, fitted.n_components_)
    return float(fitted.score(train.X)), float(fitted.score(test.X)), 1 - pca.unexplained(test.X)
