"""Which numbers a module that came from a file may hold, in one table, and what must agree."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from latently.nn._conditional import ConditionalGaussian
from latently.nn._crowd import CrowdModule
from latently.nn._likelihoods import Likelihood
from latently.nn._map import MapModule, Places
from latently.nn._masked import MaskedModule
from latently.nn._memory import Memory
from latently.nn._module import AutoencoderModule
from latently.nn._predictive import Predictive
from latently.nn._single import SingleColumnModule
from latently.nn._sparse import SparseLatent, SparseModule
from latently.nn._stored import MemoryModule, StoredRows
from latently.nn._views import Ranks, View

#: Below the least of these a divisor overflows; beyond the most, squares do in single precision.
_LEAST, _MOST = 1e-9, 1e15
_DIVISOR, _NUMBER, _SHARE = (_LEAST, _MOST), (-_MOST, _MOST), (0.0, 1.0)
#: Least and greatest value of tensors, by the module that holds them.
RANGES: dict[type[nn.Module], dict[str, tuple[float, float]]] = {
    nn.modules.batchnorm._BatchNorm: {
        "running_mean": _NUMBER, "running_var": (0.0, _MOST), "num_batches_tracked": (0, 2**62)
    },
    AutoencoderModule: {"center": _NUMBER},
    Likelihood: {"offset": _NUMBER},
    SparseLatent: {"firing_rate": _SHARE},
    MapModule: {"basis": _NUMBER, "keys": _NUMBER},
    Places: {"places": _NUMBER, "unit": _DIVISOR},
    View: {"center": _NUMBER, "scale": _DIVISOR},
    Ranks: {"count": (1, 2**40)},
    Memory: {"unit": _DIVISOR},
    MemoryModule: {
        "least": (0.0, _MOST), "level": _NUMBER, "spread": _DIVISOR, "worth": _SHARE
    },
    SingleColumnModule: {
        "ends": _NUMBER, "rarity_of_ends": _NUMBER, "level": _NUMBER, "spread": _DIVISOR
    },
    CrowdModule: {
        "bandwidths": _DIVISOR, "skew": _NUMBER, "level": _NUMBER, "spread": (1e-12, _MOST)
    },
    ConditionalGaussian: {
        "mean": _NUMBER, "loadings": _NUMBER, "noise": _DIVISOR, "covariance": _NUMBER
    },
    Predictive: {
        "residuals": _NUMBER, "slope": (0.0, 2.0), "levels": (-1e-3, 1.001), "reaches": (0.0, 1.0)
    },
    MaskedModule: {
        "bin_starts": _NUMBER, "bin_scales": (0.0, _MOST), "weights": (-1e-3, 1.001),
        "reliance": (0.0, 1.001), "expected": _NUMBER, "regression": _NUMBER,
        "intercept": _NUMBER,
    },
}  # fmt: skip
#: Largest weight of a layer.
_LARGEST_WEIGHT = 1e12
#: Error of sums in single precision.
_ROUNDING = 1e-3


@torch.no_grad()
def check_sound(module: AutoencoderModule) -> None:
    """Raise ValueError if tensors are out of range, or contradict each other.

    Parameters
    ----------
    module : AutoencoderModule
        With the tensors of a file, of whose shapes and types nothing is wrong.
    """
    for name, tensor, (least, most) in _bounded(module):
        if tensor.numel() and not (float(tensor.min()) >= least and float(tensor.max()) <= most):
            raise ValueError(f"{name} is not between {least:g} and {most:g}")
    for part in module.modules():
        if isinstance(part, SparseModule):
            _check_scales(part)
        if isinstance(part, StoredRows):
            _check_stored(part)
        if isinstance(part, Ranks):
            _check_ranks(part)
        if isinstance(part, SingleColumnModule):
            ordered = part.ladder[1:] >= part.ladder[:-1]
            _hold(bool(ordered.all()), "the stored values are not ascending")
        if isinstance(part, ConditionalGaussian) and not part.n_factors:
            torch.linalg.cholesky(part.covariance)
        if isinstance(part, MaskedModule):
            part.forest.check(len(part.stored), max(part.stored.shape[1], 1))


def _bounded(module: nn.Module) -> Iterator[tuple[str, Tensor, tuple[float, float]]]:
    """Yield tensors that have a range, by name."""
    for name, weight in module.named_parameters():
        yield name, weight, (-_LARGEST_WEIGHT, _LARGEST_WEIGHT)
    for place, part in module.named_modules():
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
            _hold(
                bool((scale >= _LEAST).all() and (scale <= _MOST).all()), "a scale is out of range"
            )


def _check_stored(module: StoredRows) -> None:
    n_rows = len(module.rows)
    _hold(_are_places(module.places, n_rows), "a place of a stored row does not exist")
    ordered = module.fingerprints[1:] >= module.fingerprints[:-1]
    _hold(bool(ordered.all()), "the fingerprints are not ascending")
    seen = None
    if module.observed is not None:
        seen = module.likelihood.spread(module.observed).T
    for memory in (part for part in module.modules() if isinstance(part, Memory)):
        squares = 0.5 * memory.keys.square().sum(0)
        near = torch.isclose(squares, memory.half_squares, rtol=_ROUNDING, atol=_ROUNDING)
        _hold(bool(near.all()), "the lengths of stored rows differ from them")
        if seen is not None and memory.seen is not None:
            _hold(bool((memory.seen == seen).all()), "the gaps of stored rows differ")


def _check_ranks(view: Ranks) -> None:
    n_rows = view.ladder.shape[1]
    _hold(bool((view.ladder[:, 1:] >= view.ladder[:, :-1]).all()), "ranked values are not sorted")
    _hold(bool(((view.reach >= 0) & (view.reach <= n_rows)).all()), "a rank does not exist")
    _hold(bool((view.count <= n_rows).all()), "more values are ranked than there are")


def _are_places(places: Tensor, n_rows: int) -> bool:
    return bool((places.sort().values == torch.arange(n_rows)).all())


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
