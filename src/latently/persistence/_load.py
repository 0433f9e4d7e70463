"""``load``: a model file back into the estimator that was saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from latently import estimators, nn, tasks
from latently._codec import MISFITS, OWN, from_plain, name_in_file
from latently._layout import Block, Layout
from latently.exceptions import LatentlyError, ModelFileError, ParameterError
from latently.io import read_model, show
from latently.preprocessing import ImagePreprocessor, TablePreprocessor
from latently.preprocessing._columns import BooleanCodec, CategoryCodec, OrdinalCodec, TimeCodec
from latently.schema import ColumnType, ImageSpec, Notation, Support, TableSpec

#: The only classes that a model file may name.
CLASSES: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        estimators.Autoencoder,
        estimators.VariationalAutoencoder,
        estimators.SparseAutoencoder,
        estimators.ConvolutionalAutoencoder,
        estimators.DenoisingAutoencoder,
        estimators.MapAutoencoder,
        estimators.UNetAutoencoder,
        estimators.MaskedAutoencoder,
        estimators.MemoryAutoencoder,
        estimators.EnsembleAutoencoder,
        estimators.Baselines,
        estimators.ComponentsCurve,
        estimators.Rotation,
        tasks.AnomalyDetector,
        tasks.AutoencoderImputer,
        tasks.AutoencoderDenoiser,
        tasks.LatentSampler,
        tasks.FeatureExtractor,
        tasks.Calibration,
        tasks.FillReport,
        tasks.Reference,
        tasks.Repairs,
        tasks.Threshold,
        tasks.FalseAlarmRate,
        tasks.AlertBudget,
        tasks.Contamination,
        tasks.CostRatio,
        tasks.FewLabels,
        tasks.SurpriseScore,
        tasks.EnergyScore,
        tasks.ReconstructionScore,
        tasks.ElboScore,
        nn.DenseNetwork,
        nn.ConvNetwork,
        nn.CustomNetwork,
        nn.DictionaryNetwork,
        nn.Masking,
        nn.GaussianNoise,
        nn.SaltAndPepper,
        nn.Blocks,
        nn.Blur,
        nn.Downsampling,
        TablePreprocessor,
        ImagePreprocessor,
        BooleanCodec,
        CategoryCodec,
        OrdinalCodec,
        TimeCodec,
        Support,
        TableSpec,
        ImageSpec,
        ColumnType,
        Notation,
        Layout,
        Block,
    )
}


@nn.with_own_settings
def load(
    path: str | Path,
    *,
    network: nn.CustomNetwork | None = None,
    classes: Iterable[type | Callable[..., Any]] = (),
) -> Any:
    """Read a model that ``save`` wrote; it answers bit for bit as the saved one did.

    Nothing in the file is executed. The file can only name classes of a fixed list, and those
    given as ``classes``.
    A file holds no engine, device, address or verbosity: the model computes with ``engine="auto"``
    until another one is set.

    Parameters
    ----------
    path : str or Path
        The model file.
    network : CustomNetwork or None, default=None
        The modules of a model with a custom network; the file holds their weights only.
    classes : iterable of classes and functions, default=()
        Your own parts of the model, which the file holds by name only: the class of an autoencoder
        or task that you derived, of a network, a corruption, a rule or a splitter, or the function
        that corrupts. They are made from the parameters in the file.

    Returns
    -------
    estimator
        Fitted, of the class that was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged, foreign or newer than this version, or a part of your own was not
        handed in; ``reason`` says which.
    ParameterError
        If ``classes`` holds something else, or two parts of one name.

    Examples
    --------
    >>> import tempfile, numpy as np, latently
    >>> X = np.random.default_rng(0).normal(size=(50, 4))
    >>> model = latently.Autoencoder(2, max_epochs=1, random_state=0).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     loaded = latently.load(f"{folder}/model.safetensors")
    >>> bool((loaded.transform(X) == model.transform(X)).all())
    True
    """
    config, arrays = read_model(path)
    if "~checkpoint" in config:
        raise _refusal(
            path,
            "this is a checkpoint of a training, not a model. Fit again with its folder as "
            "checkpoint= (or `latently fit --resume`), then save the model.",
            "class",
        )
    known: dict[str, Any] = CLASSES | _own_parts(classes)
    if network is not None:
        known["CustomNetwork"] = lambda **_: network
    used = _Used(arrays)
    try:
        model = from_plain(config, used, known)
    except ModelFileError as error:
        raise _refusal(path, str(error), error.reason) from None
    except LatentlyError as error:
        raise _refusal(path, str(error), "config") from None
    except MISFITS:
        raise _refusal(
            path,
            "the configuration and the weights do not fit together. Save the model again; a custom "
            "network must be given as load(path, network=...).",
            "config",
        ) from None
    if not (hasattr(model, "__sklearn_is_fitted__") and model.__sklearn_is_fitted__()):
        raise _refusal(path, "it holds no model. Save one with model.save.", "class")
    if len(used.names) < len(arrays):
        raise _refusal(path, "it holds arrays that belong to no part of the model.", "tensor_extra")
    return model


def _own_parts(parts: Iterable[Any] | Any) -> dict[str, Any]:
    """Return the user's own classes and functions by the names that a model file gives them."""
    if not isinstance(parts, Iterable):
        raise ParameterError(f"classes must be a list, got {parts!r:.60}. Put it into brackets.")
    parts = list(parts)
    for part in parts:
        if not (isinstance(part, type) or inspect.isroutine(part)):
            raise ParameterError(
                f"classes must hold classes and functions, got {part!r:.60}. Give the class itself."
            )
    named = {name_in_file(part): part for part in parts}
    if len(named) < len(parts):
        raise ParameterError(
            "classes must hold parts of different names, got one name twice. Rename one of them."
        )
    return {name: part for name, part in named.items() if name.startswith(OWN)}


class _Used(dict[str, Any]):
    """Arrays that remember which of them were asked for."""

    def __init__(self, arrays: dict[str, Any]) -> None:
        super().__init__(arrays)
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


def _refusal(path: str | Path, wrong: str, reason: str) -> ModelFileError:
    """Return an error of at most 300 characters that names the file."""
    words = " ".join(wrong.split())
    return ModelFileError(
        f"{show(path)}: {words if len(words) <= 225 else words[:222] + '...'}", reason
    )
