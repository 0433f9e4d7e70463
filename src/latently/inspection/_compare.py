"""``compare``: how like the real rows made-up ones are, and whether they give any of them away."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from latently._layout import Column
from latently._notices import each_once, silenced, warn, warn_columns
from latently._tabular import Answer
from latently._validation import Input
from latently.exceptions import DataError, DataWarning
from latently.inspection._alike import given_cells, read_alike
from latently.inspection._nearness import Privacy, nearness
from latently.inspection._trend import trend
from latently.preprocessing import MAX_CATEGORIES, TablePreprocessor

#: Rows of each side that a discriminator is trained on.
_JUDGED_ROWS = 5_000
_N_FOLDS, _HOLDOUT, _MIN_ROWS = 3, 0.3, 10
#: Smallest number of target values per table, because the R2 of one value is undefined.
_MIN_TARGETS = 2
#: Distance of an AUROC below 0.5 that is not due to chance.
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
    """Scores of models of the target that are trained on real and on synthetic rows.

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


@dataclass(frozen=True, repr=False)
class Comparison(Answer):
    """Fidelity and privacy of synthetic rows.

    Attributes
    ----------
    columns : tuple of ColumnComparison
        One entry per column, the most different first.
    shape : float
        One minus the mean distance of the columns: 1 for equal distributions. The same as Column
        Shapes of sdmetrics.
    trend : float
        Similarity of the pairs of columns, 0 to 1: of their correlation for two numbers, of their
        joint frequencies otherwise, with numbers in ten bins. All pairs count. The report of
        sdmetrics leaves out pairs that are hardly associated, so that its value differs.
    dependence : float
        Mean difference of the correlations between columns, from 0 to 1. For a categorical
        column, the category with the strongest correlation is used.
    discriminator : float
        AUROC of a classifier of synthetic against real rows (the holdout, if given). 0.5 is
        chance, 1 a perfect separation. A value clearly below 0.5 indicates synthetic rows that
        repeat real rows, because the twin of a row in the training folds has the other label.
    privacy : Privacy
        Distances to the nearest real row.
    utility : Utility or None
        Scores of models trained on synthetic and tested on real rows. None without a target.
    n_real, n_synthetic : int
        Rows compared.
    """

    columns: tuple[ColumnComparison, ...]
    shape: float
    trend: float
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

    def entries(self) -> dict[str, list[Any]]:
        """Return name, distance and shares of missing cells of each column.

        Returns
        -------
        dict of str to list
            An entry a column, the most different first.
        """
        return {
            "column": [column.name for column in self.columns],
            "distance": [column.distance for column in self.columns],
            "missing_real": [column.missing[0] for column in self.columns],
            "missing_synthetic": [column.missing[1] for column in self.columns],
        }

    def caption(self) -> str:
        return str(self)

    def __str__(self) -> str:
        worst = ", ".join(f"{c.name} {c.distance:.2f}" for c in self.columns[:3])
        lines = [
            f"{self.n_synthetic:,} synthetic rows beside {self.n_real:,} real ones",
            f"columns: shape {self.shape:.3f} (1 is best: equal distributions); least alike, by "
            f"distance: {worst}",
            f"pairs of columns: trend {self.trend:.3f} (1 is best: equal dependence); correlations "
            f"differ by {self.dependence:.3f} on average",
            f"told from real rows with an AUROC of {self.discriminator:.2f} ({self._meaning()})",
            *self.privacy.lines(),
        ]
        if self.utility is not None:
            found = self.utility
            lines.append(
                f"{found.target}: {found.measure} {found.synthetic:.3f} when trained on synthetic "
                f"rows, {found.real:.3f} on real ones"
            )
        return "\n".join(lines)

    def _meaning(self) -> str:
        """Return the interpretation of the AUROC of the discriminator."""
        if self.discriminator >= 0.5 - _CLEARLY_BELOW:
            return "0.5 is best"
        return (
            "0.5 is best; below it, synthetic rows repeat the real ones they are compared with, "
            "so that each has a twin of the other kind: give a holdout"
        )


class _Encoded(NamedTuple):
    """Rows in standard deviations, with NaN for missing cells, and the place of each column.

    ``given`` is True for cells that hold a value, in the order of ``columns``.
    """

    values: np.ndarray
    given: np.ndarray
    columns: tuple[Column, ...]

    def of(self, column: Column) -> np.ndarray:
        return self.values[:, column.elements]

    def take(self, places: np.ndarray) -> _Encoded:
        return self._replace(values=self.values[places], given=self.given[places])


@each_once()
def compare(
    real: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: str | int | None = None,
    random_state: int = 0,
) -> Comparison:
    """Compare synthetic rows with the real rows that they imitate.

    Parameters
    ----------
    real : array-like, DataFrame or Table
        Training rows of the generator.
    synthetic : like real
        Generated rows with the same columns.
    holdout : like real or None, default=None
        Held-out real rows, used for the discriminator, privacy and utility. If None, these
        measures use ``real`` itself.
    target : str, int or None, default=None
        Name or position of the column that models trained on either table predict.
    random_state : int, default=0
        Seed of subsamples and models.

    Returns
    -------
    Comparison
        Measures of fidelity, privacy and utility. ``print`` shows a short summary.

    Raises
    ------
    DataError
        If the tables differ in their columns or in the kind of a column's values, have fewer than
        ten rows, or hold fewer than two values of the target.

    Warns
    -----
    DataWarning
        If a table has a column without any value: only the shares of its missing cells are
        compared.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> real, synthetic = rng.normal(size=(2, 300, 3))
    >>> found = compare(real, synthetic)
    >>> found.discriminator < 0.65
    True
    """
    given = {"real": real, "synthetic": synthetic, "holdout": holdout}
    tables = read_alike(
        {n: rows for n, rows in given.items() if rows is not None or n != "holdout"}, _MIN_ROWS
    )
    preprocessor, encoded = _encoded(tables)
    rng = np.random.default_rng(random_state)
    one, other, kept = encoded["real"], encoded["synthetic"], encoded.get("holdout")
    names = preprocessor.column_names
    columns = _compare_columns(one, other, [names[place] for place in preprocessor.order])
    return Comparison(
        columns=columns,
        shape=1 - float(np.mean([column.distance for column in columns])),
        trend=trend(one.values, other.values, one.columns),
        dependence=float(np.abs(_dependence(one) - _dependence(other)).mean()),
        discriminator=_discriminate((one if kept is None else kept).values, other.values, rng),
        privacy=nearness(one.values, other.values, None if kept is None else kept.values, rng),
        utility=None if target is None else _use(one, other, kept, target, preprocessor, rng),
        n_real=len(one.values),
        n_synthetic=len(other.values),
    )


def _encoded(tables: dict[str, Input]) -> tuple[TablePreprocessor, dict[str, _Encoded]]:
    """Encode tables by the first of them."""
    given = {name: given_cells(table) for name, table in tables.items()}
    filled = {name: np.asarray(cells.any(0)) for name, cells in given.items()}
    with silenced(DataWarning):
        preprocessor = TablePreprocessor.fit(tables["real"], "gaussian")
    order = preprocessor.order
    _warn_of_empty(filled, preprocessor.column_names)
    cut = [codec.name for codec in preprocessor.codecs if not getattr(codec, "complete", True)]
    warn_columns(
        cut,
        f"hold more than {MAX_CATEGORIES} categories in real, of which the rarest count as one",
        "Leave out identifiers and free text.",
    )
    nowhere = ~(filled["real"] & filled["synthetic"])
    encoded = {}
    for name, table in tables.items():
        try:
            values, observed = preprocessor.encode(table, fitting=True)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        rows = _Encoded(
            values.astype(np.float64), given[name][:, order], preprocessor.layout.columns
        )
        _mark_missing(rows, observed, nowhere[order])
        encoded[name] = rows
    return preprocessor, encoded


def _mark_missing(rows: _Encoded, observed: np.ndarray | None, empty: np.ndarray) -> None:
    """Set missing cells to NaN, and all other cells of columns without values to 0."""
    for column in rows.columns:
        if empty[column.place]:
            rows.values[:, column.elements] = 0.0
            rows.values[~rows.given[:, column.place], column.elements] = np.nan
        elif observed is not None:
            rows.values[~observed[:, column.place], column.elements] = np.nan


def _warn_of_empty(filled: dict[str, np.ndarray], names: tuple[str, ...]) -> None:
    parts = []
    for table, cells in filled.items():
        empty = [repr(names[place]) for place in np.flatnonzero(~cells)]
        more = f" and {len(empty) - 5} more" if len(empty) > 5 else ""
        if empty:
            parts.append(f"{table} holds no value of {', '.join(empty[:5])}{more}")
    if parts:
        warn(f"{'; '.join(parts)}. Only the shares of missing cells are compared there.")


def _compare_columns(
    real: _Encoded, synthetic: _Encoded, names: list[str]
) -> tuple[ColumnComparison, ...]:
    found = []
    for column, name in zip(real.columns, names, strict=True):
        given = [rows.given[:, column.place] for rows in (real, synthetic)]
        missing = [float(1 - cells.mean()) for cells in given]
        seen = [
            rows.of(column)[cells] for rows, cells in zip((real, synthetic), given, strict=True)
        ]
        found.append(ColumnComparison(name, _distance(column, *seen), (missing[0], missing[1])))
    return tuple(sorted(found, key=lambda one: -one.distance))


def _distance(column: Column, real: np.ndarray, synthetic: np.ndarray) -> float:
    if not len(real) or not len(synthetic):
        return float(len(real) != len(synthetic))
    if column.is_number:
        pairs = zip(real.T, synthetic.T, strict=True)
        return float(np.mean([ks_2samp(a, b).statistic for a, b in pairs]))
    shares = [_shares(column, side) for side in (real, synthetic)]
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def _shares(column: Column, cells: np.ndarray) -> np.ndarray:
    """Return the fraction of each category, then of unknown categories and of missing values."""
    unknown = np.isnan(cells[:, 0])
    chosen = cells.argmax(1) if column.likelihood == "categorical" else (cells > 0.5).sum(1)
    places = np.where(unknown, column.width + 1, chosen)
    shares: np.ndarray = np.bincount(places, minlength=column.width + 2) / len(cells)
    return shares


def _dependence(rows: _Encoded) -> np.ndarray:
    """Return the strongest correlation between the elements of each two columns."""
    n_values = np.maximum((~np.isnan(rows.values)).sum(0), 1)
    values = np.nan_to_num(rows.values - np.nansum(rows.values, axis=0) / n_values)
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
    judge = HistGradientBoostingClassifier(max_iter=60, random_state=seed, early_stopping=False)
    guessed = np.empty(len(rows))
    for train, test in folds.split(rows, labels):
        known = _with_values(rows[train])
        if known.any():
            judge.fit(rows[train][:, known], labels[train])
            guessed[test] = judge.predict_proba(rows[test][:, known])[:, 1]
        else:
            guessed[test] = 0.5
    return float(roc_auc_score(labels, guessed))


def _with_values(rows: np.ndarray) -> np.ndarray:
    """Return True for each element with a value in some row, because trees need one."""
    known: np.ndarray = ~np.isnan(rows).all(0)
    return known


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
    if isinstance(place, bool) or not isinstance(place, Integral) or not 0 <= place < len(names):
        raise DataError(
            f"target must name a column, got {target!r}. There are {', '.join(names[:8])}."
        )
    column = real.columns[list(preprocessor.order).index(place)]
    if holdout is None:
        order = rng.permutation(len(real.values))
        n_kept = round(_HOLDOUT * len(order))
        holdout, real = real.take(order[:n_kept]), real.take(order[n_kept:])
    _check_target(names[place], column, {"real": real, "synthetic": synthetic, "holdout": holdout})
    seed = int(rng.integers(2**31))
    scores = [_score(column, rows, holdout, seed) for rows in (real, synthetic)]
    return Utility(names[place], "R2" if column.is_number else "accuracy", *scores)


def _check_target(name: str, column: Column, tables: dict[str, _Encoded]) -> None:
    for table, rows in tables.items():
        n_values = int((~np.isnan(rows.of(column)[:, 0])).sum())
        if n_values < _MIN_TARGETS:
            raise DataError(
                f"target {name!r} must hold at least {_MIN_TARGETS} values among the rows that "
                f"models learn from and are judged by, got {n_values} in {table}. Choose another "
                "column, or give more rows."
            )


def _score(column: Column, train: _Encoded, test: _Encoded, seed: int) -> float:
    """Return the score of a model trained on some rows for a column of other rows."""
    (X, y), (X_test, y_test) = (_parted(column, rows) for rows in (train, test))
    if not column.is_number and len(np.unique(y)) < 2:
        return float((y_test == y[0]).mean()) if len(y) else 0.0
    known = _with_values(X)
    if not known.any():
        X, X_test, known = np.zeros((len(X), 1)), np.zeros((len(X_test), 1)), np.ones(1, bool)
    make = HistGradientBoostingRegressor if column.is_number else HistGradientBoostingClassifier
    model = make(max_iter=60, random_state=seed, early_stopping=False)
    return float(model.fit(X[:, known], y).score(X_test[:, known], y_test))


def _parted(column: Column, rows: _Encoded) -> tuple[np.ndarray, np.ndarray]:
    given = rows.of(column)
    seen = ~np.isnan(given[:, 0])
    wide = column.width > 1 and not column.is_number
    answer = given[seen].argmax(1) if wide else given[seen, 0]
    if not column.is_number and not wide:
        answer = answer > 0.5
    return np.delete(rows.values[seen], column.elements, axis=1), answer
