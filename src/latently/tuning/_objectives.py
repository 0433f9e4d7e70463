"""Objectives of a search, each of which also scores a PCA of the same size."""

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
from sklearn.utils.validation import has_fit_parameter

from latently._validation import read_seed
from latently.estimators import BaseAutoencoder, filled_of, fit_seeds, fitted_of, tags_of
from latently.exceptions import DataError, ParameterError
from latently.tasks import AnomalyDetector, FeatureExtractor
from latently.tuning._pca import EncodedPCA, hide_cells
from latently.tuning._rows import Rows, is_classes

ObjectiveName = Literal["reconstruction", "downstream", "anomaly", "imputation"]
#: Minimum number of labelled anomalies, so that each part can have one.
_MIN_ANOMALIES = 4


class Objective(Protocol):
    """Score to maximise."""

    #: Name of the score in reports.
    figure: ClassVar[str]
    #: True if the size of the code may be searched.
    sizes_too: ClassVar[bool]

    def check(self, rows: Rows) -> None:
        """Raise DataError if the rows do not suit the objective."""
        ...

    def training_rows(self, rows: Rows) -> Rows:
        """Return the rows on which the autoencoder is trained."""
        ...

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return the estimator to score: the fitted autoencoder or a task around it."""
        ...

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the score on held-out rows."""
        ...

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the score of a PCA on held-out rows."""
        ...


def fit_model(model: BaseAutoencoder, rows: Rows) -> BaseAutoencoder:
    """Fit an autoencoder, with groups if it supports them."""
    if rows.groups is not None and has_fit_parameter(model, "groups"):
        return model.fit(rows.X, groups=rows.groups)  # type: ignore[call-arg]
    return model.fit(rows.X)


def fit_models(model: BaseAutoencoder, rows: Rows, n_seeds: int) -> Sequence[BaseAutoencoder]:
    """Fit an autoencoder from its own seed, or from several that are derived from it."""
    if n_seeds == 1:
        return [fit_model(model, rows)]
    if tags_of(model).fits_together:
        return fit_seeds(model, rows.X, n_seeds, groups=rows.groups)
    first = read_seed(model.get_params(deep=False)["random_state"])
    models = [clone(model).set_params(random_state=first + place) for place in range(n_seeds)]
    return [fit_model(one, rows) for one in models]


class _PlainObjective:
    """Objective that trains on all rows and scores the autoencoder itself."""

    def training_rows(self, rows: Rows) -> Rows:
        """Return all rows."""
        return rows

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return the autoencoder."""
        return model


@dataclass(frozen=True)
class Reconstruction(_PlainObjective):
    """Share of the variation of held-out rows that is reconstructed."""

    figure: ClassVar[str] = "share of the variation reconstructed"
    sizes_too: ClassVar[bool] = False

    def check(self, rows: Rows) -> None:
        """Accept any rows."""

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share."""
        return float(fitted.score(held_out.X))

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share of a PCA."""
        return 1 - pca.unexplained(held_out.X)


@dataclass(frozen=True)
class Downstream(_PlainObjective):
    """Score of a linear model that predicts labels from the code."""

    figure: ClassVar[str] = "accuracy, or R2, of a linear model on the code"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Raise DataError if labels are missing."""
        if rows.y is None:
            raise DataError(
                'y must hold labels for objective="downstream", got None. Give fit a y.'
            )
        missing = rows.y != rows.y
        if np.any(missing):
            raise DataError(
                f"y must have no missing labels, got {np.sum(missing):,} in {len(rows):,} rows. "
                "Leave these rows out."
            )

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return a feature extractor around the autoencoder."""
        return FeatureExtractor(autoencoder=model).fit(rows.X)

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the accuracy for classes, or R2 for numbers."""
        return _linear_probe_score(
            fitted.transform(train.X), fitted.transform(held_out.X), train, held_out
        )

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the same score with the codes of a PCA."""
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
    """Average precision of the anomaly score on labelled rows."""

    figure: ClassVar[str] = "average precision on labelled rows"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Raise DataError unless labels are 1 (anomaly), 0 (normal) or -1 (unknown)."""
        y = rows.y
        if y is None or y.dtype.kind not in "iufb" or not set(np.unique(y)) <= {-1, 0, 1}:
            raise DataError(
                "y must hold 1 for anomalies, 0 for normal rows and -1 for unknown ones, with "
                'objective="anomaly". Give fit such labels.'
            )
        if (y == 1).sum() < _MIN_ANOMALIES or (y == 0).sum() < _MIN_ANOMALIES:
            raise DataError(
                f"y must have at least {_MIN_ANOMALIES} labelled anomalies and as many normal "
                f"rows, got {(y == 1).sum()} and {(y == 0).sum()}. Label more rows."
            )

    def training_rows(self, rows: Rows) -> Rows:
        """Return the rows that are not labelled as anomalies."""
        return rows.take(np.flatnonzero(rows.y != 1))

    def use(self, model: BaseAutoencoder, rows: Rows) -> Any:
        """Return a detector around the autoencoder."""
        return AnomalyDetector(autoencoder=model).fit(rows.X)

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the average precision."""
        return _average_precision(-fitted.score_samples(held_out.X), held_out)

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the average precision of the reconstruction error of a PCA."""
        return _average_precision(pca.errors(held_out.X), held_out)


def _average_precision(scores: np.ndarray, held_out: Rows) -> float:
    assert held_out.y is not None
    known = held_out.y >= 0
    return float(average_precision_score(held_out.y[known] == 1, scores[known]))


@dataclass(frozen=True)
class Imputation(_PlainObjective):
    """Share of the variation of hidden cells that is predicted."""

    figure: ClassVar[str] = "share of the variation of hidden cells predicted"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Raise DataError for images."""
        if len(rows.X.shape) > 2:
            raise DataError(
                'X must be a table for objective="imputation", got images. Use another objective.'
            )

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share for a fifth of the cells, which are hidden at random."""
        hidden = hide_cells(fitted, held_out.X, seed)
        filled = fitted_of(fitted).ask(hidden.shown, filled_of)
        return 1 - hidden.unexplained(torch.from_numpy(filled).double())

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the share of a PCA in which hidden cells are filled by the mean."""
        hidden = hide_cells(pca.model, held_out.X, seed)
        return 1 - hidden.unexplained(pca.reconstruct(hidden.shown))


@dataclass(frozen=True)
class Custom(_PlainObjective):
    """Score by a function of the fitted autoencoder, rows and labels."""

    function: Callable[[Any, Any, Any], float]
    figure: ClassVar[str] = "score"
    sizes_too: ClassVar[bool] = True

    def check(self, rows: Rows) -> None:
        """Accept any rows."""

    def score(self, fitted: Any, train: Rows, held_out: Rows, seed: int) -> float:
        """Return the result of the function."""
        return float(self.function(fitted, held_out.X, held_out.y))

    def pca_score(self, pca: EncodedPCA, train: Rows, held_out: Rows, seed: int) -> float:
        """Return nan, because a PCA is no autoencoder."""
        return float("nan")


OBJECTIVES: dict[ObjectiveName, Callable[[], Objective]] = {
    "reconstruction": Reconstruction,
    "downstream": Downstream,
    "anomaly": Anomaly,
    "imputation": Imputation,
}


def objective_of(given: Any) -> Objective:
    """Return the objective of a name or of a function."""
    if callable(given):
        return Custom(given)
    if given not in OBJECTIVES:
        raise ParameterError(
            f"objective must be one of {', '.join(OBJECTIVES)} or a function of (model, X, y), got "
            f'{given!r}. Use "reconstruction".'
        )
    return OBJECTIVES[given]()
