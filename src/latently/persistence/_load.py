"""``load``: read a model file into the estimator that was saved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from latently import estimators, nn, tasks
from latently._codec import MISFITS, OWN, from_plain, name_in_file, names_in
from latently._layout import Block, Layout
from latently.exceptions import LatentlyError, ModelFileError, ParameterError
from latently.io._messages import show
from latently.io._model_file import read_model
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
        estimators.ImputationAutoencoder,
        estimators.NeighborAutoencoder,
        estimators.EnsembleAutoencoder,
        estimators.Baselines,
        estimators.ComponentsCurve,
        estimators.Rotation,
        tasks.AnomalyDetector,
        tasks.AutoencoderImputer,
        tasks.AutoencoderDenoiser,
        tasks.LatentSampler,
        tasks.TableSampler,
        tasks.ColumnTrees,
        tasks.Refiner,
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
        tasks.MaxFScore,
        tasks.SurpriseScore,
        tasks.EnergyScore,
        tasks.ReconstructionScore,
        tasks.ElboScore,
        tasks.LabelledScore,
        tasks.AnomalyForest,
        tasks.Trees,
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
        nn.VectorQuantization,
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
    """Read a model that ``save`` wrote. Its outputs equal the outputs before saving, bit for bit.

    Nothing in the file is executed. The file can only name classes of a fixed list and those given
    as ``classes``. A file holds no engine, device, address or verbosity. The model computes with
    ``engine="auto"`` until another engine is set.

    Parameters
    ----------
    path : str or Path
        The model file.
    network : CustomNetwork or None, default=None
        The modules of a model with a custom network. The file holds their weights only.
    classes : iterable of classes and functions, default=()
        Your own classes and functions in the model, which the file holds by name only. They may be
        estimators, networks, corruptions, threshold rules or splitters. Objects are created from
        the parameters in the file.

    Returns
    -------
    estimator
        The fitted estimator, of the class that was saved.

    Raises
    ------
    ModelFileError
        If the file is damaged, not a model file or newer than this version, or if one of your own
        classes is not given. ``reason`` is a code of the cause.
    ParameterError
        If ``classes`` holds other objects, or two of the same name.

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
    own: dict[str, Any] = _own_parts(classes)
    if network is not None:
        own["CustomNetwork"] = lambda **_: network
    _check_own(path, names_in(config) - own.keys())
    used = _Used(arrays)
    try:
        model = from_plain(config, used, CLASSES | own)
    except ModelFileError as error:
        raise _refusal(path, str(error), error.reason) from None
    except LatentlyError as error:
        raise _refusal(path, str(error), "config") from None
    except MISFITS:
        raise _refusal(
            path,
            "the configuration and the weights do not fit together. Save the model again.",
            "config",
        ) from None
    if not (hasattr(model, "__sklearn_is_fitted__") and model.__sklearn_is_fitted__()):
        raise _refusal(path, "it holds no model. Save one with model.save.", "class")
    if len(used.names) < len(arrays):
        raise _refusal(path, "it holds arrays that belong to no part of the model.", "tensor_extra")
    return model


def _own_parts(parts: Iterable[Any] | Any) -> dict[str, Any]:
    """Return the user's classes and functions by their names in a model file."""
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


def _check_own(path: str | Path, lacking: set[str]) -> None:
    """Refuse a file whose own parts were not handed in, with the call that hands them in."""
    names = sorted(name.removeprefix(OWN) for name in lacking if name.startswith(OWN))
    if not all(name.isidentifier() for name in names):
        raise _refusal(path, "it names a class by something else than a name.", "config")
    given = [f"classes=[{', '.join(names)}]"] if names else []
    reason = "class" if names else "config"
    if "CustomNetwork" in lacking:
        names, given = [*names, "modules of your own"], [*given, "network=CustomNetwork(...)"]
    if names:
        are = "is" if len(names) == 1 and given[0].startswith("classes") else "are"
        raise _refusal(
            path,
            f"it was saved with {', '.join(names)}, which {are} not latently's: load it in "
            f"Python, by latently.load(path, {', '.join(given)}).",
            reason,
        )


class _Used(dict[str, Any]):
    """Arrays of a model file, with the names of those that were read."""

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
