"""Validation of the arguments of public methods. Other modules rely on it."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from typing import Any, Literal

import narwhals as nw
import numpy as np
from sklearn.exceptions import NotFittedError as _SklearnNotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from latently._sklearn import StrOptions, check_n_features, check_sample_weight
from latently.exceptions import DataError, NotFittedError, ParameterError
from latently.schema import plain_frame, plain_rows, text_names, unmasked, why_no_images

Input = np.ndarray | nw.DataFrame[Any]

#: Arrays of three or four axes are images by their type and values, or by declaration.
ArrayKind = Literal["auto", "images"]
KIND_CONSTRAINT: list[Any] = [StrOptions({"auto", "images"})]

#: Least number of rows for ``fit``.
MIN_ROWS = 2


def read_input(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    fitted_on: Literal["array", "frame"] | None = None,
    min_rows: int = 1,
    is_declared: bool = False,
) -> Input:
    """Validate rows, and return them as a numeric array, a stack of images or a frame.

    Parameters
    ----------
    estimator : estimator
        Estimator that stores the names and the number of columns.
    X : array-like, DataFrame or Table
        Rows as passed by the user.
    reset : bool
        True in ``fit``: store names and number of columns instead of comparing them.
    fitted_on : {"array", "frame"} or None, default=None
        Kind of the rows in ``fit``. A frame given to a model of arrays is read as an array.
    min_rows : int, default=1
        Least number of rows.
    is_declared : bool, default=False
        If True, every array of three or four axes is a stack of images.

    Returns
    -------
    ndarray or narwhals.DataFrame
        Numbers of shape (n, d), images of shape (n, h, w) or (n, h, w, c), or a frame.

    Raises
    ------
    DataError
        If the rows cannot be used.
    """
    X = plain_rows(X)
    if hasattr(X, "get_fragments") or hasattr(X, "shuffled"):
        raise DataError(
            f"Expected rows in memory, got a {type(X).__name__}. Give some of them, as its "
            "to_table() or TableDataset.sample(100_000, seed=0) returns them."
        )
    if _is_frame(X) and (reset or fitted_on == "frame"):
        return _read_frame(estimator, X, reset=reset, min_rows=min_rows)
    if n_axes(X) in (3, 4):
        images = _read_images(estimator, X, min_rows=min_rows)
        if reset:
            if not (is_declared or declares_images(estimator)):
                check_images(images)
            check_n_features(estimator, images.reshape(len(images), -1), reset=True)
        return images
    if n_axes(X) == 0 and is_pictures(X):
        sizes = sorted({str(np.shape(image)) for image in X})
        raise DataError(
            f"Images must be of one size, got {', '.join(sizes[:3])}. Resize them, or use a "
            "UNetAutoencoder."
        )
    return _read_matrix(estimator, X, reset=reset, min_rows=min_rows)


def n_axes(X: Any) -> int:
    """Return the number of axes, 0 for objects that NumPy cannot convert."""
    if hasattr(X, "ndim"):
        return int(X.ndim)
    try:
        return np.asarray(X).ndim
    except (TypeError, ValueError):
        return 0


def is_target(X: Any, y: Any) -> bool:
    """Return True if ``y`` has rows to reconstruct, and False for None and labels.

    Labels have one axis, or are a column beside an ``X`` of several columns.
    """
    if y is None:
        return False
    shape = _shape_of(y)
    is_column = len(shape) == 2 and shape[-1] == 1 and _shape_of(X) != shape
    return is_pictures(y) or (len(shape) > 1 and not is_column)


def _shape_of(X: Any) -> tuple[int, ...]:
    """Return the shape of an array or a frame, () for objects that NumPy cannot convert."""
    if hasattr(X, "shape"):
        return tuple(X.shape)
    return np.asarray(X).shape if n_axes(X) else ()


def is_pictures(X: Any) -> bool:
    """Return True for a stack of images, and for a list of images of several sizes."""
    if n_axes(X) > 2:
        return True
    return isinstance(X, list | tuple) and len(X) > 0 and all(n_axes(one) in (2, 3) for one in X)


def _is_frame(X: Any) -> bool:
    return bool(nw.dependencies.is_into_dataframe(X))


def _read_frame(estimator: Any, X: Any, *, reset: bool, min_rows: int) -> nw.DataFrame[Any]:
    """Return a narwhals frame. Its column names are all texts, or none is."""
    names = list(getattr(X, "column_names", getattr(X, "columns", ())))
    _check_names(names)
    if len(names) == 0:
        raise DataError(
            f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    check_n_rows(estimator, X.shape, min_rows)
    if reset:
        _record_columns(estimator, names)
    else:
        X = _with_fitted_names(estimator, X, names)
    frame: nw.DataFrame[Any] = nw.from_native(plain_frame(X), eager_only=True)
    return frame


def _check_names(names: list[Any]) -> None:
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong and len(wrong) < len(names):
        raise DataError(
            f"Column names must all be text, got {wrong[:5]} among others. Rename them."
        )
    texts = text_names(names)
    if len(set(texts)) < len(texts):
        twice = sorted({name for name in texts if texts.count(name) > 1})
        raise DataError(f"Column names {twice[:5]} occur more than once. Rename or drop them.")


def _record_columns(estimator: Any, names: list[Any]) -> None:
    estimator.n_features_in_ = len(names)
    if all(isinstance(name, str) for name in names):
        estimator.feature_names_in_ = np.array(names, dtype=object)
    elif hasattr(estimator, "feature_names_in_"):
        del estimator.feature_names_in_


def _with_fitted_names(estimator: Any, X: Any, names: list[Any]) -> Any:
    """Return a frame with the names of ``fit``. Unnamed columns are matched by position."""
    fitted = getattr(estimator, "feature_names_in_", None)
    if fitted is None:
        return X  # numbered columns are compared during encoding
    texts, is_unnamed = text_names(names), not all(isinstance(name, str) for name in names)
    if is_unnamed and len(texts) == len(fitted) and set(texts) != set(fitted):
        warnings.warn(
            f"X does not have valid feature names, but {type(estimator).__name__} was fitted with "
            "feature names",
            UserWarning,
            stacklevel=2,
        )
        return X.set_axis(list(fitted), axis=1)
    compare_names(list(fitted), texts)
    return X.set_axis(texts, axis=1) if is_unnamed else X


def compare_names(fitted: Sequence[str], names: Sequence[str]) -> None:
    """Raise DataError unless column names equal the names in ``fit``, in the same order.

    Parameters
    ----------
    fitted : sequence of str
        Names in ``fit``.
    names : sequence of str
        Names of the rows.

    Raises
    ------
    DataError
        If the names differ. It lists the first differences.
    """
    if list(names) == list(fitted):
        return
    message = "The feature names should match those that were passed during fit.\n"
    extra = sorted(set(names) - set(fitted))
    missing = sorted(set(fitted) - set(names))
    if extra:
        message += _listed("Feature names unseen at fit time:", extra)
    if missing:
        message += _listed("Feature names seen at fit time, yet now missing:", missing)
    if not extra and not missing:
        message += "Feature names must be in the same order as they were in fit.\n"
    raise DataError(message)


def _listed(title: str, names: list[str]) -> str:
    shown = "".join(f"- {name}\n" for name in names[:5])
    return f"{title}\n{shown}{'- ...' + chr(10) if len(names) > 5 else ''}"


def _read_matrix(estimator: Any, X: Any, *, reset: bool, min_rows: int) -> np.ndarray:
    if getattr(getattr(X, "dtype", None), "kind", None) in ("m", "M"):
        raise DataError("X is an array of dates or durations. Give a DataFrame with date columns.")
    try:
        matrix: np.ndarray = validate_data(
            estimator,
            X,
            reset=reset,
            dtype="numeric",
            ensure_all_finite=False,
            ensure_min_samples=min_rows,
        )
    except ValueError as error:
        # scikit-learn prints the whole array behind some of its messages.
        message = re.sub(r":?\narray=.*\n(?=Reshape)", ". ", str(error).strip(), flags=re.DOTALL)
        raise DataError(message.partition("\n[")[0]) from None
    if matrix.dtype.kind not in "fiub":
        matrix = matrix.astype(np.float64)
    # After fit, the check is done by scaling, which finds the same cells.
    if reset and matrix.dtype.kind == "f":
        _check_finite(matrix)
    return matrix


def _check_finite(matrix: np.ndarray) -> None:
    # A finite sum proves that there is neither NaN nor infinity.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(matrix.sum()):
            return
    infinite = np.isinf(matrix)
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        raise DataError(
            f"Input X contains infinity at row {row}, column {column}. Mark it as missing (NaN) or "
            "correct it."
        )


def _read_images(estimator: Any, X: Any, *, min_rows: int) -> np.ndarray:
    stack = np.asarray(_without_mask(X))
    if stack.dtype.kind not in "fiub":
        raise DataError(
            f"Images must hold numbers, got dtype {stack.dtype}. Give uint8 or float pixels."
        )
    if 0 in stack.shape[1:]:
        raise DataError(f"Images of shape {stack.shape[1:]} have no pixels. Give larger ones.")
    check_n_rows(estimator, stack.shape, min_rows)
    if stack.dtype.kind == "f" and np.isinf(stack).any():
        image = int(np.argwhere(np.isinf(stack))[0][0])
        raise DataError(f"Image {image} has infinite pixels. Mark them as missing (NaN).")
    return stack


def _without_mask(X: Any) -> Any:
    """Return a masked array with NaN for masked cells, and other objects unchanged."""
    if not isinstance(X, np.ma.MaskedArray):
        return X
    return np.ma.filled(X.astype(np.float64), np.nan) if np.ma.is_masked(X) else X.data


def declares_images(estimator: Any) -> bool:
    """Return True if an estimator, or its autoencoder, declares images or is already fitted."""
    inner = getattr(estimator, "autoencoder", None)
    inner = getattr(inner, "estimator", inner)  # the one inside a FrozenEstimator
    is_declared = any(getattr(one, "kind", "auto") == "images" for one in (estimator, inner))
    return is_declared or hasattr(inner, "preprocessor_")


def check_images(stack: np.ndarray) -> None:
    """Raise DataError if type and values do not show that an array holds images.

    Parameters
    ----------
    stack : ndarray
        Numbers of three or four axes.

    Raises
    ------
    DataError
        If the array may hold windows of a series.
    """
    wrong = why_no_images(stack)
    if wrong:
        raise DataError(
            f"An array of shape {stack.shape} must hold unsigned integers, numbers within [0, 1] "
            f'or whole numbers from 0 to 255 to count as images, {wrong}. Use kind="images" for '
            "images, or flatten windows to a table: X.reshape(len(X), -1)."
        )


def check_n_rows(estimator: Any, shape: tuple[int, ...], min_rows: int) -> None:
    """Raise DataError if there are fewer rows than an estimator needs."""
    if shape[0] < min_rows:
        raise DataError(
            f"Found array with {shape[0]} sample(s) (shape={shape}) while a minimum of {min_rows} "
            f"is required by {type(estimator).__name__}."
        )


def read_codes(Z: Any, n_components: int) -> np.ndarray:
    """Validate codes to decode, and return them as a float matrix (n_samples, n_components)."""
    try:
        codes = np.asarray(plain_rows(Z))
    except ValueError:
        raise DataError(
            "Codes must be rows of equal length. Give the result of transform."
        ) from None
    if len(codes.shape) == 2 and len(codes) == 0:
        raise DataError("There are no codes to decode. Give at least one row.")
    if codes.dtype.kind in "iub":
        codes = codes.astype(np.float64)
    if codes.ndim != 2 or codes.shape[1] != n_components or codes.dtype.kind != "f":
        raise DataError(
            f"Codes must be numbers of shape (n_samples, {n_components}), got {codes.dtype} of "
            f"shape {codes.shape}. Give the result of transform."
        )
    if not np.isfinite(codes).all():
        row = int(np.argwhere(~np.isfinite(codes))[0][0])
        raise DataError(f"The code in row {row} is not finite. Give the result of transform.")
    return codes


def read_weights(sample_weight: Any, X: Any, n_rows: int) -> np.ndarray | None:
    """Return validated row weights of shape (n_rows,), or None without weights."""
    if sample_weight is None:
        return None
    if not np.any(sample_weight := unmasked(sample_weight, "sample_weight")):
        raise DataError(
            "sample_weight is zero for every row. Give at least one row a non-zero weight."
        )
    shared_weight = sample_weight.item() if sample_weight.ndim == 0 else None
    try:
        weights: np.ndarray = check_sample_weight(shared_weight or sample_weight, n_rows)
    except ValueError as error:
        raise DataError(str(error)) from None
    return weights


def read_seed(random_state: Any) -> int:
    """Return a seed. For None it is drawn without the global random state of NumPy."""
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise ParameterError(str(error)) from None


def check_fitted(estimator: Any) -> None:
    """Raise NotFittedError unless ``fit`` was called."""
    try:
        check_is_fitted(estimator)
    except _SklearnNotFittedError as error:
        raise NotFittedError(str(error)) from None
