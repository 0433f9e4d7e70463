"""Contents of a report as plain data, before they are drawn."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import narwhals as nw
import numpy as np
from sklearn.base import is_outlier_detector

from latently._validation import Input, check_fitted
from latently.estimators import BaseAutoencoder, fitted_of
from latently.exceptions import DataError
from latently.inspection import check, describe_latents, inspect, traverse
from latently.preprocessing import cell_lists
from latently.tasks import (
    AnomalyDetector,
    Explanation,
    ImageExplanation,
    anomaly_scores,
    drift_of_scores,
    explain_images,
)

#: Rows that are listed, columns named of each, latents described and walked along, and steps.
_N_WORST, _N_CELLS, _N_LATENTS, _N_WALKED, _N_STEPS = 8, 3, 12, 3, 5
#: Largest number of columns shown in a traversal, and number of bins of the scores.
_N_SHOWN, _N_BINS = 6, 40
_MIN_ROWS = 20


def gather(model: Any, X: Any, now: datetime | None = None) -> dict[str, Any]:
    """Return the contents of a report as dicts, lists and plain values.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``, 20 at least.
    now : datetime or None, default=None
        When the report is made.

    Returns
    -------
    dict
        Ready for JSON.

    Raises
    ------
    DataError
        If there are fewer than 20 rows, or they cannot be used.
    """
    check_fitted(model)
    autoencoder: BaseAutoencoder = getattr(model, "autoencoder_", model)
    n_rows = len(fitted_of(autoencoder).read(X).values)
    if n_rows < _MIN_ROWS:
        raise DataError(f"A report needs {_MIN_ROWS} rows at least, got {n_rows}. Give more.")
    facts, health = inspect(model), check(model, X)
    contents: dict[str, Any] = {
        "title": facts.name,
        "made": (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC"),
        "version": version("latently"),
        "n_rows": n_rows,
        "facts": facts.to_dict(),
        "errors": _errors(autoencoder, X),
        "history": autoencoder.history_.to_dict(),
        "health": health.to_dict(),
        "worst": _worst(model, autoencoder, X),
        "latents": _latents(autoencoder, X),
        "anomalies": _anomalies(model, X) if is_outlier_detector(model) else None,
    }
    contents["conclusion"] = _conclusion(contents)
    return contents


def _conclusion(contents: dict[str, Any]) -> str:
    """Summarise the findings in one or two sentences."""
    facts, anomalies = contents["facts"], contents["anomalies"]
    inner = facts["autoencoder"] or facts
    words = []
    if anomalies is not None:
        words.append(
            f"{anomalies['n_flagged']:,} of {contents['n_rows']:,} rows "
            f"({anomalies['n_flagged'] / contents['n_rows']:.1%}) are flagged."
        )
    if inner["baselines"] is not None:
        what = "columns" if contents["errors"]["columns"] else "pixels"
        size = f"{inner['n_columns']:,} {what} through {inner['n_components']:,} numbers"
        words.append(f"The model takes {size}: {inner['baselines']['conclusion']}.")
    else:
        words.append(f"The model knows rows of {inner['n_columns']:,} cells.")
    findings = contents["health"]["findings"]
    n_bad = sum(finding["severity"] == "bad" for finding in findings)
    if n_bad:
        which = ", ".join(f["name"] for f in findings if f["severity"] == "bad")
        words.append(f"To be seen to before it is relied on: {which}.")
    elif findings:
        words.append(f"Warnings: {len(findings)}, none of them serious.")
    else:
        words.append("No check found anything wrong.")
    return " ".join(words)


def _errors(model: BaseAutoencoder, X: Any) -> dict[str, Any]:
    """Return the unexplained variance per column, in descending order, or in total for images."""
    inner = fitted_of(model)
    cells = inner.read(X)
    rows = cells.values.double().flatten(1).numpy()
    residuals = np.asarray(inner.residuals(X), dtype=np.float64)
    centred = rows - rows.mean(0)
    layout = model.preprocessor_.layout
    total = np.square(residuals).sum() / max(np.square(centred).sum(), 1e-300)
    if len(layout.shape) > 1:
        return {"unexplained": float(total), "columns": []}
    names = model.preprocessor_.column_names
    order = model.preprocessor_.order
    columns = []
    for column in layout.columns:
        left, whole = (np.square(part[:, column.elements]).sum() for part in (residuals, centred))
        share = float(left / whole) if whole > 0 else None
        columns.append({"column": names[order[column.place]], "unexplained": share})
    columns.sort(
        key=lambda column: -1.0 if column["unexplained"] is None else -column["unexplained"]
    )
    return {"unexplained": float(total), "columns": columns}


def _worst(model: Any, autoencoder: BaseAutoencoder, X: Any) -> list[dict[str, Any]]:
    """Return the rows of the highest scores, each with its reasons."""
    scores = anomaly_scores(model, X)
    worst = np.argsort(-scores, kind="stable")[:_N_WORST]
    if is_outlier_detector(model):
        found = model.explain(_taken(X, autoencoder, worst), n_reasons=_N_CELLS)
        if isinstance(found, Explanation):
            reasons = [[str(reason) for reason in one.reasons] for one in found]
        else:
            reasons = _patches(found)
    elif not _is_table(autoencoder):
        errors = autoencoder.reconstruction_error(_taken(X, autoencoder, worst), per_feature=True)
        reasons = _patches(explain_images(errors, autoencoder.preprocessor_, scores[worst], np.inf))
    else:
        reasons = _largest_errors(autoencoder, _taken(X, autoencoder, worst))
    return [
        {"row": int(row), "anomaly_score": float(scores[row]), "reasons": why}
        for row, why in zip(worst, reasons, strict=True)
    ]


def _patches(found: ImageExplanation) -> list[list[str]]:
    return [
        [f"rows {top} to {bottom}, columns {left} to {right} of the image"]
        for top, left, bottom, right in found.worst.tolist()
    ]


def _largest_errors(model: BaseAutoencoder, X: Any) -> list[list[str]]:
    errors = model.reconstruction_error(X, per_feature=True)
    names = model.preprocessor_.column_names
    got, rebuilt = (columns_of(model, part) for part in (X, model.reconstruct(X)))
    return [
        [
            f"{names[j]} {_short(got[names[j]][row])}, rebuilt as {_short(rebuilt[names[j]][row])}"
            for j in np.argsort(-line, kind="stable")[:_N_CELLS]
            if line[j] > 0 and _short(got[names[j]][row]) != _short(rebuilt[names[j]][row])
        ]
        for row, line in enumerate(errors)
    ]


def _taken(X: Any, model: BaseAutoencoder, places: np.ndarray) -> Any:
    """Return the rows at some places, in the container type of the user."""
    return rows_at(fitted_of(model).validate(X), places)


def rows_at(data: Input, places: np.ndarray) -> Any:
    """Return the rows at some places, in the container type of the user."""
    if isinstance(data, np.ndarray):
        return data[places]
    return data[places.tolist()].to_native()


def columns_of(model: BaseAutoencoder, X: Any) -> dict[str, list[Any]]:
    names = model.preprocessor_.column_names
    data = X if isinstance(X, np.ndarray) else nw.from_native(X, eager_only=True)
    return cell_lists(data, names)


def _latents(model: BaseAutoencoder, X: Any) -> dict[str, Any] | None:
    """Return latent cards, and walks along the most important ones of a table."""
    try:
        report = describe_latents(model, X, n_latents=_N_LATENTS)
    except DataError:
        return None  # its code alone does not rebuild a row
    alive = [card for card in report.cards if card.status == "alive"][:_N_WALKED]
    walks = [_walk(model, X, card) for card in alive] if _is_table(model) else []
    cards = [
        {**card, "is_nameable": one.is_nameable}
        for card, one in zip(report.to_dict()["cards"], report.cards, strict=True)
    ]
    return {**report.to_dict(), "cards": cards, "walks": walks}


def _is_table(model: BaseAutoencoder) -> bool:
    return len(model.preprocessor_.layout.shape) == 1


def _walk(model: BaseAutoencoder, X: Any, card: Any) -> dict[str, Any]:
    rows = columns_of(model, traverse(model, X, card.latent, _N_STEPS))
    moved = [move.element.split(" = ")[0].split(" above ")[0] for move in card.moves]
    shown = [name for name in dict.fromkeys(moved) if name in rows][:_N_SHOWN]
    return {
        "latent": card.latent,
        "columns": {name: [_short(value) for value in rows[name]] for name in shown},
    }


def _anomalies(model: AnomalyDetector, X: Any) -> dict[str, Any]:
    scores, cut = model.anomaly_score(X), model.threshold_.cut
    counts, edges = np.histogram(scores, _N_BINS)
    return {
        "threshold": float(cut),
        "rule": str(model.threshold_).rstrip("."),
        "n_flagged": int((scores > cut).sum()),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
        "drift": str(drift_of_scores(model, scores)),
    }


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return str(value)
