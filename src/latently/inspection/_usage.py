"""Number of components of the code that affect the output of the decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

#: Codes drawn from the prior. The fraction per component converges with few.
_N_CODES = 64
#: A component that causes less than this fraction of the decoder's variance is not used.
_MIN_SHARE = 1e-3


def count_used_components(module: Any) -> int:
    """Count the components that change the reconstruction when they are shuffled.

    Codes are drawn from the prior, so no data are needed.

    Parameters
    ----------
    module : AutoencoderModule
        A fitted module, on the CPU.

    Returns
    -------
    int
        Number of components that cause at least a thousandth of the decoder's variance.
    """
    if module.latent.all_used:
        return int(module.latent.n_components)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        codes = module.latent.draw(_N_CODES)
        rows = _rebuild(module, codes)
        variance = float((rows - rows.mean(0)).square().mean())
        moved = [_moved_by(module, codes, rows, place) for place in range(codes.shape[1])]
    return int((np.array(moved) > _MIN_SHARE * max(variance, 1e-30)).sum())


def _moved_by(module: Any, codes: Tensor, rows: Tensor, place: int) -> float:
    changed = codes.clone()
    changed[:, place] = changed[:, place].roll(1)
    return float((_rebuild(module, changed) - rows).square().mean()) / 2


def _rebuild(module: Any, codes: Tensor) -> Tensor:
    rows: Tensor = module.likelihood.mean(module.decode(codes)).flatten(1)
    return rows
