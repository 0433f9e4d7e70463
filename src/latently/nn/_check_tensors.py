"""Checks of the tensors that were read from a model file: their ranges and their consistency."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from latently.nn._latents import PointLatent
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule
from latently.nn.map._module import MapModule, Places
from latently.nn.masked._conditional import ConditionalGaussian
from latently.nn.masked._module import MaskedModule
from latently.nn.masked._predictive import Predictive
from latently.nn.masked._relations import Relations
from latently.nn.memory._ensemble import MemoryEnsembleModule
from latently.nn.memory._kernel import Memory
from latently.nn.memory._single_column import SingleColumnModule
from latently.nn.memory._stored_rows import MemoryModule, StoredRows
from latently.nn.memory._views import Ranks, View
from latently.nn.memory.robust import (
    Encoder,
    Histograms,
    IsolationTrees,
    LinearResiduals,
    NeighborDistance,
    RobustMemoryModule,
    SmallMemories,
)
from latently.nn.variants._sparse import SparseLatent, SparseModule

#: Smaller divisors overflow, and larger numbers overflow in single precision when squared.
_LEAST, _MOST = 1e-9, 1e15
_DIVISOR, _NUMBER, _SHARE = (_LEAST, _MOST), (-_MOST, _MOST), (0.0, 1.0)
#: Smallest and largest allowed value of each tensor, by the module that holds it.
RANGES: dict[type[nn.Module], dict[str, tuple[float, float]]] = {
    nn.modules.batchnorm._BatchNorm: {
        "running_mean": _NUMBER, "running_var": (0.0, _MOST), "num_batches_tracked": (0, 2**62)
    },
    AutoencoderModule: {"center": _NUMBER},
    Likelihood: {"offset": _NUMBER},
    PointLatent: {"prior_mean": _NUMBER, "prior_factor": _NUMBER},
    SparseLatent: {"firing_rate": _SHARE},
    MapModule: {"basis": _NUMBER, "keys": _NUMBER},
    Places: {"places": _NUMBER, "unit": _DIVISOR},
    View: {"center": _NUMBER, "scale": _DIVISOR},
    Ranks: {"count": (1, 2**40)},
    Memory: {"unit": _DIVISOR},
    MemoryModule: {
        "least": (1e-7, _MOST), "level": _NUMBER, "spread": _DIVISOR, "worth": _SHARE
    },
    SingleColumnModule: {
        "ends": _NUMBER, "rarity_of_ends": _NUMBER, "level": _NUMBER, "spread": _DIVISOR
    },
    MemoryEnsembleModule: {
        "bandwidths": _DIVISOR, "skew": _NUMBER, "level": _NUMBER, "spread": (1e-12, _MOST)
    },
    RobustMemoryModule: {
        "level": _NUMBER, "spread": (_LEAST, 1e30), "center_of_sum": _NUMBER,
        "scale_of_sum": (_LEAST, 1e30),
    },
    Encoder: {"center": _NUMBER, "scale": _DIVISOR},
    Histograms: {"ends": _NUMBER, "rarity": _NUMBER, "usual": _NUMBER},
    LinearResiduals: {"prediction": (-1e30, 1e30), "weight": _SHARE, "usual": _NUMBER},
    NeighborDistance: {"least": _DIVISOR},
    SmallMemories: {"least": _DIVISOR},
    IsolationTrees: {"threshold": _NUMBER, "depth": (0.0, 1e3), "usual_depth": (0.5, 1e3)},
    ConditionalGaussian: {
        "mean": _NUMBER, "loadings": _NUMBER, "noise": _DIVISOR, "covariance": _NUMBER
    },
    Predictive: {
        "residuals": _NUMBER, "slope": (0.0, 2.0), "levels": (-1e-3, 1.001), "reaches": (0.0, 1.0)
    },
    Relations: {
        "scale": (1e-300, 1e300), "zero": (-1e300, 1e300), "ends": _NUMBER,
        "coefficients": (-1e12, 1e12), "sign": (-1.0, 1.0), "error": (0.0, _MOST),
        "residuals": _NUMBER, "knots": _NUMBER,
        "column_error": (0.0, _MOST),
    },
    MaskedModule: {
        "bin_starts": _NUMBER, "bin_scales": (0.0, _MOST), "weights": (-1e-3, 1.001),
        "reliance": (0.0, 1.001), "error": (0.0, _MOST), "expected": _NUMBER, "regression": _NUMBER,
        "intercept": _NUMBER,
    },
}  # fmt: skip
#: Largest absolute weight of a layer.
_LARGEST_WEIGHT = 1e12
#: Largest logarithm of a usual squared residual, finite as a power in single precision.
_LARGEST_LOG = 80.0
#: Tolerance for rounding of sums in single precision.
_ROUNDING = 1e-3


def is_known(module: nn.Module) -> bool:
    """Return True for a module of latently or torch, False for one of the user's own."""
    return type(module).__module__.split(".")[0] in ("latently", "torch")


@torch.no_grad()
def are_weights_in_range(module: nn.Module) -> bool:
    """Return True if all trained weights are finite and not larger than a file may hold.

    Parameters
    ----------
    module : Module
        Module in training.
    """
    weights = [weight for weight in module.parameters() if weight.requires_grad]
    return float(nn.utils.get_total_norm(weights, math.inf)) <= _LARGEST_WEIGHT


@torch.no_grad()
def check_tensors(module: AutoencoderModule) -> None:
    """Raise ValueError if tensors are out of range or inconsistent.

    Parameters
    ----------
    module : AutoencoderModule
        Module with the tensors of a file. Their shapes and dtypes are already checked.
        Weights of the user's own modules may have any values.
    """
    for name, tensor, (least, most) in _bounded(module):
        if bool(((tensor < least) | (tensor > most)).any()):  # NaN marks absent values
            raise ValueError(f"{name} is not between {least:g} and {most:g}")
    for part in module.modules():
        if isinstance(part, SparseModule):
            _check_scales(part)
        if isinstance(part, StoredRows):
            _check_stored_rows(part)
        if isinstance(part, Ranks):
            _check_ranks(part)
        if isinstance(part, SingleColumnModule):
            ordered = part.ladder[1:] >= part.ladder[:-1]
            _require(bool(ordered.all()), "the stored values are not ascending")
        if isinstance(part, ConditionalGaussian) and not part.n_factors:
            torch.linalg.cholesky(part.covariance)
        if isinstance(part, MaskedModule):
            part.check()


def _bounded(module: nn.Module) -> Iterator[tuple[str, Tensor, tuple[float, float]]]:
    """Yield the name, the tensor and its bounds for each tensor that has bounds."""
    for place, part in module.named_modules():
        if is_known(part):
            for name, weight in part.named_parameters(recurse=False):
                yield f"{place}.{name}", weight, (-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
        for kind, ranges in RANGES.items():
            if not isinstance(part, kind):
                continue
            for name, ends in ranges.items():
                tensor = getattr(part, name, None)
                if isinstance(tensor, Tensor):
                    yield f"{place}.{name}", tensor, ends


def _check_scales(module: SparseModule) -> None:
    for part in (module.encoder, module.decoder):
        scale = getattr(part, "scale", None)
        if isinstance(scale, Tensor):
            _require(
                bool((scale >= _LEAST).all() and (scale <= _MOST).all()), "a scale is out of range"
            )


def _check_stored_rows(module: StoredRows) -> None:
    n_rows = len(module.rows)
    _require(_are_places(module.places, n_rows), "a place of a stored row does not exist")
    ordered = module.fingerprints[1:] >= module.fingerprints[:-1]
    _require(bool(ordered.all()), "the fingerprints are not ascending")
    if isinstance(module, RobustMemoryModule):
        module.check()
    if isinstance(module, MemoryModule):
        logs = module.level[-len(module.views) :]
        _require(bool((logs.abs() <= _LARGEST_LOG).all()), "a usual residual is out of range")
    seen = None
    if module.observed is not None:
        seen = module.likelihood.spread(module.observed).T
    for memory in (part for part in module.modules() if isinstance(part, Memory)):
        squares = 0.5 * memory.keys.square().sum(0)
        near = torch.isclose(squares, memory.half_squares, rtol=_ROUNDING, atol=_ROUNDING)
        _require(bool(near.all()), "the lengths of stored rows differ from them")
        if seen is not None and memory.seen is not None:
            _require(bool((memory.seen == seen).all()), "the gaps of stored rows differ")


def _check_ranks(view: Ranks) -> None:
    n_rows = view.ladder.shape[1]
    _require(
        bool((view.ladder[:, 1:] >= view.ladder[:, :-1]).all()), "ranked values are not sorted"
    )
    _require(bool(((view.reach >= 0) & (view.reach <= n_rows)).all()), "a rank does not exist")
    _require(bool((view.count <= n_rows).all()), "more values are ranked than there are")


def _are_places(places: Tensor, n_rows: int) -> bool:
    return bool((places.sort().values == torch.arange(n_rows)).all())


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
