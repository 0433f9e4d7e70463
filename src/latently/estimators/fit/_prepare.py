"""Preparation of a fit: encoded training data, memory checks and training options."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import torch
from torch import nn

from latently._layout import Layout
from latently._sklearn import Interval
from latently._validation import Input
from latently.estimators.fit._effort import Effort, scaled
from latently.estimators.fit._split import repeated_rows, take_rows
from latently.exceptions import DataError
from latently.io._resources import check_memory
from latently.nn import Cells, DenseNetwork, outlined
from latently.preprocessing import (
    ImagePreprocessor,
    LikelihoodChoice,
    Preprocessor,
    TablePreprocessor,
    canonical_order,
    warn_of_far_rows,
)
from latently.training import TrainingData, TrainingOptions, n_batches

#: Number of evaluations in a training.
_N_EVALUATIONS = 50
#: Bytes that a fit needs per element: in double and in single precision, and for both splits.
_BYTES_PER_ELEMENT = 16
#: Bytes per parameter: value, gradient, two moments, best value and a copy of it.
_BYTES_PER_WEIGHT = 24
#: Bytes per parameter of each further model: its value, and a copy in double precision.
_BYTES_PER_KEPT_WEIGHT = 12
#: Bytes per pair of elements: covariance, inverse and derived matrices in double precision.
_BYTES_PER_PAIR = 56
#: Maximum number of training rows to which the prior of a code is fitted.
_PRIOR_ROWS = 10_000
#: Minimum number of pixels for the network of wide images.
_MIN_WIDE = 32
#: "auto" number of passes, within bounds on the steps that suit 100 and 1,000,000 rows.
_AUTO_EPOCHS, _MIN_STEPS, _MAX_STEPS = 100, 2_000, 10_000


def default_network(layout: Layout) -> DenseNetwork:
    """Return the default network for a layout.

    Batch normalisation, little dropout and a linear path lower the error on unseen images. All
    three raise it on tables of standardised numbers.
    """
    if layout.width < _MIN_WIDE or any(block.likelihood != "bernoulli" for block in layout.blocks):
        return DenseNetwork()
    return DenseNetwork(normalization="batch", dropout=0.05, linear_path=True)


class SortedRows(NamedTuple):
    """Rows sorted by content, their original positions, and a number per distinct row."""

    data: Input
    target: Input | None
    weights: np.ndarray | None
    positions: np.ndarray
    content: np.ndarray


#: Constraints of the parameters that limit a fit.
LIMIT_CONSTRAINTS: dict[str, list[Any]] = {
    "time_limit": [Interval(Real, 0, None, closed="neither"), None],
    "max_memory": [Interval(Real, 0, None, closed="neither"), None],
}


class Plan(Protocol):
    """Parameters of an estimator that determine the training options."""

    max_epochs: int | Literal["auto"]
    batch_size: int | Literal["auto"]
    learning_rate: float
    weight_decay: float
    gradient_clip: float | None
    patience: int | None
    effort: Effort
    time_limit: float | None
    max_memory: float | None


def in_canonical_order(data: Input, target: Input | None, weights: np.ndarray | None) -> SortedRows:
    """Sort rows by content, so that a fit does not depend on their order.

    Whole-number weights become repeated rows: a row of weight 2 is equivalent to two copies. Rows
    far outside the range of all others are named in a warning.
    """
    warn_of_far_rows(data)
    kept = None
    if weights is not None and not weights.all():
        kept = np.flatnonzero(weights)
        data, weights = take_rows(data, kept), weights[kept]
        target = None if target is None else take_rows(target, kept)
    order, content = canonical_order(data)
    if weights is not None:
        order, content, weights = repeated_rows(order, content, weights)
    goal = None if target is None else take_rows(target, order)
    positions = order if kept is None else kept[order]
    return SortedRows(take_rows(data, order), goal, weights, positions, content)


def check_pairs_memory(width: int, n_members: int, allowed: float | None) -> None:
    """Raise ResourceError if matrices over all pairs of elements need more memory than allowed.

    Parameters
    ----------
    width : int
        Number of elements of an encoded row.
    n_members : int
        Parameters of the networks per element.
    allowed : float or None
        Maximum memory in bytes. None allows the memory that is free.
    """
    check_memory(
        width**2 * _BYTES_PER_PAIR + width * n_members * _BYTES_PER_WEIGHT,
        f"Learning how {width:,} encoded elements depend on each other",
        "Give fewer columns, or fill them by a DenoisingAutoencoder()",
        allowed,
    )


def check_answer_memory(n_rows: int, width: int, what: str, remedy: str, n_bytes: int = 32) -> None:
    """Raise ResourceError if encoded rows need more memory than is free.

    Parameters
    ----------
    n_rows, width : int
        Number of rows, and of elements per row.
    what, remedy : str
        Subject and last sentence of the error message.
    n_bytes : int, default=32
        Bytes per element.
    """
    check_memory(float(n_rows) * width * n_bytes, what, remedy)


#: Constraint of ``max_categories``.
MAX_CATEGORIES_CONSTRAINT: list[Any] = [Interval(Integral, 1, None, closed="left")]


def make_preprocessor(
    data: Input, likelihood: LikelihoodChoice, max_categories: int, *, narrow: bool = True
) -> Preprocessor:
    """Return a fitted preprocessor. If ``narrow``, images are scaled by the range in use."""
    if isinstance(data, np.ndarray) and data.ndim > 2:
        return ImagePreprocessor.fit(data, likelihood, narrow=narrow)
    return TablePreprocessor.fit(data, likelihood, max_categories)


def is_image_stack(data: Input) -> bool:
    """Return True for an array of more than two axes."""
    return isinstance(data, np.ndarray) and data.ndim > 2


def encode(preprocessor: Preprocessor, data: Input, *, fitting: bool = False) -> Cells:
    """Encode rows. Refuse images if ``fit`` saw a table, and a table if it saw images."""
    if isinstance(preprocessor, ImagePreprocessor):
        if not isinstance(data, np.ndarray) or data.ndim == 2:
            raise DataError(
                f"fit saw images, got rows of shape {np.shape(data)}. Give an image stack."
            )
        values, observed = preprocessor.encode(data, fitting=fitting)
    elif is_image_stack(data):
        raise DataError("fit saw a table, got a stack of images. Give rows of that table.")
    else:
        values, observed = preprocessor.encode(data, fitting=fitting)
    return Cells(_tensor(values), None if observed is None else _tensor(observed))


def extended_preprocessor(preprocessor: Preprocessor, cells: Cells) -> Preprocessor:
    """Return a preprocessor whose supports include the values of further rows."""
    observed = None if cells.observed is None else cells.observed.numpy()
    return preprocessor.extended(cells.values.numpy(), observed)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def training_data(
    preprocessor: Preprocessor, data: Input, target: Input | None, weights: np.ndarray | None
) -> TrainingData:
    """Return rows and targets encoded in single precision, with their weights."""
    goal = None if target is None else _single_precision(encode(preprocessor, target, fitting=True))
    return to_training_data(encode(preprocessor, data, fitting=True), goal, weights)


def to_training_data(cells: Cells, goal: Cells | None, weights: np.ndarray | None) -> TrainingData:
    """Return encoded rows and weights as training data in single precision."""
    weight = None if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    return TrainingData(_single_precision(cells), goal, weight)


def normalized_weights(weights: np.ndarray | None) -> np.ndarray | None:
    """Return weights divided by their mean."""
    return None if weights is None else weights / weights.mean()


def check_rows_memory(
    preprocessor: Preprocessor, data: Input, target: Input | None, allowed: float | None
) -> None:
    """Raise ResourceError if a fit on some rows needs more memory than is free or allowed."""
    sides = 1 if target is None else 2
    check_memory(
        len(data) * preprocessor.layout.width * _BYTES_PER_ELEMENT * sides,
        f"A fit on {len(data):,} rows of {preprocessor.layout.width:,} encoded elements",
        "Give fit fewer rows, or a TableDataset, which stays on disk",
        allowed,
    )


def check_module_memory(
    build: Callable[[], nn.Module], allowed: float | None, n_models: int = 1
) -> None:
    """Raise ResourceError if training modules needs more memory than is free or allowed.

    Parameters
    ----------
    build : callable
        Returns the module. It is called on the meta device, where nothing is allocated.
    allowed : float or None
        Maximum memory in bytes. None allows the memory that is free.
    n_models : int, default=1
        Number of modules of this size. All are kept; large ones are trained one after the other.
    """
    n_weights = sum(weight.numel() for weight in outlined(build).parameters())
    networks = "a network" if n_models == 1 else f"{n_models:,} networks"
    fewer = "" if n_models == 1 else "Train fewer of them. "
    check_memory(
        n_weights * (_BYTES_PER_WEIGHT + (n_models - 1) * _BYTES_PER_KEPT_WEIGHT),
        f"Training {networks} of {n_weights:,} parameters",
        f"{fewer}Give {'it' if n_models == 1 else 'each'} fewer or narrower layers, or the table "
        "fewer columns",
        allowed,
    )


def prior_rows(cells: Cells) -> Cells:
    """Return the training rows to which the prior of a code is fitted."""
    return cells.take(slice(_PRIOR_ROWS))


def _single_precision(cells: Cells) -> Cells:
    return cells._replace(values=cells.values.float())


def training_options(plan: Plan, n_rows: int, seed: int) -> TrainingOptions:
    """Return the options of a training on ``n_rows`` rows."""
    batch_size = batch_size_of(plan, n_rows)
    per_epoch = n_batches(n_rows, batch_size)
    if plan.max_epochs == "auto":
        n_steps = min(max(_AUTO_EPOCHS * per_epoch, _MIN_STEPS), _MAX_STEPS)
        n_steps = scaled(n_steps, plan.effort)
    else:
        n_steps = int(plan.max_epochs) * per_epoch
    return TrainingOptions(
        n_steps=n_steps,
        batch_size=batch_size,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        seed=seed,
        patience=plan.patience,
        # At least one pass, or 100 steps, between evaluations: patience must outlast a pass.
        steps_per_evaluation=max(math.ceil(n_steps / _N_EVALUATIONS), min(per_epoch, 100)),
        gradient_clip=plan.gradient_clip,
        deadline=deadline(plan),
    )


def deadline(plan: Plan) -> float:
    """Return the end of the allowed training time, in seconds of ``time.monotonic``."""
    return math.inf if plan.time_limit is None else time.monotonic() + float(plan.time_limit)


def deadline_after(options: TrainingOptions, share: float) -> float:
    """Return the time at which a fraction of the remaining time has passed."""
    now = time.monotonic()
    return now + share * (options.deadline - now)


def chunk_options(plan: Plan, n_rows: int, seed: int) -> TrainingOptions:
    """Return the options of one pass over a chunk, at a constant learning rate."""
    batch_size = batch_size_of(plan, n_rows)
    n_steps = n_batches(n_rows, batch_size)
    return TrainingOptions(
        n_steps=n_steps,
        batch_size=batch_size,
        learning_rate=plan.learning_rate,
        weight_decay=plan.weight_decay,
        seed=seed,
        decay=False,
        steps_per_evaluation=n_steps,
        gradient_clip=plan.gradient_clip,
    )


def batch_size_of(plan: Plan, n_rows: int) -> int:
    """Return the number of rows per step."""
    return automatic_batch_size(n_rows) if plan.batch_size == "auto" else int(plan.batch_size)


def automatic_batch_size(n_rows: int) -> int:
    """Return a batch size of 16 to 128 for about 20 batches per pass, and more for large data."""
    if n_rows >= 1_000_000:
        return 1_024
    if n_rows >= 100_000:
        return 256
    return min(max(1 << max(n_rows // 20, 1).bit_length() - 1, 16), 128)
