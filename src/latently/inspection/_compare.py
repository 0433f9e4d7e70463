"""``compare``: how like the real rows made-up ones are, and whether they give any of them away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import ks_2samp
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from latently._layout import Column, Layout
from latently._validation import read_input
from latently.exceptions import DataError
from latently.preprocessing import TablePreprocessor

#: Rows of each side that a judge is trained on, and that distances are taken between.
_JUDGED_ROWS, _NEAR_ROWS = 5_000, 4_000
#: Share of the real rows' own nearest distances that counts as near.
_NEAR = 0.05
#: A squared distance below this, in deviations, is a copy.
_COPY = 1e-9
_N_FOLDS, _HOLDOUT, _MIN_ROWS = 3, 0.3, 10
#: An AUROC so far below 0.5 is no chance.
_CLEARLY_BELOW = 0.1


@dataclass(frozen=True)
class ColumnComparison:
    """One column of both tables.

    Attributes
    ----------
    name : str
        Its name.
    distance : float
        Between the two distributions, 0 to 1: Kolmogorov and Smirnov's for numbers and dates,
        total variation for categories, of which all that ``real`` does not know are one.
    missing : tuple of two floats
        Share of missing cells, real and synthetic.
    """

    name: str
    distance: float
    missing: tuple[float, float]


@dataclass(frozen=True)
class Utility:
    """What a model learns from either table about the target.

    Attributes
    ----------
    target : str
        The column that is predicted.
    measure : {"accuracy", "R2"}
        For categories, and for numbers.
    real, synthetic : float
        On rows that neither model saw, after training on real and on synthetic rows.
    """

    target: str
    measure: str
    real: float
    synthetic: float


@dataclass(frozen=True)
class Privacy:
    """How near synthetic rows come to real ones.

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
    """

    copies: float
    nearest: float
    usual: float
    too_near: float


@dataclass(frozen=True)
class Comparison:
    """Fidelity and privacy of synthetic rows.

    Attributes
    ----------
    columns : tuple of ColumnComparison
        One a column, the most different first.
    dependence : float
        Mean difference of the correlations between columns, 0 to 1; of a category the element
        that correlates most counts.
    discriminator : float
        AUROC of a model that tells synthetic rows from real ones, those of the holdout if there
        is one: 0.5 where it cannot, 1 where it always can. Clearly below 0.5, synthetic rows repeat
        the real ones: a row's twin in the training folds has the other label.
    privacy : Privacy
        Distances to the nearest real row.
    utility : Utility or None
        Train on synthetic, test on real; None without a target.
    n_real, n_synthetic : int
        Rows compared.
    """

    columns: tuple[ColumnComparison, ...]
    dependence: float
    discriminator: float
    privacy: Privacy
    utility: Utility | None
    n_real: int
    n_synthetic: int

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, for JSON.

        Returns
        -------
        dict
            Names and numbers.
        """
        return asdict(self)

    def __str__(self) -> str:
        mean = float(np.mean([column.distance for column in self.columns]))
        worst = ", ".join(f"{c.name} {c.distance:.2f}" for c in self.columns[:3])
        privacy = self.privacy
        lines = [
            f"{self.n_synthetic:,} synthetic rows beside {self.n_real:,} real ones",
            f"columns: distance {mean:.3f} on average (0 is best); most: {worst}",
            f"pairs of columns: correlations differ by {self.dependence:.3f} on average",
            f"told from real rows with an AUROC of {self.discriminator:.2f} ({self._meaning()})",
            f"nearest real row {privacy.nearest:.2f} deviations away, usual is "
            f"{privacy.usual:.2f}; {privacy.too_near:.1%} are too near (5 % is usual), "
            f"{privacy.copies:.1%} are copies",
        ]
        if self.utility is not None:
            found = self.utility
            lines.append(
                f"{found.target}: {found.measure} {found.synthetic:.3f} when trained on synthetic "
                f"rows, {found.real:.3f} on real ones"
            )
        return "\n".join(lines)

    def _meaning(self) -> str:
        """Return how to read the AUROC of the discriminator."""
        if self.discriminator >= 0.5 - _CLEARLY_BELOW:
            return "0.5 is best"
        return (
            "0.5 is best; below it, synthetic rows repeat the real ones they are compared with, "
            "so that each has a twin of the other kind: give a holdout"
        )


class _Encoded(NamedTuple):
    """Rows in standard deviations, NaN where missing, and where each column lies."""

    values: np.ndarray
    columns: tuple[Column, ...]

    def of(self, column: Column) -> np.ndarray:
        return self.values[:, column.elements]


def compare(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: str | int | None = None,
    random_state: int = 0,
) -> Comparison:
    """Hold synthetic rows against the real ones that they imitate.

    Parameters
    ----------
    real : array-like, DataFrame or Table
        The rows that a generator was fitted to.
    synthetic : like real
        What it made up, in the same columns.
    holdout : like real or None, default=None
        Real rows that the generator did not see: the discriminator, privacy and utility are judged
        by them. Without them real rows are held against each other.
    target : str, int or None, default=None
        A column, by name or place, that models trained on either table shall predict.
    random_state : int, default=0
        Seed of subsamples and models.

    Returns
    -------
    Comparison
        Figures; ``print`` shows them in a few lines.

    Raises
    ------
    DataError
        If the tables have other columns, or fewer than ten rows.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, synthetic = rng.normal(size=(2, 300, 3))
    >>> found = compare(real, synthetic)
    >>> found.discriminator < 0.65
    True
    """
    reader = BaseEstimator()
    data = read_input(reader, real, reset=True, min_rows=_MIN_ROWS)
    if isinstance(data, np.ndarray) and data.ndim > 2:
        raise DataError(f"compare takes tables, got images of shape {data.shape}. Flatten them.")
    preprocessor = TablePreprocessor.fit(data, "gaussian")

    kind: Literal["array", "frame"] = "array" if isinstance(data, np.ndarray) else "frame"

    def encoded(rows: Any) -> _Encoded:
        judged = read_input(reader, rows, reset=False, fitted_on=kind, min_rows=_MIN_ROWS)
        return _encoded(preprocessor, judged)

    rng = np.random.default_rng(random_state)
    one, other = encoded(real), encoded(synthetic)
    names = preprocessor.column_names
    kept = None if holdout is None else encoded(holdout)
    return Comparison(
        columns=_compare_columns(one, other, [names[place] for place in preprocessor.order]),
        dependence=float(np.abs(_dependence(one) - _dependence(other)).mean()),
        discriminator=_discriminate((one if kept is None else kept).values, other.values, rng),
        privacy=_nearness(one.values, other.values, None if kept is None else kept.values, rng),
        utility=None if target is None else _use(one, other, kept, target, preprocessor, rng),
        n_real=len(one.values),
        n_synthetic=len(other.values),
    )


def _encoded(preprocessor: TablePreprocessor, rows: Any) -> _Encoded:
    values, observed = preprocessor.encode(rows, fitting=True)
    layout: Layout = preprocessor.layout
    values = values.astype(np.float64)
    if observed is not None:
        for column in layout.columns:
            values[~observed[:, column.place], column.elements] = np.nan
    return _Encoded(values, layout.columns)


def _compare_columns(
    real: _Encoded, synthetic: _Encoded, names: list[str]
) -> tuple[ColumnComparison, ...]:
    found = []
    for column, name in zip(real.columns, names, strict=True):
        sides = real.of(column), synthetic.of(column)
        missing = [float(np.isnan(side[:, 0]).mean()) for side in sides]
        seen = [side[~np.isnan(side[:, 0])] for side in sides]
        found.append(ColumnComparison(name, _distance(column, *seen), (missing[0], missing[1])))
    return tuple(sorted(found, key=lambda one: -one.distance))


def _distance(column: Column, real: np.ndarray, synthetic: np.ndarray) -> float:
    if not len(real) or not len(synthetic):
        return float(len(real) != len(synthetic))
    if column.is_number:
        pairs = zip(real.T, synthetic.T, strict=True)
        return float(np.mean([ks_2samp(a, b).statistic for a, b in pairs]))
    shares = [_shares(side) for side in (real, synthetic)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _shares(cells: np.ndarray) -> np.ndarray:
    """Return the share of each category; what is none of them is the last."""
    shares = cells.mean(0)
    return np.append(shares, 1 - shares.sum())


def _dependence(rows: _Encoded) -> np.ndarray:
    """Return the strongest correlation between the elements of each two columns."""
    values = rows.values - np.nanmean(rows.values, axis=0, keepdims=True)
    values = np.nan_to_num(values)
    values /= np.maximum(np.sqrt(np.square(values).mean(0)), 1e-12)
    correlation = np.abs(values.T @ values) / len(values)
    starts = [column.elements.start for column in rows.columns]
    strongest = np.maximum.reduceat(np.maximum.reduceat(correlation, starts, 0), starts, 1)
    pairs: np.ndarray = strongest[np.triu_indices(len(starts), 1)]
    return pairs if len(pairs) else np.zeros(1)


def _some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return rows[rng.permutation(len(rows))[:most]]


def _discriminate(real: np.ndarray, synthetic: np.ndarray, rng: np.random.Generator) -> float:
    size = min(len(real), len(synthetic), _JUDGED_ROWS)
    rows = np.vstack([_some(real, size, rng), _some(synthetic, size, rng)])
    labels = np.repeat([0, 1], size)
    seed = int(rng.integers(2**31))
    folds = StratifiedKFold(_N_FOLDS, shuffle=True, random_state=seed)
    judge = HistGradientBoostingClassifier(max_iter=60, random_state=seed)
    guessed = cross_val_predict(judge, rows, labels, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(labels, guessed))


def _nearness(
    real: np.ndarray, synthetic: np.ndarray, holdout: np.ndarray | None, rng: np.random.Generator
) -> Privacy:
    rows = np.nan_to_num(_some(real, _NEAR_ROWS, rng))
    others = rows if holdout is None else np.nan_to_num(_some(holdout, _NEAR_ROWS, rng))
    usual = _nearest(others, rows, own=holdout is None)
    found = _nearest(np.nan_to_num(_some(synthetic, _NEAR_ROWS, rng)), rows)
    return Privacy(
        copies=float((found < _COPY).mean()),
        nearest=float(np.sqrt(np.median(found))),
        usual=float(np.sqrt(np.median(usual))),
        too_near=_share_below(found, usual),
    )


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


def _use(
    real: _Encoded,
    synthetic: _Encoded,
    holdout: _Encoded | None,
    target: str | int,
    preprocessor: TablePreprocessor,
    rng: np.random.Generator,
) -> Utility:
    names = list(preprocessor.column_names)
    place = names.index(target) if target in names else target
    if not isinstance(place, int) or not 0 <= place < len(names):
        raise DataError(
            f"target must name a column, got {target!r}. There are {', '.join(names[:8])}."
        )
    column = real.columns[list(preprocessor.order).index(place)]
    if holdout is None:
        order = rng.permutation(len(real.values))
        n_kept = round(_HOLDOUT * len(order))
        holdout = real._replace(values=real.values[order[:n_kept]])
        real = real._replace(values=real.values[order[n_kept:]])
    seed = int(rng.integers(2**31))
    scores = [_score(column, rows, holdout, seed) for rows in (real, synthetic)]
    return Utility(names[place], "R2" if column.is_number else "accuracy", *scores)


def _score(column: Column, train: _Encoded, test: _Encoded, seed: int) -> float:
    """Return how well a model trained on some rows predicts a column of others."""
    (X, y), (X_test, y_test) = (_parted(column, rows) for rows in (train, test))
    if not column.is_number and len(np.unique(y)) < 2:
        return float((y_test == y[0]).mean()) if len(y) else 0.0
    make = HistGradientBoostingRegressor if column.is_number else HistGradientBoostingClassifier
    return float(make(max_iter=60, random_state=seed).fit(X, y).score(X_test, y_test))


def _parted(column: Column, rows: _Encoded) -> tuple[np.ndarray, np.ndarray]:
    given = rows.of(column)
    seen = ~np.isnan(given[:, 0])
    wide = column.width > 1 and not column.is_number
    answer = given[seen].argmax(1) if wide else given[seen, 0]
    if not column.is_number and not wide:
        answer = answer > 0.5
    return np.delete(rows.values[seen], column.elements, axis=1), answer
