"""Checks of the fitted state in a model file, before memory is allocated for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from latently._codec import check_state
from latently._layout import Layout
from latently.estimators._inference import ask, code_of, reconstruction_of
from latently.estimators._rotation import Rotation
from latently.estimators._sizes import ComponentsCurve
from latently.estimators.fit._baselines import Baselines
from latently.exceptions import ModelFileError
from latently.nn import AutoencoderModule, Cells, check_tensors, is_known, outlined
from latently.preprocessing import ImagePreprocessor, TablePreprocessor
from latently.training import History, StopReason

#: Types of required and of optional fitted attributes.
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
    "next_seed": int,
}
#: Maximum of counts.
_MAX_COUNT = 2**40
#: Maximum row width for which the module is evaluated.
_MAX_TRIAL_WIDTH = 1 << 14
#: Largest reconstruction of a row of zeros or ones, in standard deviations of the columns.
_MAX_RECONSTRUCTION = 1e4
#: Marks of absent values in buffers: beyond the last stored value, and no cell was held out.
_ABSENT: dict[str, Callable[[Tensor], Tensor]] = {"ladder": torch.isinf, "error": torch.isnan}


def check_fitted_state(state: Mapping[str, Any]) -> None:
    """Raise ModelFileError if fitted attributes of a file are impossible.

    Parameters
    ----------
    state : mapping of str to object
        Names and values of fitted attributes.
    """
    types = _TYPES | {name: kind for name, kind in _OPTIONAL.items() if name in state}
    check_state(state, types)
    for name in (name for name, kind in types.items() if kind is int):
        if not 1 <= state[name] <= _MAX_COUNT:
            raise ModelFileError(f"The model's {name} is {state[name]:,}.", "config")
    _check_columns(state)
    if "rotation_" in state and len(state["rotation_"].center) != state["n_components_"]:
        raise ModelFileError("The model's rotation_ is of another code.", "config")


def _check_columns(state: Mapping[str, Any]) -> None:
    """Raise ModelFileError if numbers or names of columns are inconsistent."""
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
    """Return the history of a fit after a check of its values.

    Parameters
    ----------
    state : object
        Content of the file, a dict as ``History.to_dict`` returns it.

    Raises
    ------
    ModelFileError
        If it is not a consistent history.
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
        and all(0 <= step <= _MAX_COUNT for step in (state["best_step"], *columns["step"]))
    )
    if not sound:
        raise ModelFileError("The history_ of the model is inconsistent.", "config")
    return History.from_dict(state)


def check_module(module: AutoencoderModule) -> None:
    """Raise ModelFileError if the results of a module are not finite.

    Buffers are checked against their ranges. Then the module reconstructs a row of zeros, the mean
    of most columns, and a row of ones,
    unless it contains a module of the user, which may need other rows.

    Parameters
    ----------
    module : AutoencoderModule
        Module with the weights of a file.
    """
    try:
        check_tensors(module)
    except ValueError as error:
        raise ModelFileError(f"the weights cannot be: {error}", "config") from None
    layout = module.likelihood.layout
    if layout.width > _MAX_TRIAL_WIDTH or not all(map(is_known, module.modules())):
        return
    values = torch.stack([torch.zeros(layout.shape), torch.ones(layout.shape)]).double()
    cells = Cells(values.to(module.center))
    found = [ask(module, cells, question) for question in (code_of, reconstruction_of)]
    if not all(bool(answer.isfinite().all()) for answer in found):
        raise ModelFileError("the weights lead to answers that are not finite", "not_finite")
    if float(found[-1].abs().max()) > _MAX_RECONSTRUCTION:
        raise ModelFileError("the weights lead to answers that are out of range", "not_finite")


def check_weights(
    build: Callable[[], nn.Module] | None,
    tensors: Mapping[str, Tensor],
    layout: Layout,
    n_components: int,
) -> None:
    """Check the weights of a file against the module that its configuration describes.

    The module is built on the meta device, where nothing is allocated. A small file can therefore
    not cause a large allocation.

    Parameters
    ----------
    build : callable or None
        Returns the module. None if it contains modules of the user, which have sizes of their own.
    tensors : mapping of str to Tensor
        Weights of the file.
    layout : Layout
        Layout of the columns in the file.
    n_components : int
        Size of the code in the file.

    Raises
    ------
    ModelFileError
        If a weight is missing, unexpected, of another shape or type, or not finite.
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
        usable = found.isfinite()
        if is_absent := _ABSENT.get(name.rpartition(".")[2]):
            usable |= is_absent(found)
        if not bool(usable.all()):
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
