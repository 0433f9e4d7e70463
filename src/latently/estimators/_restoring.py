"""What a model file says of weights, judged before anything is allocated for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from latently._codec import check_state
from latently._layout import Layout
from latently.estimators._baselines import Baselines
from latently.estimators._inference import ask, code_of, reconstruction_of
from latently.estimators._rotation import Rotation
from latently.estimators._sizes import ComponentsCurve
from latently.exceptions import ModelFileError
from latently.nn import AutoencoderModule, Cells, check_sound, is_known, outlined
from latently.preprocessing import ImagePreprocessor, TablePreprocessor
from latently.training import History, StopReason

#: Fitted attributes that are always there, and those that may be, with their types.
_TYPES: dict[str, type | tuple[type, ...]] = {
    "n_features_in_": int,
    "n_components_": int,
    "interrupted_": bool,
    "preprocessor_": (TablePreprocessor, ImagePreprocessor),
}
_OPTIONAL: dict[str, type] = {
    "feature_names_in_": np.ndarray,
    "n_active_": int,
    "n_trained_": int,
    "n_refit_steps_": int,
    "baselines_": Baselines,
    "components_curve_": ComponentsCurve,
    "rotation_": Rotation,
}
#: How far counts may go.
_MOST = 2**40
#: Wider rows are not tried.
_MAX_TRIED = 1 << 14
#: Farthest that a row of zeros or ones may be rebuilt, in standard deviations of the columns.
_FARTHEST = 1e4
#: Ends of the names of buffers in which an infinity stands for a value that is not there.
_OPEN = ("ladder",)


def check_fitted_state(state: Mapping[str, Any]) -> None:
    """Raise ModelFileError if what a file says was fitted cannot have been.

    Parameters
    ----------
    state : mapping of str to object
        Names and values of fitted attributes.
    """
    types = _TYPES | {name: kind for name, kind in _OPTIONAL.items() if name in state}
    check_state(state, types)
    for name in (name for name, kind in types.items() if kind is int):
        if not 1 <= state[name] <= _MOST:
            raise ModelFileError(f"The model's {name} is {state[name]:,}.", "config")
    _check_columns(state)
    if "rotation_" in state and len(state["rotation_"].center) != state["n_components_"]:
        raise ModelFileError("The model's rotation_ is of another code.", "config")


def _check_columns(state: Mapping[str, Any]) -> None:
    """Raise ModelFileError if columns are counted or named in two ways."""
    n_features, preprocessor = state["n_features_in_"], state["preprocessor_"]
    is_table = isinstance(preprocessor, TablePreprocessor)
    if is_table and n_features != preprocessor.layout.n_columns:
        raise ModelFileError(f"The model has not {n_features:,} columns.", "config")
    if "feature_names_in_" not in state:
        return
    names = state["feature_names_in_"].tolist()
    if not is_table or names != list(preprocessor.spec.names or ()):
        raise ModelFileError(f"The model has not these {n_features:,} names of columns.", "config")


def check_history(state: Any) -> History:
    """Return the record of a fit, if it can be one.

    Parameters
    ----------
    state : object
        What a file says that ``History.to_dict`` returned.

    Raises
    ------
    ModelFileError
        If it cannot have.
    """
    if not isinstance(state, dict):
        raise ModelFileError("The model's history_ is none.", "config")
    check_state(state, {"events": list, "stopped": str, "best_step": int})
    columns = {
        name: state[name] for name in state if name not in ("events", "stopped", "best_step")
    }
    figures = [list(map(type, column)) for column in columns.values() if isinstance(column, list)]
    sound = (
        len(figures) == len(columns)
        and {kind for column in figures for kind in column} <= {int, float}
        and len({len(column) for column in figures}) <= 1
        and all(isinstance(event, str) for event in state["events"])
        and state["stopped"] in get_args(StopReason)
        and all(0 <= step <= _MOST for step in (state["best_step"], *columns["step"]))
    )
    if not sound:
        raise ModelFileError("The model's history_ does not fit together.", "config")
    return History.from_dict(state)


def check_module(module: AutoencoderModule) -> None:
    """Raise ModelFileError if a module cannot answer with finite numbers.

    Its numbers are held against their ranges. Then it rebuilds a row of zeros, the mean of most
    columns, and one of ones, unless a module of the user's own is in it, which may need others.

    Parameters
    ----------
    module : AutoencoderModule
        With the weights of a file.
    """
    try:
        check_sound(module)
    except ValueError as error:
        raise ModelFileError(f"the weights cannot be: {error}", "config") from None
    layout = module.likelihood.layout
    if layout.width > _MAX_TRIED or not all(map(is_known, module.modules())):
        return
    values = torch.stack([torch.zeros(layout.shape), torch.ones(layout.shape)]).double()
    cells = Cells(values.to(module.center))
    found = [ask(module, cells, question) for question in (code_of, reconstruction_of)]
    if not all(bool(answer.isfinite().all()) for answer in found):
        raise ModelFileError("the weights lead to answers that are not finite", "not_finite")
    if float(found[-1].abs().max()) > _FARTHEST:
        raise ModelFileError("the weights lead to answers that are out of range", "not_finite")


def check_weights(
    build: Callable[[], nn.Module] | None,
    tensors: Mapping[str, Tensor],
    layout: Layout,
    n_components: int,
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
    n_components : int
        Size that the file says the code has.

    Raises
    ------
    ModelFileError
        If a weight is missing, too many, of another shape or type, or not finite.
    """
    n_weights = sum(tensor.numel() for tensor in tensors.values())
    for what, size in (("columns have", layout.width), ("code has", n_components)):
        if not 0 < size <= n_weights:
            raise ModelFileError(
                f"the {what} {size:,} elements, more than there are weights", "shape"
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
