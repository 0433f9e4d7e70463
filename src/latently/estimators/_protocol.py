"""The inner protocol: how tasks, tuning, inspection and report use an autoencoder.

They use its public methods and two functions, and nothing private:

- ``tags_of(model)`` returns what a kind of autoencoder can do, fitted or not;
- ``fitted_of(model)`` returns a ``Fitted``, which encodes rows and evaluates questions on them.

A kind of autoencoder that differs sets tags in ``__sklearn_tags__`` and returns a subclass of
``Fitted`` from ``__latently_fitted__``. See ``docs/decisions/0031-one-inner-protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from sklearn.utils import Tags, get_tags
from torch import Tensor

from latently._sklearn import StrOptions, check_parameters
from latently._validation import Input, check_fitted, read_input
from latently.estimators._inference import (
    Question,
    as_tensor,
    ask,
    by_pieces,
    decoded,
    drawn_code_of,
    module_for,
    residuals_of,
)
from latently.estimators._rotation import Rotation
from latently.estimators._seeding import seeded
from latently.estimators.fit._prepare import check_answer_memory, encode
from latently.nn import AutoencoderModule, Cells, Relations
from latently.nn.memory import OneRowMemory
from latently.preprocessing import Preprocessor, TablePreprocessor
from latently.schema import Rounding
from latently.training import Engine

#: "column" for values that a column can hold, "free" for expected values.
SupportName = Literal["column", "free"]
#: Generated rows that determine which values of a column become point masses.
_REFERENCE_ROWS = 4_096


@dataclass(slots=True)
class AutoencoderTags(Tags):  # type: ignore[misc]  # sklearn is untyped
    """Abilities of a kind of autoencoder, in addition to the tags of scikit-learn.

    Attributes
    ----------
    scorings : tuple of str
        Anomaly scores of rows that the kind offers, the default one first.
    judges_own_rows : bool
        True if training rows are scored like unseen rows.
    leaves_out_exactly : bool
        True if a model without a row equals the model that was never fitted to it.
    takes_any_size : bool
        True if images may differ in size from the images of ``fit``.
    is_denoiser : bool
        True if the model is trained to remove a corruption.
    has_narrow_code : bool
        True if the code can be a bottleneck, in which noise has no room.
    decodes_codes : bool
        True if any code near those of the training rows can be decoded, so that its components
        can be described, plotted and drawn.
    has_posterior : bool
        True if a code is the mean of a posterior, whose prior is standard normal.
    learns_scale : bool
        True if the scale of the noise of each number is learnt, so that samples contain noise.
    keeps_means : bool
        True if the module keeps the mean of each element of the encoded training rows.
    predicts_cells : bool
        True if the model predicts the distribution of each missing cell.
    fits_together : bool
        True if ``fit_seeds`` takes the model.
    """

    scorings: tuple[str, ...] = ("energy", "reconstruction")
    judges_own_rows: bool = False
    leaves_out_exactly: bool = True
    takes_any_size: bool = False
    is_denoiser: bool = False
    has_narrow_code: bool = False
    decodes_codes: bool = False
    has_posterior: bool = False
    learns_scale: bool = False
    keeps_means: bool = False
    predicts_cells: bool = False
    fits_together: bool = False

    @classmethod
    def of(cls, tags: Tags) -> AutoencoderTags:
        """Return tags of scikit-learn with the defaults of an autoencoder."""
        return cls(**{field.name: getattr(tags, field.name) for field in fields(tags)})


def tags_of(model: Any) -> AutoencoderTags:
    """Return the tags of an autoencoder, fitted or not."""
    tags: AutoencoderTags = get_tags(model)
    return tags


class Model(Protocol):
    """Attributes of a fitted autoencoder that ``Fitted`` uses."""

    engine: str | Engine
    module_: AutoencoderModule
    preprocessor_: Preprocessor


ModelT = TypeVar("ModelT", bound=Model)


class FillQuality(NamedTuple):
    """Quality of the predictions of each encoded column from the other columns.

    Attributes
    ----------
    errors : Tensor of shape (n_columns,)
        Error of cells held out in ``fit``: in standard deviations for numbers, the share of wrong
        predictions for categories. NaN where none was held out.
    reliance : Tensor of shape (n_columns, n_columns)
        Share of each other column in the predictions of a column.
    relations : Relations or None
        Near-exact relations of columns, None for models of older files.
    """

    errors: Tensor
    reliance: Tensor
    relations: Relations | None


class Fitted(Generic[ModelT]):
    """A fitted autoencoder, as the rest of the package uses it.

    Rows are encoded by ``read``. A question is a function of the torch module and encoded rows. It
    is evaluated by ``ask`` or, on rows of the user, by ``infer``.

    Parameters
    ----------
    model : autoencoder
        The fitted autoencoder, which is not changed.
    """

    def __init__(self, model: ModelT) -> None:
        self.model = model

    # ------------------------------------------------------------------ rows
    @property
    def container(self) -> Literal["array", "frame"]:
        """Kind of the rows of ``fit``."""
        spec = self.model.preprocessor_.spec
        return "frame" if getattr(spec, "container", "numpy") != "numpy" else "array"

    def validate(self, X: Any) -> Input:
        """Return rows as an array, a stack of images or a frame, if they have the right columns."""
        return read_input(self.model, X, reset=False, fitted_on=self.container)

    def read(self, X: Any, *, fitting: bool = False) -> Cells:
        """Validate and encode rows. If ``fitting``, do not warn of values that are not kept."""
        return encode(self.model.preprocessor_, self.validate(X), fitting=fitting)

    def observed(self, X: Any) -> np.ndarray | None:
        """Return a mask of the observed cells, (n_rows, n_columns), or None if all are."""
        observed = self.read(X).observed
        return None if observed is None else observed.numpy()

    # ------------------------------------------------------------------ questions
    def ask(self, cells: Cells, question: Question) -> np.ndarray:
        """Evaluate a question on encoded rows, and return the result of each row."""
        module = module_for(self.model.module_, self.model.engine, cells.values.dtype)
        answers: np.ndarray = ask(module, cells, question).to(cells.values.dtype).numpy()
        return answers

    def infer(self, X: Any, question: Question) -> np.ndarray:
        """Evaluate a question on rows, in the precision of the input. Read a dataset in pieces."""
        return by_pieces(X, lambda rows: self.ask(self.read(rows), question))

    def infer_by_noise(self, X: Any, question: Question) -> np.ndarray:
        """Evaluate a question whose noise is derived from the rows, in double precision.

        Rounded to single precision, a row would get other noise than its copy in double precision.
        """
        if not (hasattr(X, "__array__") and str(getattr(X, "dtype", "")).endswith("float32")):
            return self.infer(X, question)
        return self.infer(np.asarray(X, dtype=np.float64), question).astype(np.float32)

    def residuals(self, X: Any) -> np.ndarray:
        """Return encoded rows minus their reconstruction, zero where missing, (n_rows, width)."""
        return self.infer(X, residuals_of)

    # ------------------------------------------------------------------ codes
    def draw_codes(self, X: Any) -> np.ndarray:
        """Return one draw from the posterior of the code of each row, (n_rows, n_components)."""
        return self.infer_by_noise(X, drawn_code_of)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the expected encoded rows of codes on the axes of ``transform``."""
        rotation: Rotation | None = getattr(self.model, "rotation_", None)
        codes = codes if rotation is None else rotation.undo(codes)
        return self.ask(Cells(as_tensor(codes)), decoded)

    def generate(
        self, draw: Callable[[int, int], Tensor], n_samples: int, seed: int, support: SupportName
    ) -> Any:
        """Return new rows, decoded from the codes that ``draw(n_samples, seed)`` returns.

        Point masses and missing cells are as frequent as in the training rows. A reference sample
        of the same generator determines which generated values become a point mass.
        """
        rounding, preprocessor = rounding_of(support, "sample"), self.model.preprocessor_
        check_answer_memory(
            n_samples, preprocessor.layout.width, f"Generating {n_samples:,} rows",
            "Generate fewer at a time",
        )  # fmt: skip
        with seeded(seed), torch.no_grad():
            values = self._generated(draw(n_samples, seed))
        if not isinstance(preprocessor, TablePreprocessor) or rounding == "free":
            return preprocessor.decode(values, rounding=rounding)
        if preprocessor.has_masses:
            with seeded(0), torch.no_grad():
                reference = self._generated(draw(_REFERENCE_ROWS, 0))
            preprocessor = preprocessor.calibrated(reference, generated=True)
        missing = preprocessor.draw_gaps(n_samples, np.random.default_rng(seed))
        return preprocessor.decode(values, rounding=rounding, missing=missing)

    def _generated(self, codes: Tensor) -> np.ndarray:
        """Return encoded rows of codes, with the noise of the likelihood if its scale is learnt."""
        module, preprocessor = self.model.module_, self.model.preprocessor_
        parameters, likelihood = module.decode(codes), module.likelihood
        values = likelihood.mean(parameters)
        if tags_of(self.model).learns_scale and isinstance(preprocessor, TablePreprocessor):
            # A grey pixel is its Bernoulli mean. A draw, 0 or 1, is not among the training values.
            n_grey = len(preprocessor.positions) if preprocessor.grey else 0
            values = torch.cat([values[:, :n_grey], likelihood.draw(parameters)[:, n_grey:]], 1)
        rows: np.ndarray = values.double().numpy()
        return rows

    # ------------------------------------------------------------------ what only some kinds have
    def leaving_out(self, n_copies: int) -> ModelT:
        """Return the model without ``n_copies`` copies of a row among the rows that it stores."""
        return self.model

    def fill_quality(self) -> FillQuality | None:
        """Return how well cells are predicted, if it was measured in ``fit``, otherwise None."""
        return None

    def one_row(self) -> OneRowMemory | None:
        """Return the surprise of single rows in NumPy, or None if the kind has none."""
        return None

    def least_probability(self, coverage: float) -> np.ndarray | None:
        """Return the least probability of a category in a prediction set, for each column.

        None if the model has no calibrated probabilities of categories.
        """
        return None


class _HasFitted(Protocol[ModelT]):
    def __latently_fitted__(self) -> Fitted[ModelT]: ...


def fitted_of(model: _HasFitted[ModelT]) -> Fitted[ModelT]:
    """Return the inner protocol of a fitted autoencoder.

    Parameters
    ----------
    model : autoencoder
        The fitted autoencoder.

    Returns
    -------
    Fitted
        Its rows, questions and codes.

    Raises
    ------
    NotFittedError
        If ``fit`` was not called.
    """
    check_fitted(model)
    return model.__latently_fitted__()


def is_autoencoder(model: Any) -> bool:
    """Return True for an autoencoder, False for a task or any other estimator."""
    return hasattr(model, "__latently_fitted__")


def rounding_of(support: SupportName, method: str) -> Rounding:
    """Return the rounding of a method that returns rows, from its ``support``."""
    check_parameters({"support": [StrOptions({"column", "free"})]}, {"support": support}, method)
    return "nearest" if support == "column" else "free"
