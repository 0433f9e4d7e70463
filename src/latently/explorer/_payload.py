"""The contents of a page: coordinates, columns, scores and decoder as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_outlier_detector

from latently._notices import warn
from latently._validation import Input, check_fitted
from latently.estimators import fitted_of, tags_of
from latently.exceptions import DataError
from latently.explorer._blob import Blob
from latently.explorer._columns import any_column, as_arrow, columns_of, number_column
from latently.explorer._decoder import decoder_of
from latently.explorer._outputs import outputs_of
from latently.preprocessing import cell_lists
from latently.report._contents import rows_at
from latently.tasks import Explanation, anomaly_scores, autoencoder_of, explain_images

#: Rows whose reasons are listed, reasons of each, and elements of all thumbnails.
_N_WORST, _N_REASONS, _MAX_PIXELS = 50, 3, 1_600_000
#: Codes of more components get no slider each.
_MAX_SLIDERS = 32


@dataclass(frozen=True)
class Beside:
    """Columns beside those of the model.

    Attributes
    ----------
    labels : array-like or None
        A label or an amount of each row, which colours the map.
    label : str
        Name of the labels.
    ids : dict of str to array-like
        Identifiers of the rows, by name.
    """

    labels: Any
    label: str
    ids: dict[str, Any]

    def columns(self, places: NDArray[np.intp], n_rows: int, blob: Blob) -> list[dict[str, Any]]:
        """Return the columns of some rows, labels first."""
        found = []
        for name, values in self.ids.items():
            found.append({**self._column(name, values, places, n_rows, "ids", blob), "role": "id"})
        if self.labels is not None:
            column = self._column(self.label, self.labels, places, n_rows, "y", blob)
            found.append({**column, "role": "label"})
        return found

    @staticmethod
    def _column(
        name: str, values: Any, places: NDArray[np.intp], n_rows: int, parameter: str, blob: Blob
    ) -> dict[str, Any]:
        column = as_arrow(values)
        if len(column) != n_rows:
            raise DataError(
                f"{parameter} must have a value for each of the {n_rows:,} rows, got "
                f"{len(column):,}. Give one a row."
            )
        return any_column(name, column.take(places), blob)


class _Plane(NamedTuple):
    """Points of a map, and the plane of codes in which they lie."""

    points: NDArray[np.float64]
    axes: tuple[str, str]
    codes: NDArray[np.float64]
    center: NDArray[np.float64] | None
    basis: NDArray[np.float64] | None


class Payload(NamedTuple):
    """Contents of a page: a dict ready for JSON, the arrays as base64, and the rows shown."""

    header: dict[str, Any]
    blob: str
    rows: Any


def gather(model: Any, X: Any, beside: Beside, max_rows: int) -> Payload:
    """Return the contents of a page.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    beside : Beside
        Labels and identifiers.
    max_rows : int
        Rows are drawn at random if there are more.

    Returns
    -------
    Payload
        Coordinates, columns, scores, reasons and decoder.

    Raises
    ------
    DataError
        If the rows cannot be used.
    """
    check_fitted(model)
    coder: Any = autoencoder_of(model)
    rows: Input = fitted_of(coder).validate(X)
    places = _drawn(len(rows), max_rows)
    shown = X if len(places) == len(rows) else rows_at(rows, places)
    data = fitted_of(coder).validate(shown)
    blob = Blob()
    plane = _plane(coder, shown)
    scores = _scores(model, coder, shown, blob)
    header = {
        "version": 1,
        "title": type(model).__name__,
        "about": _about(model, coder, len(places), len(rows)),
        "n": len(places),
        "total": len(rows),
        "map": _map(plane, blob),
        "columns": [
            {**number_column("row", places.astype(np.float64), blob), "role": "row"},
            *beside.columns(places, len(rows), blob),
            *scores,
            *_own_columns(coder, data, blob),
        ],
        "alarm": _alarm(model, shown, blob),
        "reasons": _reasons(model, coder, data, _values(model, shown)),
        "images": _images(coder, shown, blob),
        "decoder": _decoder(coder, shown, plane, blob),
    }
    return Payload(header, blob.text(), shown)


def _drawn(n_rows: int, max_rows: int) -> NDArray[np.intp]:
    """Return the places of the rows that are shown, in order."""
    if n_rows < 2:
        raise DataError(f"A map needs 2 rows at least, got {n_rows}. Give more.")
    if n_rows <= max_rows:
        return np.arange(n_rows)
    warn(f"{max_rows:,} of {n_rows:,} rows, drawn at random, are shown. Raise max_rows for more.")
    drawn = np.random.default_rng(0).choice(n_rows, max_rows, replace=False)
    return np.sort(drawn)


def _about(model: Any, coder: Any, n_shown: int, n_rows: int) -> str:
    rows = f"{n_rows:,} rows" if n_shown == n_rows else f"{n_shown:,} of {n_rows:,} rows"
    if model is coder:
        return f"{rows}, {coder.n_components_:,} components"
    return f"{rows}, {type(coder).__name__}"


# ---------------------------------------------------------------- map
def _plane(coder: Any, X: Any) -> _Plane:
    if not tags_of(coder).decodes_codes:
        rows = fitted_of(coder).read(X).values.flatten(1).double().numpy()
        return _principal(rows, "encoded rows")
    codes = np.asarray(coder.transform(X), dtype=np.float64)
    if codes.shape[1] == 1:
        errors = np.asarray(coder.reconstruction_error(X), dtype=np.float64)
        axes = ("component 1", "reconstruction error")
        return _Plane(np.column_stack([codes, errors]), axes, codes, None, None)
    if codes.shape[1] == 2:
        return _Plane(codes, ("component 1", "component 2"), codes, np.zeros(2), np.eye(2))
    return _principal(codes, "code")


def _principal(codes: NDArray[np.float64], of: str) -> _Plane:
    """Return the plane of the first two principal components."""
    center = codes.mean(0)
    _, sizes, directions = np.linalg.svd(codes - center, full_matrices=False)
    shares = [*(np.square(sizes) / max(np.square(sizes).sum(), 1e-30)), 0.0]
    basis = np.zeros((2, codes.shape[1]))
    basis[: len(directions[:2])] = directions[:2]
    axes = [f"direction {i + 1} of the {of}, {shares[i]:.0%} of its variance" for i in (0, 1)]
    return _Plane((codes - center) @ basis.T, (axes[0], axes[1]), codes, center, basis)


def _map(plane: _Plane, blob: Blob) -> dict[str, Any]:
    x, y = plane.points.T.astype(np.float32)
    return {"axes": list(plane.axes), "x": blob.add(x), "y": blob.add(y)}


# ---------------------------------------------------------------- columns
def _own_columns(coder: Any, data: Input, blob: Blob) -> list[dict[str, Any]]:
    if len(coder.preprocessor_.layout.shape) > 1:
        return []
    names = [str(name) for name in coder.preprocessor_.column_names]
    return [{**column, "role": "column"} for column in columns_of(data, names, blob)]


def _values(model: Any, X: Any) -> NDArray[np.float64]:
    return np.asarray(anomaly_scores(model, X), dtype=np.float64)


def _scores(model: Any, coder: Any, X: Any, blob: Blob) -> list[dict[str, Any]]:
    """Return the columns of the anomaly score and of the reconstruction error."""
    columns = []
    if is_outlier_detector(model):
        columns.append(number_column("anomaly score", _values(model, X), blob))
    if tags_of(coder).decodes_codes:
        errors = np.asarray(coder.reconstruction_error(X), dtype=np.float64)
        columns.append(number_column("reconstruction error", errors, blob))
    return [{**column, "role": "score"} for column in columns]


# ---------------------------------------------------------------- alarms
def _alarm(model: Any, X: Any, blob: Blob) -> dict[str, Any] | None:
    if not is_outlier_detector(model):
        return None
    p_values = np.asarray(model.p_values(X), dtype=np.float32)
    rule = str(model.threshold_).rstrip(".")
    return {
        "cut": float(np.clip(model.threshold_.cut, -1e308, 1e308)),
        "rule": rule,
        "p": blob.add(p_values),
    }


def _reasons(
    model: Any, coder: Any, data: Input, scores: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """Return the rows of the highest scores, each with its reasons in words."""
    worst = np.argsort(-scores, kind="stable")[:_N_WORST]
    rows = rows_at(data, worst)
    if len(coder.preprocessor_.layout.shape) > 1:
        reasons = _patches(model, coder, rows, scores[worst])
    elif is_outlier_detector(model):
        found = model.explain(rows, n_reasons=_N_REASONS)
        assert isinstance(found, Explanation)
        reasons = [[str(reason) for reason in one.reasons] for one in found]
    else:
        reasons = _largest_errors(coder, rows)
    return [{"row": int(r), "why": why} for r, why in zip(worst, reasons, strict=True)]


def _patches(model: Any, coder: Any, rows: Any, scores: NDArray[np.float64]) -> list[list[str]]:
    if is_outlier_detector(model):
        found = model.explain(rows)
    else:
        errors = coder.reconstruction_error(rows, per_feature=True)
        found = explain_images(errors, coder.preprocessor_, scores, np.inf)
    return [
        [f"rows {top} to {bottom}, columns {left} to {right} of the image"]
        for top, left, bottom, right in found.worst.tolist()
    ]


def _largest_errors(coder: Any, rows: Any) -> list[list[str]]:
    """Return the columns of the largest errors of each row, with both values."""
    errors = coder.reconstruction_error(rows, per_feature=True)
    names = [str(name) for name in coder.preprocessor_.column_names]
    got, rebuilt = (_cells(coder, part, names) for part in (rows, coder.reconstruct(rows)))
    return [
        [
            f"{names[j]} {_short(got[j][row])}, rebuilt as {_short(rebuilt[j][row])}"
            for j in np.argsort(-line, kind="stable")[:_N_REASONS]
            if line[j] > 0
        ]
        for row, line in enumerate(errors)
    ]


def _cells(coder: Any, rows: Any, names: list[str]) -> list[list[Any]]:
    cells = cell_lists(fitted_of(coder).validate(rows), coder.preprocessor_.column_names)
    return list(cells.values())


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return "missing" if value is None else str(value)


# ---------------------------------------------------------------- images and decoder
def _images(coder: Any, X: Any, blob: Blob) -> dict[str, Any] | None:
    """Return thumbnails of the images, as bytes of (row, y, x, channel)."""
    if len(coder.preprocessor_.layout.shape) == 1:
        return None
    values = fitted_of(coder).read(X).values.float().numpy()
    step = 1
    while values[:, :, ::step, ::step].size > _MAX_PIXELS and step < min(values.shape[2:]):
        step += 1
    small = _reduced(values, step)
    pixels = np.rint(np.clip(small, 0, 1) * 255).astype(np.uint8)
    shape = dict(zip(("channels", "height", "width"), small.shape[1:], strict=True))
    return {**shape, "data": blob.add(pixels.transpose(0, 2, 3, 1))}


def _reduced(values: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    """Return images with the mean of each square of ``step`` pixels."""
    if step == 1:
        return values
    n, c, height, width = values.shape
    height, width = height // step, width // step
    cut = values[:, :, : height * step, : width * step]
    return np.asarray(cut.reshape(n, c, height, step, width, step).mean((3, 5)))


def _decoder(coder: Any, X: Any, plane: _Plane, blob: Blob) -> dict[str, Any] | None:
    """Return the layers of the decoder, or None if only the model can decode a code."""
    shape = coder.preprocessor_.layout.shape
    if plane.codes.shape[1] > 1 and not tags_of(coder).decodes_codes:
        return None
    spread = plane.codes.std(0)
    decoder: dict[str, Any] = {
        "layers": decoder_of(coder, plane.codes, blob),
        "shape": list(shape),
        "codes": blob.add(plane.codes.astype(np.float32)),
        "size": plane.codes.shape[1],
        "low": (plane.codes.min(0) - 0.25 * spread).tolist(),
        "high": (plane.codes.max(0) + 0.25 * spread).tolist(),
        "sliders": plane.codes.shape[1] if plane.codes.shape[1] <= _MAX_SLIDERS else 0,
        "outputs": outputs_of(coder, X) if len(shape) == 1 else [],
    }
    if plane.basis is not None and plane.center is not None:
        decoder |= {"center": plane.center.tolist(), "basis": plane.basis.tolist()}
    return decoder
