"""Evaluation of a trained module on rows, in the precision of the input and in chunks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latently._notices import joined
from latently.io._prefetch import prefetched
from latently.io.dataset._dataset import as_dataset
from latently.nn import (
    ROW_BLOCK,
    AutoencoderModule,
    Cells,
    EnsembleModule,
    FixedProducts,
    MaskedModule,
    StoredRows,
    flushing_denormals,
    with_own_settings,
)
from latently.preprocessing import counted_from
from latently.training import Engine, LocalEngine, resolve_engine

#: Elements of encoded rows per chunk, which fit into the cache of a CPU or keep a GPU busy, and
#: the number of which the number of images in a product is a multiple.
_CACHED_ELEMENTS, _GPU_ELEMENTS, _IMAGES = 1 << 18, 1 << 20, 16

Question = Callable[[AutoencoderModule, Cells], Tensor]


def module_for(
    module: AutoencoderModule, engine: str | Engine, dtype: torch.dtype
) -> AutoencoderModule:
    """Return the module in a precision, on the device of the engine.

    In single precision, the result of a float64 row alone and in a batch would differ in the last
    digits.
    """
    resolved = resolve_engine(engine)
    local = isinstance(resolved, LocalEngine)
    device = resolved.torch_device if isinstance(resolved, LocalEngine) else torch.device("cpu")
    if device.type == "mps":
        dtype = torch.float32  # MPS has no double precision
    elif module.is_double:
        dtype = torch.float64
    if dtype == module.center.dtype and (not local or device.type == "cpu"):
        return module
    return copy.deepcopy(module).to(device=device, dtype=dtype)


def _multiple(module: AutoencoderModule) -> int:
    """Return the number of which the number of rows in a product is a multiple."""
    return _IMAGES if len(module.likelihood.layout.shape) > 1 else ROW_BLOCK


def chunks(cells: Cells, width: int, n_elements: int, multiple: int) -> Iterator[Cells]:
    """Yield chunks of rows in order, each with a bounded number of elements."""
    n_rows = max(min(n_elements // width, 4096) // multiple, 1) * multiple
    for start in range(0, len(cells.values), n_rows):
        yield cells.take(slice(start, start + n_rows))


def padded(cells: Cells, multiple: int) -> Cells:
    """Repeat the last row until the number of rows is a multiple of ``multiple``.

    Rounding in matrix products depends on their shape. In blocks of one shape, the result of a row
    does not depend on the batch.
    """
    n_rows = len(cells.values)
    n_more = -n_rows % multiple
    if not n_more or not n_rows:
        return cells
    places = torch.arange(n_rows + n_more).clamp(max=n_rows - 1)
    return cells.take(places.to(cells.values.device))


@with_own_settings
@flushing_denormals()
@torch.no_grad()
def ask(module: AutoencoderModule, cells: Cells, question: Question) -> Tensor:
    """Return the result of a question for all rows, on the CPU.

    A GPU computes one chunk while the next one is read and copied.
    """
    width = max(module.likelihood.layout.width, cells.values[:1].numel())
    center = module.center
    answers = []
    n_elements = _GPU_ELEMENTS if center.is_cuda else _CACHED_ELEMENTS
    multiple = _multiple(module)
    # To intercept every call takes half the time of a row.
    is_split = isinstance(module, StoredRows) and (
        module.splits_products or len(cells.values) <= ROW_BLOCK
    )
    products = nullcontext() if center.is_cuda or is_split else FixedProducts()
    for chunk in chunks(cells, width, n_elements, multiple):
        observed = None if chunk.observed is None else chunk.observed.to(center.device)
        rows = padded(Cells(chunk.values.to(center), observed), multiple)
        with products:
            answer = question(module, rows)
        answers.append(_fetched(answer[: len(chunk.values)]))
    if center.is_cuda:
        torch.cuda.current_stream(center.device).synchronize()
    return torch.cat(answers)


def _fetched(answer: Tensor) -> Tensor:
    """Return a result on the CPU. The copy from a GPU ends when its stream is synchronised."""
    if not answer.is_cuda:
        return answer.cpu()
    here = torch.empty(answer.shape, dtype=answer.dtype, pin_memory=True)
    return here.copy_(answer, non_blocking=True)


def by_pieces(X: Any, answer: Callable[[Any], np.ndarray]) -> np.ndarray:
    """Return the results of all rows. A dataset is read ahead, piece by piece."""
    dataset = as_dataset(X)
    if dataset is None:
        return answer(X)
    answers, start = [], 0
    with joined(), prefetched(dataset) as pieces:
        for piece in pieces:
            with counted_from(start):
                answers.append(answer(piece))
            start += piece.num_rows
    return np.concatenate(answers)


def code_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the code of each row."""
    return module.encode(cells).value


def drawn_code_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return one draw from the posterior of each row's code."""
    return module.draw_code(cells)


def reconstruction_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the expected encoded rows, flattened."""
    return module.reconstruct(cells).flatten(1)


def filled_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return encoded rows with expected values in their missing cells, flattened."""
    return module.fill(cells).flatten(1)


def draws_of(n_draws: int, generator: torch.Generator) -> Question:
    """Return the question for draws of the missing cells, (n_rows, n_draws, width).

    The draws of the cells of a row depend on each other as the columns do.
    """

    def drawn(module: AutoencoderModule, cells: Cells) -> Tensor:
        assert isinstance(module, MaskedModule)
        shape = n_draws, len(cells.values), module.gaussian.n_noise
        noise = torch.randn(shape, generator=generator, dtype=torch.float64)
        drawn = torch.special.ndtr(module.deviates(cells, noise.to(cells.values.device)))
        filled = module.quantiles(cells, module.predictive.calibrated(drawn), drawn)
        return module.constrained(filled, cells).transpose(0, 1)

    return drawn


def bounds_of(coverage: float) -> Question:
    """Return the question for the interval of each missing cell, (n_rows, 2, width)."""

    def bounds(module: AutoencoderModule, cells: Cells) -> Tensor:
        assert isinstance(module, MaskedModule)
        reach = module.predictive.reach(coverage)
        half = torch.full_like(reach, coverage / 2)
        levels, nominal = (
            torch.stack([0.5 - distance, 0.5 + distance])[:, None].expand(2, len(cells.values), -1)
            for distance in (reach, half)
        )
        return module.quantiles(cells, levels, nominal).transpose(0, 1)

    return bounds


def decoded(module: AutoencoderModule, codes: Cells) -> Tensor:
    """Return the expected encoded rows of codes, flattened."""
    return module.likelihood.mean(module.decode(codes.values))


def cell_errors(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the half deviance of each cell."""
    return module.cell_errors(cells)


def row_errors(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the mean half deviance of each row over its observed cells."""
    errors = module.cell_errors(cells)
    if cells.observed is None:
        return errors.mean(1)
    return errors.sum(1) / cells.observed.sum(1).clamp(min=1)


def residuals_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return each encoded element minus its reconstruction, zero where missing."""
    residuals = (cells.values - module.reconstruct(cells)).flatten(1)
    if cells.observed is None:
        return residuals
    return torch.where(module.likelihood.spread(cells.observed), residuals, 0.0)


def variation_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the squared distance of rows from their reconstruction and the mean, (n_rows, 2)."""
    distances = residuals_of(module, cells), module.centered(cells)
    return torch.stack([distance.square().sum(1) for distance in distances], 1)


def deviations_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the standard deviation over the members of an ensemble, for each cell."""
    assert isinstance(module, EnsembleModule)
    return module.deviations(cells)


def row_deviations_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the root mean square of the standard deviations of the cells of each row."""
    return deviations_of(module, cells).square().mean(1).sqrt()


def surprise_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the surprise of each row under stored rows."""
    assert isinstance(module, StoredRows)
    return module.surprise(cells)


def surprise_by_view_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the surprise of each row and the statistics that it is made of."""
    assert isinstance(module, StoredRows)
    return module.surprise_by_view(cells)


def cell_surprise_of(module: AutoencoderModule, cells: Cells) -> Tensor:
    """Return the surprise of each cell under stored rows."""
    assert isinstance(module, StoredRows)
    return module.cell_surprise(cells)


def as_tensor(codes: np.ndarray) -> Tensor:
    """Return codes as a tensor, in single or double precision."""
    dtype = np.float32 if codes.dtype == np.float32 else np.float64
    return torch.from_numpy(np.array(codes, dtype=dtype))
