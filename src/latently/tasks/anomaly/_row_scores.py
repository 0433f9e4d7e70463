"""Scores, p-values and flags of rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latently.estimators import BaseAutoencoder
from latently.schema import TableSpec


class RowScores(NamedTuple):
    """Scores of rows, with p-values of detectors and flags if there is a threshold.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Anomaly scores: higher = more unusual.
    p_values : ndarray of shape (n_samples,) or None
        Share of normal rows that are as unusual.
    flags : ndarray of shape (n_samples,) or None
        True for anomalies.
    cut : float or None
        The score that flags begin at.
    """

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None = None
    flags: NDArray[np.bool_] | None = None
    cut: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns of the answer."""
        named = {
            "anomaly_score": self.scores, "p_value": self.p_values, "is_anomaly": self.flags
        }  # fmt: skip
        return {name: column for name, column in named.items() if column is not None}

    @property
    def n_anomalies(self) -> int:
        """Rows flagged."""
        return 0 if self.flags is None else int(self.flags.sum())


def autoencoder_of(model: Any) -> BaseAutoencoder:
    """Return the autoencoder inside a task, or the autoencoder itself."""
    found: BaseAutoencoder = getattr(model, "autoencoder_", model)
    return found


def anomaly_scores(model: Any, X: Any) -> NDArray[np.float64]:
    """Return the anomaly scores of rows: higher = more unusual."""
    if hasattr(model, "anomaly_score"):
        scores: NDArray[np.float64] = model.anomaly_score(X)
        return scores
    scorer = model if hasattr(model, "score_samples") else autoencoder_of(model)
    return -np.asarray(scorer.score_samples(X))


def score_rows(model: Any, X: Any, cut: float | None) -> RowScores:
    """Score rows, and flag those above a cut.

    Parameters
    ----------
    model : detector or autoencoder
        Fitted.
    X : array-like, DataFrame or Table
        Rows with the columns of ``fit``.
    cut : float or None
        Scores above it are flagged. None flags no rows.

    Returns
    -------
    RowScores
        Of each row.
    """
    scores = anomaly_scores(model, X)
    calibration = getattr(model, "calibration_", None)
    p_values = None if calibration is None else calibration.p_values(scores)
    return RowScores(scores, p_values, None if cut is None else scores > cut, cut)


def contributions(model: Any, X: Any) -> dict[str, Any]:
    """Return the contribution of each column to the anomaly score, by the names of the output."""
    autoencoder = autoencoder_of(model)
    if hasattr(model, "cell_scores"):
        errors = model.cell_scores(X)
    else:
        errors = autoencoder.reconstruction_error(X, per_feature=True)
    names = autoencoder.preprocessor_.column_names
    return {f"error_{name}": errors[:, place] for place, name in enumerate(names)}


def codes(model: Any, X: Any) -> dict[str, Any]:
    """Return the code of each row, by the names of its components."""
    autoencoder = autoencoder_of(model)
    found = autoencoder.transform(X)
    names = autoencoder.get_feature_names_out()
    return {str(name): found[:, place] for place, name in enumerate(names)}


def spec_of(model: Any) -> TableSpec | None:
    """Return the table that a model was fitted on, to read further tables by.

    Categories have the type of their values.

    Parameters
    ----------
    model : task or autoencoder
        Fitted.

    Returns
    -------
    TableSpec or None
        None where the rows of ``fit`` had no names or were images.
    """
    preprocessor: Any = autoencoder_of(model).preprocessor_
    spec = preprocessor.spec
    if getattr(spec, "names", None) is None:
        return None
    values = {
        codec.position: type(codec.categories[0]).__name__
        for codec in preprocessor.codecs
        if getattr(codec, "categories", ())
    }
    names = {"int": "int64", "float": "double", "bool": "bool"}
    types = tuple(
        replace(kind, name=names.get(values.get(place, ""), "string"))
        if kind.name == "dictionary"
        else kind
        for place, kind in enumerate(spec.types)
    )
    answer: TableSpec = replace(spec, types=types)
    return answer
