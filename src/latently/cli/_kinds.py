"""From options to an unfitted autoencoder."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """The named autoencoders."""

    autoencoder = "autoencoder"
    variational = "variational"
    sparse = "sparse"
    convolutional = "convolutional"
    denoising = "denoising"
    map = "map"
    unet = "unet"


class Recipe(NamedTuple):
    """Options of `fit`. None keeps the default of the autoencoder."""

    kind: Kind | None
    n_components: str
    max_epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    beta: float | None
    n_active: int | None
    hidden_sizes: str | None
    noise: str | None
    seed: int
    engine: Any
    verbose: bool
    refinement_steps: int | None = None
    sparsity: str | None = None
    effort: str | None = None
    shuffle: bool = True
    refit: bool = False
    grouped: bool = False
    time_limit: float | None = None
    max_memory: float | None = None
    n_estimators: int | None = None
    max_categories: int | None = None


_CLASSES = {
    Kind.autoencoder: "Autoencoder",
    Kind.variational: "VariationalAutoencoder",
    Kind.sparse: "SparseAutoencoder",
    Kind.convolutional: "ConvolutionalAutoencoder",
    Kind.denoising: "DenoisingAutoencoder",
    Kind.map: "MapAutoencoder",
    Kind.unet: "UNetAutoencoder",
}
#: Kinds that take images as rows of pixels.
_FLAT = (Kind.autoencoder, Kind.sparse)
_NOISES = {
    "masking": "Masking",
    "gaussian": "GaussianNoise",
    "salt": "SaltAndPepper",
    "blocks": "Blocks",
    "blur": "Blur",
}


def make_autoencoder(recipe: Recipe, *, images: bool, array_kind: str = "auto") -> Any:
    """Return the unfitted autoencoder that the options describe.

    Parameters
    ----------
    recipe : Recipe
        The options.
    images : bool
        True if the data are images: every kind but plain and sparse is then convolutional.
    array_kind : {"auto", "images"}, default="auto"
        The autoencoder's ``kind``.

    Returns
    -------
    autoencoder
        Unfitted.

    Raises
    ------
    ParameterError
        If an option does not fit the kind.
    """
    from latently import estimators
    from latently.exceptions import ParameterError

    kind = recipe.kind or (Kind.convolutional if images else Kind.autoencoder)
    chosen: dict[str, Any] = {
        "n_components": _number_or_auto(recipe.n_components),
        "max_epochs": recipe.max_epochs,
        "batch_size": recipe.batch_size,
        "learning_rate": recipe.learning_rate,
        "beta": _only_for(Kind.variational, kind, "--beta", recipe.beta),
        "n_active": _only_for(Kind.sparse, kind, "--n-active", recipe.n_active),
        "sparsity": _only_for(Kind.sparse, kind, "--sparsity", recipe.sparsity),
        "refinement_steps": _only_for(
            Kind.autoencoder, kind, "--refinement-steps", recipe.refinement_steps
        ),
        "network": _network(recipe.hidden_sizes, convolutional=images and kind not in _FLAT),
        "corruption": _noise(recipe.noise),
        "kind": None if array_kind == "auto" else array_kind,
        "effort": recipe.effort,
        "shuffle": None if recipe.shuffle else False,
        "refit": True if recipe.refit else None,
        "time_limit": recipe.time_limit,
        "max_memory": recipe.max_memory,
        "max_categories": recipe.max_categories,
    }
    if kind is Kind.unet:
        chosen = _of_unet(chosen, recipe)
    given = {name: value for name, value in chosen.items() if value is not None}
    make = getattr(estimators, _CLASSES[kind])
    common = {"random_state": recipe.seed, "engine": recipe.engine, "verbose": recipe.verbose}
    if recipe.n_estimators is None:
        return make(**given, **common)
    if kind is Kind.unet:
        raise ParameterError("--n-estimators does not belong to --kind unet. Drop it.")
    return estimators.EnsembleAutoencoder(make(**given), n_estimators=recipe.n_estimators, **common)


#: Options of the others that a U-net does without.
_NOT_OF_UNET = ("n_components", "network", "shuffle", "refit", "max_categories")


def _of_unet(chosen: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Return the options of a U-net, which has no network and no code to choose."""
    from latently.exceptions import ParameterError

    if recipe.n_components != "auto":
        raise ParameterError("--n-components does not belong to --kind unet. Drop it.")
    if recipe.max_categories is not None:
        raise ParameterError("--max-categories does not belong to --kind unet. Drop it.")
    if recipe.refit or recipe.grouped or not recipe.shuffle:
        raise ParameterError(
            "--kind unet holds no images out. Drop --refit, --group-by and --no-shuffle."
        )
    sizes = recipe.hidden_sizes
    left = {name: chosen[name] for name in chosen if name not in _NOT_OF_UNET}
    return {**left, "channels": None if sizes is None else _sizes(sizes)}


def _only_for(wanted: Kind, kind: Kind, option: str, value: Any) -> Any:
    from latently.exceptions import ParameterError

    if value is not None and kind != wanted:
        raise ParameterError(f"{option} belongs to --kind {wanted}, got --kind {kind}. Drop it.")
    return value


def _number_or_auto(text: str) -> int | str:
    from latently.exceptions import ParameterError

    if text == "auto":
        return text
    try:
        return int(text)
    except ValueError:
        raise ParameterError(
            f'--n-components must be a whole number or "auto", got {text!r:.30}. Try 8.'
        ) from None


def _network(hidden_sizes: str | None, *, convolutional: bool) -> Any:
    from latently.nn import ConvNetwork, DenseNetwork

    if hidden_sizes is None:
        return ConvNetwork() if convolutional else None
    sizes = _sizes(hidden_sizes)
    return ConvNetwork(sizes) if convolutional else DenseNetwork(sizes)


def _sizes(text: str) -> tuple[int, ...]:
    from latently.exceptions import ParameterError

    try:
        return tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        raise ParameterError(
            f"--hidden-sizes must be whole numbers with commas between, got {text!r:.30}. "
            "Try 64,32."
        ) from None


def _noise(text: str | None) -> Any:
    """Return the corruption that ``name`` or ``name:strength`` describes."""
    from latently import nn
    from latently.exceptions import ParameterError

    if text is None:
        return None
    name, _, strength = text.partition(":")
    try:
        make = getattr(nn, _NOISES[name])
        return make(float(strength)) if strength else make()
    except (KeyError, ValueError):
        raise ParameterError(
            f"--noise must be masking, gaussian, salt, blocks or blur, with or without :STRENGTH, "
            f"got {text!r:.30}. Try masking:0.2."
        ) from None
