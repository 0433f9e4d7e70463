"""The parts of a model that a graph is built of."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from latently.estimators import Rotation, fitted_of, is_autoencoder
from latently.exceptions import ParameterError
from latently.export._columns import Encoded
from latently.export._graph import Value
from latently.export._likelihood import check_likelihood
from latently.export.models._codes import Rebuilt, check_module, rebuild, row_errors, unexportable
from latently.export.models._stored import spread
from latently.export.models._surprise import check_memory, row_mean, surprise
from latently.export.models._unet import check_unet, rebuild_images
from latently.nn import AutoencoderModule, MapModule, StoredRows, UNetModule
from latently.preprocessing import ImagePreprocessor, Preprocessor
from latently.tasks import (
    AutoencoderDenoiser,
    EnergyScore,
    ReconstructionScore,
    SurpriseScore,
)

Output = Literal["score", "code", "reconstruction", "reconstruction_error"]
#: Number of distances to stored rows, and of elements of rows, that are computed at once.
_DISTANCES, _ELEMENTS = 1 << 18, 1 << 18


class Parts(NamedTuple):
    """A fitted model, as its graph needs it.

    Attributes
    ----------
    autoencoder : autoencoder
        The fitted autoencoder.
    detector : AnomalyDetector or None
        The detector, if the model is one.
    module : AutoencoderModule
        Module of the autoencoder.
    preprocessor : Preprocessor
        Encoding of its rows.
    outputs : tuple of str
        Outputs of the graph. "score" stands for score, p-value and flag.
    """

    autoencoder: Any
    detector: Any
    module: AutoencoderModule
    preprocessor: Preprocessor
    outputs: tuple[Output, ...]

    @property
    def is_image(self) -> bool:
        """True for a model of images."""
        return isinstance(self.preprocessor, ImagePreprocessor)

    @property
    def takes_any_size(self) -> bool:
        """True for a model of images of any size."""
        return isinstance(self.module, UNetModule)

    @property
    def n_rows_at_once(self) -> int:
        """Number of rows that the graph computes at once."""
        if isinstance(self.module, StoredRows):
            return max(_DISTANCES // int(self.autoencoder.n_components_), 16)
        if isinstance(self.module, MapModule):
            return max(_DISTANCES // len(self.module.keys), 16)
        return max(_ELEMENTS // self.module.likelihood.layout.width, 16)

    @property
    def scores_stored_rows(self) -> bool:
        """True for a detector whose score is the surprise, which needs no reconstruction."""
        return self.detector is not None and isinstance(self.detector.score_, SurpriseScore)

    def rebuild(self, encoded: Encoded) -> Rebuilt:
        """Return code, reconstruction and errors of encoded rows."""
        if isinstance(self.module, UNetModule):
            return rebuild_images(self.module, encoded)
        return rebuild(self.module, encoded)

    def score(self, encoded: Encoded, rebuilt: Rebuilt | None) -> Value:
        """Return the anomaly score of each row, shape (n_rows,)."""
        if rebuilt is None:
            assert isinstance(self.module, StoredRows)
            return surprise(self.module, encoded)
        if isinstance(self.detector.score_, EnergyScore):
            return _energy(self.detector.score_.precision, rebuilt, encoded, self.module)
        return row_errors(rebuilt, encoded, self.module)

    def turned(self, code: Value) -> Value:
        """Return codes on the axes of ``transform``."""
        rotation: Rotation | None = getattr(self.autoencoder, "rotation_", None)
        if rotation is None:
            return code
        return (code - rotation.center) @ rotation.matrix.astype(code.dtype)


def _energy(
    precision: np.ndarray, rebuilt: Rebuilt, encoded: Encoded, module: AutoencoderModule
) -> Value:
    """Return the squared Mahalanobis length of the residual per column."""
    layout = module.likelihood.layout
    residuals = encoded.values.reshape(-1, layout.width) - rebuilt.mean
    if encoded.observed is not None:
        residuals = residuals * spread(encoded.observed.cast(residuals.dtype), layout)
    residuals = residuals.cast(np.float64)
    weighed = residuals * precision if precision.ndim == 1 else residuals @ precision
    return row_mean(residuals * weighed, encoded.observed, layout).reshape(-1)


def parts_of(model: Any, outputs: Any = None) -> Parts:
    """Return the parts of a fitted model.

    Parameters
    ----------
    model : AnomalyDetector, AutoencoderDenoiser or autoencoder
        Fitted model.
    outputs : sequence of str or None, default=None
        Outputs of the graph.

    Raises
    ------
    ParameterError
        If the model cannot be exported, or has no such output.
    """
    detector = model if hasattr(model, "calibration_") else None
    is_task = detector is not None or isinstance(model, AutoencoderDenoiser)
    autoencoder = model.autoencoder_ if is_task and hasattr(model, "autoencoder_") else model
    if not is_autoencoder(autoencoder):
        raise unexportable(f"{'an' if _has_vowel(model) else 'a'} {type(model).__name__}")
    fitted = fitted_of(autoencoder).model
    module = fitted.module_
    check_module(module)
    if isinstance(module, UNetModule):
        check_unet(module)
    check_likelihood(module.likelihood)
    if detector is not None:
        _check_score(detector.score_)
    if isinstance(module, StoredRows) and detector is not None:
        check_memory(module)
    is_short = detector is not None and isinstance(module, StoredRows)
    possible = _possible(detector)
    chosen = possible[:1] if is_short else possible
    if outputs is not None:
        chosen = _checked_outputs(outputs, possible)
    return Parts(autoencoder, detector, module, fitted.preprocessor_, chosen)


def _has_vowel(model: Any) -> bool:
    return type(model).__name__[0] in "AEIOU"


def _possible(detector: Any) -> tuple[Output, ...]:
    names: tuple[Output, ...] = get_args(Output)
    unwanted = "reconstruction_error" if detector is not None else "score"
    return tuple(name for name in names if name != unwanted)


def _checked_outputs(outputs: Any, possible: tuple[Output, ...]) -> tuple[Output, ...]:
    wanted = [outputs] if isinstance(outputs, str) else list(outputs)
    if not wanted or not set(wanted) <= set(possible):
        raise ParameterError(
            f"outputs must be some of {', '.join(possible)}, got {', '.join(map(str, wanted))}. "
            "Leave it out for the usual ones."
        )
    return tuple(name for name in possible if name in wanted)


def _check_score(score: Any) -> None:
    if (
        not isinstance(score, SurpriseScore | EnergyScore)
        and type(score) is not ReconstructionScore
    ):
        raise unexportable(
            f"a detector with the score {type(score).__name__}, which draws random numbers or has "
            "learnt from labels"
        )
