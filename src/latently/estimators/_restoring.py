"""What a model file says of weights, judged before anything is allocated for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from latently._codec import check_state
from latently._layout import Layout
from latently.exceptions import ModelFileError
from latently.nn import outlined
from latently.preprocessing import Preprocessor

#: Attributes that count something, and how far that may go.
_COUNTS = ("n_features_in_", "n_components_", "n_active_", "n_trained_", "n_refit_steps_")
_MOST = 2**40
#: Ends of the names of buffers in which an infinity stands for a value that is not there.
_OPEN = ("ladder",)


def check_fitted_state(state: Mapping[str, Any]) -> None:
    """Raise ModelFileError if what a file says was fitted cannot have been.

    Parameters
    ----------
    state : mapping of str to object
        Names and values of fitted attributes.
    """
    check_state(state, {"n_features_in_": int, "n_components_": int, "interrupted_": bool})
    counts = [name for name in _COUNTS if name in state]
    check_state(state, dict.fromkeys(counts, int))
    for name in counts:
        if not 1 <= state[name] <= _MOST:
            raise ModelFileError(f"The model's {name} is {state[name]:,}.", "config")
    n_features = state["n_features_in_"]
    if "feature_names_in_" in state:
        names = state["feature_names_in_"]
        are_names = isinstance(names, np.ndarray) and names.shape == (n_features,)
        if not are_names or not all(isinstance(name, str) for name in names):
            raise ModelFileError(f"The model has not {n_features} names of columns.", "config")
    if not isinstance(state.get("preprocessor_"), Preprocessor):
        raise ModelFileError("The model's preprocessor_ is none.", "config")


def check_weights(
    build: Callable[[], nn.Module] | None, tensors: Mapping[str, Tensor], layout: Layout
) -> None:
    """Hold the weights of a file against the module that its configuration describes.

    The module is built on the meta device, where nothing is allocated, so that a small file cannot
    ask for a large network.

    Parameters
    ----------
    build : callable or None
        Returns the module; None where the user's own modules are in it, which have their sizes.
    tensors : mapping of str to Tensor
        The weights.
    layout : Layout
        Of the columns that the file says there are.

    Raises
    ------
    ModelFileError
        If a weight is missing, too many, of another shape or type, or not finite.
    """
    if not 0 < layout.width <= sum(tensor.numel() for tensor in tensors.values()):
        raise ModelFileError(
            f"the columns have {layout.width:,} elements, more than there are weights", "shape"
        )
    if build is not None:
        _check_shapes(build, tensors)
    for name, found in tensors.items():
        unusable = found.isnan() if name.endswith(_OPEN) else ~found.isfinite()
        if found.is_floating_point() and bool(unusable.any()):
            raise ModelFileError(f"the weight {name[:60]!r} is not finite", "not_finite")


def _check_shapes(build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> None:
    wanted = outlined(build).state_dict()
    for name in sorted({*wanted, *tensors}):
        if name not in tensors:
            raise ModelFileError(f"the weight {name[:60]!r} is missing", "tensor_missing")
        if name not in wanted:
            raise ModelFileError(f"the weight {name[:60]!r} has no place", "tensor_extra")
        found, place = tensors[name], wanted[name]
        if found.shape != place.shape:
            raise ModelFileError(
                f"the weight {name[:60]!r} has the shape {tuple(found.shape)}, not "
                f"{tuple(place.shape)}",
                "shape",
            )
        if found.dtype != place.dtype:
            raise ModelFileError(
                f"the weight {name[:60]!r} is {found.dtype}, not {place.dtype}", "dtype"
            )
