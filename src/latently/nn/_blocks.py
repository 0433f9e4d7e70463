"""Matrix products in blocks of rows, so that the result of a row does not depend on the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

#: Rows per block. The rounding of a product may depend on its number of rows and, if that number is
#: not a multiple of the kernel's block, on the position of a row. 48 is a multiple for every
#: kernel that was tried (AVX2, AVX-512).
ROW_BLOCK = 48

#: Functions whose first argument is a matrix of rows.
_ROWS_FIRST = (F.linear, torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)


def by_blocks(product: Callable[[Tensor], Tensor], rows: Tensor, dim: int = 0) -> Tensor:
    """Compute a product in blocks of ``ROW_BLOCK`` rows and concatenate the results.

    Parameters
    ----------
    product : callable
        Maps some rows to their products.
    rows : Tensor of shape (n_rows, width)
        Rows. If their number is not a multiple of ``ROW_BLOCK``, the product is computed at once.
    dim : int, default=0
        Axis along which the results are concatenated.

    Returns
    -------
    Tensor
        The products of all rows.
    """
    if len(rows) <= ROW_BLOCK or len(rows) % ROW_BLOCK:
        return product(rows)
    return torch.cat([product(block) for block in torch.split(rows, ROW_BLOCK)], dim)


def times(rows: Tensor, matrix: Tensor) -> Tensor:
    """Return the product of a matrix of rows and another one, in blocks of rows."""
    return by_blocks(lambda block: block @ matrix, rows)


class FixedProducts(TorchFunctionMode):
    """Context in which products of a matrix of rows are computed in blocks of rows."""

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _ROWS_FIRST or args[0].dim() != 2:
            return func(*args, **kwargs)
        return by_blocks(lambda block: func(block, *args[1:], **kwargs), args[0])
