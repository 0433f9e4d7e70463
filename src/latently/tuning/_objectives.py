"""What a search is to make best, each with what a PCA of the same size reaches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latently._validation import read_seed
from latently.estimators import BaseAutoencoder, TrainedAutoencoder, filled_of, fit_seeds
from latently.exceptions import DataError, ParameterError
from latently.tasks import AnomalyDetector, FeatureExtractor
from latently.tuning._pca import EncodedPCA, hide_cells
from latently.tuning._rows import Rows, is_classes

ObjectiveName = Literal["reconstruction", "downstream", "anomaly", "imputation"]
#: Labelled anomalies that a search needs: each part must have one.
_MIN_ANOMALIES = 4


class Objective(Protocol):
    """What to make best: higher is better."""

    #: Name of the figure, for people.
    figure: ClassVar[str]
    #: Whether the size of the code may be searched.
    sizes_too: ClassVar[bool]

    def check(self, rows: Rows) -> None:
        """Refuse rows that it cannot work with."""
        ...

    def training_rows(self, rows: Rows) -> Rows:
        """Return those of the rows that an autoencoder learns from."""
        ...

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return what a fitted autoencoder is used as: itself, or a task."""
        ...

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the figure on other rows than those of ``fit``."""
        ...

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the figure of a PCA."""
        ...


def fit_model(model: BaseAutoencoder, rows: Rows) -> BaseAutoencoder:
    """Fit an autoencoder, with the groups where it takes them."""
    if rows.groups is not None and isinstance(model, TrainedAutoencoder):
        return model.fit(rows.X, groups=rows.groups)
    return model.fit(rows.X)


def fit_models(model: BaseAutoencoder, rows: Rows, n_seeds: int) -> Sequence[BaseAutoencoder]:
    """Fit an autoencoder from its own seed, or from several drawn from it, at once if possible."""
    if n_seeds == 1:
        return [fit_model(model, rows)]
    if isinstance(model, TrainedAutoencoder):
        return fit_seeds(model, rows.X, n_seeds, groups=rows.groups)
    first = read_seed(model.get_params(deep=False)["random_state"])
    models = [clone(model).set_params(random_state=first + place) for place in range(n_seeds)]
    return [fit_model(one, rows) for one in models]


class _PlainObjective:
    """An autoencoder that learns from all rows and is scored itself."""

    def training_rows(self, rows: Rows) -> Rows:
        """Return all rows."""
        return rows

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return the autoencoder."""
        return model


@dataclass(frozen=True)
class Reconstruction(_PlainObjective):
    """The share of the variation of unseen rows that is rebuilt."""

    figure: ClassVar[str] = "share of the variation rebuilt"
    sizes_too: ClassVar[bool] = False

    def check(self, rows: Rows) -> None:
        """Take any rows."""

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share."""
        return float(fitted.score(held_out.X))

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share of a PCA."""
        return 1 - pca.left(held_out.X)


@dataclass(frozen=True)
class Downstream(_PlainObjective):
    """How well a linear model reads labels off the code."""

    figure: ClassVar[str] = "accuracy, or R2, of a linear model on the code"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Ask for labels."""
        if rows.y is None:
            raise DataError("A downstream objective needs labels. Give fit a y.")
        missing = rows.y != rows.y
        if np.any(missing):
            raise DataError(
                f"{np.sum(missing):,} of {len(rows):,} labels are missing. Leave their rows out."
            )

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return an extractor of features."""
        return FeatureExtractor(autoencoder=model).fit(rows.X)

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return accuracy, or R2 for amounts."""
        return _linear_probe_score(
            fitted.transform(train.X), fitted.transform(held_out.X), train, held_out
        )

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the same of the codes of a PCA."""
        return _linear_probe_score(pca.codes(train.X), pca.codes(held_out.X), train, held_out)


def _linear_probe_score(
    codes: np.ndarray, others: np.ndarray, train: Rows, held_out: Rows
) -> float:
    assert train.y is not None
    head = LogisticRegression(max_iter=1_000) if is_classes(train.y) else Ridge()
    model = make_pipeline(StandardScaler(), head).fit(codes, train.y)
    return float(model.score(others, held_out.y))


@dataclass(frozen=True)
class Anomaly:
    """How well known anomalies are ranked above rows known to be normal."""

    figure: ClassVar[str] = "average precision on labelled rows"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Ask for labels: 1 an anomaly, 0 normal, -1 not known."""
        y = rows.y
        if y is None or y.dtype.kind not in "iufb" or not set(np.unique(y)) <= {-1, 0, 1}:
            raise DataError(
                "An anomaly objective needs labels in y: 1 for an anomaly, 0 for a normal row, -1 "
                "where it is not known."
            )
        if (y == 1).sum() < _MIN_ANOMALIES or (y == 0).sum() < _MIN_ANOMALIES:
            raise DataError(
                f"An anomaly objective needs {_MIN_ANOMALIES} rows known to be anomalies and as "
                f"many known to be normal, got {(y == 1).sum()} and {(y == 0).sum()}. Label more."
            )

    def training_rows(self, rows: Rows) -> Rows:
        """Return the rows that are not known to be anomalies."""
        return rows.take(np.flatnonzero(rows.y != 1))

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return a detector."""
        return AnomalyDetector(autoencoder=model).fit(rows.X)

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the average precision."""
        return _average_precision(-fitted.score_samples(held_out.X), held_out)

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return that of the reconstruction error of a PCA."""
        return _average_precision(pca.errors(held_out.X), held_out)


def _average_precision(scores: np.ndarray, held_out: Rows) -> float:
    assert held_out.y is not None
    known = held_out.y >= 0
    return float(average_precision_score(held_out.y[known] == 1, scores[known]))


@dataclass(frozen=True)
class Imputation(_PlainObjective):
    """The share of the variation of hidden cells that is filled in."""

    figure: ClassVar[str] = "share of the variation of hidden cells filled in"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Take tables."""
        if len(rows.X.shape) > 2:
            raise DataError("An imputation objective needs a table, got images.")

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share, for a fifth of the cells."""
        holes = hide_cells(fitted, held_out.X, seed)
        filled = fitted._ask(holes.shown, filled_of)
        return 1 - holes.left(torch.from_numpy(filled).double())

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share of a PCA that reads hidden cells as the mean."""
        holes = hide_cells(pca.model, held_out.X, seed)
        return 1 - holes.left(pca.rebuild(holes.shown))


@dataclass(frozen=True)
class Custom(_PlainObjective):
    """A figure of the user's: a function of the fitted autoencoder, rows and labels."""

    function: Callable[[Any, Any, Any], float]
    figure: ClassVar[str] = "score"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Take any rows."""

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the figure."""
        return float(self.function(fitted, held_out.X, held_out.y))

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return nan: a PCA is no autoencoder."""
        return float("nan")


OBJECTIVES: dict[ObjectiveName, Callable[[], Objective]] = {
    "reconstruction": Reconstruction,
    "downstream": Downstream,
    "anomaly": Anomaly,
    "imputation": Imputation,
}


def objective_of(given: Any) -> Objective:
    """Return the objective of a name, or of a function of the user's."""
    if callable(given):
        return Custom(given)
    if given not in OBJECTIVES:
        raise ParameterError(
            f"objective must be one of {', '.join(OBJECTIVES)} or a function of (model, X, y), got "
            f"{given!r}."
        )
    return OBJECTIVES[given]()
