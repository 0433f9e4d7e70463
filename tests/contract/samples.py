"""Small data sets, and the methods that every estimator is tested with."""

import functools

import numpy as np
import pyarrow as pa

from latently import UNetAutoencoder
from latently.datasets import make_transactions

LIBRARIES = ["pandas", "polars", "pyarrow"]
#: What a test says that doubles rows on purpose.
TWINS = "ignore:.*validation rows have a copy in training:latently.exceptions.DataWarning"
_QUESTIONS = ["transform", "reconstruct", "score_samples", "decision_function", "predict"]


def matrix(n_rows=60, n_columns=5, seed=0, noise=0.1):
    """Return numbers of two latent factors with some noise."""
    rng = np.random.default_rng(seed)
    traits = rng.normal(size=(n_rows, 2))
    clean = traits @ rng.normal(size=(2, n_columns))
    return clean + noise * rng.normal(size=clean.shape)


def stack(*shape, dtype="float64", seed=0):
    """Return images of random brightness, in the whole range of an integer type."""
    rng = np.random.default_rng(seed)
    pixels = rng.random(shape) * rng.random((shape[0], *[1] * (len(shape) - 1)))
    pixels.flat[:2] = 0, 1
    kind = np.dtype(dtype)
    top = np.iinfo(kind).max if kind.kind in "iu" else 1
    return (pixels * top).astype(kind)


@functools.cache
def transactions(library, n_rows=200, *, complete=False, seed=0):
    """Return a table of every kind of column."""
    drawn = make_transactions(n_rows, as_frame=library, random_state=seed)
    return drawn.complete if complete else drawn.data


def to_arrow(frame):
    """Return any frame as an Arrow table."""
    if isinstance(frame, pa.Table):
        return frame
    if hasattr(frame, "to_arrow"):
        return frame.to_arrow()
    return pa.Table.from_pandas(frame, preserve_index=False)


def columns(frame):
    """Return the columns of any frame as lists, None where a cell is missing."""
    return to_arrow(frame).to_pydict()


def answers(model, X):
    """Return the results of all methods of a fitted model."""
    asked = {name: getattr(model, name)(X) for name in _QUESTIONS if hasattr(model, name)}
    if hasattr(model, "sample"):
        asked["sample"] = model.sample(4, random_state=0)
    if hasattr(model, "inverse_transform") and not isinstance(model, UNetAutoencoder):
        asked["inverse_transform"] = model.inverse_transform(model.transform(X))
    return asked


def same(one, other):
    """Return True if two results are bitwise equal, types included."""
    if isinstance(one, np.ndarray):
        return (
            one.dtype == other.dtype
            and one.shape == other.shape
            and one.tobytes() == other.tobytes()
        )
    return type(one) is type(other) and one.equals(other)


def assert_same_answers(one, other, X):
    """Assert that two models give bitwise equal results."""
    expected, got = answers(one, X), answers(other, X)
    assert expected and expected.keys() == got.keys()
    assert [name for name in expected if not same(expected[name], got[name])] == []
