"""From the user's rows to training data, and how long to train on them."""

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
from latently.estimators._effort import Effort, scaled
from latently.estimators._split import repeated_rows, take_rows
from latently.exceptions import DataError
from latently.io import check_memory
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

#: Evaluations that a training is planned with.
_N_EVALUATIONS = 50
#: Memory that a fit needs for an element of its rows: doubles, singles, and those of each side.
_BYTES_PER_ELEMENT = 16
#: And for a weight: itself, its gradient, two moments, the best one so far and a copy of it.
_BYTES_PER_WEIGHT = 24
#: And for a weight of each further model: itself, and its copy in double precision that answers.
_BYTES_PER_KEPT_WEIGHT = 12
#: Of a pair of elements: the covariance, its inverse and what is derived of them, in double.
_BYTES_PER_PAIR = 56
#: Training rows that the prior of a code is fitted to.
_PRIOR_ROWS = 10_000
#: Fewest pixels of a row that count as many.
_WIDE = 32
#: "auto" length, counted in steps, so that 100 rows and 1,000,000 rows both train sensibly.
_AUTO_EPOCHS, _MIN_STEPS, _MAX_STEPS = 100, 2_000, 10_000


def default_network(layout: Layout) -> DenseNetwork:
    """Return the network that suits rows best.

    Pixels are many and bounded: batch normalisation, a little dropout and a linear path rebuild
    unseen ones better. Numbers in standard deviations of their column lose by all three.
    """
    if layout.width < _WIDE or any(block.likelihood != "bernoulli" for block in layout.blocks):
        return DenseNetwork()
    return DenseNetwork(normalization="batch", dropout=0.05, linear_path=True)


class SortedRows(NamedTuple):
    """Rows sorted by content, where each of them stood before, and which of them are equal."""

    data: Input
    target: Input | None
    weights: np.ndarray | None
    positions: np.ndarray
    content: np.ndarray


#: What may be said of the limits of a fit.
LIMITS: dict[str, list[Any]] = {
    "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
    "max_memory": [Interval(Real, 0, None, closed="neither"), None],
}


class Plan(Protocol):
    """The parameters of an estimator that say how long and how fast to train."""

    max_epochs: int | Literal["auto"]
    batch_size: int | Literal["auto"]
    learning_rate: float
    weight_decay: float
    gradient_clip: float | None
    patience: int | None
    effort: Effort
    max_seconds: float | None
    max_memory: float | None


def in_canonical_order(data: Input, target: Input | None, weights: np.ndarray | None) -> SortedRows:
    """Sort rows by content, so that a fit does not depend on their order.

    Whole-number weights become repeated rows: a row of weight 2 is that row twice. A row that lies
    far beyond all others is named in a warning.
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


def check_pairs_fit(width: int, n_members: int, allowed: float | None) -> None:
    """Raise ResourceError if relations of all pairs of elements need more memory than there is.

    Parameters
    ----------
    width : int
        Elements of an encoded row.
    n_members : int
        Weights that each network has for an element.
    allowed : float or None
        Bytes; None allows what is free.
    """
    check_memory(
        width**2 * _BYTES_PER_PAIR + width * n_members * _BYTES_PER_WEIGHT,
        f"Learning how {width:,} encoded elements depend on each other",
        "Give fewer columns, or fill them by a DenoisingAutoencoder()",
        allowed,
    )


def check_rows_fit(n_rows: int, width: int, what: str, remedy: str, n_bytes: int = 32) -> None:
    """Raise ResourceError if so many encoded rows need more memory than is free.

    Parameters
    ----------
    n_rows, width : int
        Rows, and elements of each.
    what, remedy : str
        For the message.
    n_bytes : int, default=32
        Bytes of an element.
    """
    check_memory(float(n_rows) * width * n_bytes, what, remedy)


#: May be given for the categories kept of each column.
MAX_CATEGORIES_CONSTRAINT: list[Any] = [Interval(Integral, 1, None, closed="left")]


def make_preprocessor(
    data: Input, likelihood: LikelihoodChoice, max_categories: int, *, narrow: bool = True
) -> Preprocessor:
    """Return the preprocessor for images or for a table, fitted; images by the range they use."""
    if isinstance(data, np.ndarray) and data.ndim > 2:
        return ImagePreprocessor.fit(data, likelihood, narrow=narrow)
    return TablePreprocessor.fit(data, likelihood, max_categories)


def is_image_stack(data: Input) -> bool:
    """Return True for an array of more than two axes."""
    return isinstance(data, np.ndarray) and data.ndim > 2


def encode(preprocessor: Preprocessor, data: Input, *, fitting: bool = False) -> Cells:
    """Encode rows; refuse images where ``fit`` saw a table, and the other way round."""
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


def extended(preprocessor: Preprocessor, cells: Cells) -> Preprocessor:
    """Return a preprocessor whose columns can also hold the values of further rows."""
    observed = None if cells.observed is None else cells.observed.numpy()
    return preprocessor.extended(cells.values.numpy(), observed)


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def training_data(
    preprocessor: Preprocessor, data: Input, target: Input | None, weights: np.ndarray | None
) -> TrainingData:
    """Encode rows as float32 tensors; weights have mean one over all of them."""
    goal = None if target is None else _single(encode(preprocessor, target, fitting=True))
    return weighted(encode(preprocessor, data, fitting=True), goal, weights)


def weighted(cells: Cells, goal: Cells | None, weights: np.ndarray | None) -> TrainingData:
    """Return encoded rows as training data in single precision."""
    weight = None if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    return TrainingData(_single(cells), goal, weight)


def mean_one(weights: np.ndarray | None) -> np.ndarray | None:
    """Return weights whose mean is one."""
    return None if weights is None else weights / weights.mean()


def check_fits(
    preprocessor: Preprocessor, data: Input, target: Input | None, allowed: float | None
) -> None:
    """Raise ResourceError if a fit on some rows needs more memory than is free, or allowed."""
    sides = 1 if target is None else 2
    check_memory(
        len(data) * preprocessor.layout.width * _BYTES_PER_ELEMENT * sides,
        f"A fit on {len(data):,} rows of {preprocessor.layout.width:,} encoded elements",
        "Give fit fewer rows, or a TableDataset, which stays on disk",
        allowed,
    )


def check_module_fits(
    build: Callable[[], nn.Module], allowed: float | None, n_models: int = 1
) -> None:
    """Raise ResourceError if training modules needs more memory than is free, or allowed.

    Parameters
    ----------
    build : callable
        Returns the module; it is called where nothing is allocated.
    allowed : float or None
        Bytes; None allows what is free.
    n_models : int, default=1
        Modules of this size. Each of them is kept; large ones are trained one after the other.
    """
    n_weights = sum(weight.numel() for weight in outlined(build).parameters())
    networks = "a network" if n_models == 1 else f"{n_models:,} networks"
    fewer = "" if n_models == 1 else "Train fewer of them. "
    check_memory(
        n_weights * (_BYTES_PER_WEIGHT + (n_models - 1) * _BYTES_PER_KEPT_WEIGHT),
        f"Training {networks} of {n_weights:,} weights",
        f"{fewer}Give {'it' if n_models == 1 else 'each'} fewer or narrower layers, or the table "
        "fewer columns",
        allowed,
    )


def prior_rows(cells: Cells) -> Cells:
    """Return the training rows that the prior of a code is fitted to."""
    return cells.take(slice(_PRIOR_ROWS))


def _single(cells: Cells) -> Cells:
    return cells._replace(values=cells.values.float())


def training_options(plan: Plan, n_rows: int, seed: int) -> TrainingOptions:
    """Return how to train on ``n_rows`` rows from beginning to end."""
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
        # Never more often than once a pass: patience would run out before the rows were seen.
        steps_per_evaluation=max(math.ceil(n_steps / _N_EVALUATIONS), min(per_epoch, 100)),
        gradient_clip=plan.gradient_clip,
        deadline=deadline(plan),
    )


def deadline(plan: Plan) -> float:
    """Return when training has to end, on ``time.monotonic``."""
    return math.inf if plan.max_seconds is None else time.monotonic() + float(plan.max_seconds)


def part_of_time(options: TrainingOptions, share: float) -> float:
    """Return when a share of the time that is left will have passed."""
    now = time.monotonic()
    return now + share * (options.deadline - now)


def chunk_options(plan: Plan, n_rows: int, seed: int) -> TrainingOptions:
    """Return how to pass once over a chunk of a stream, at a constant learning rate."""
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
    """Return how many rows a step sees."""
    return automatic_batch_size(n_rows) if plan.batch_size == "auto" else int(plan.batch_size)


def automatic_batch_size(n_rows: int) -> int:
    """Return about twenty batches a pass on small data, larger ones where rows are plenty."""
    if n_rows >= 1_000_000:
        return 1_024
    if n_rows >= 100_000:
        return 256
    return min(max(1 << max(n_rows // 20, 1).bit_length() - 1, 16), 128)
