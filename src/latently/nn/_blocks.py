"""Products of matrices in blocks of rows, so that a row's result does not depend on the batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

#: Rows of a block. A product may round by the number of its rows and, where that is no multiple of
#: the kernel's, by the place of a row. 48 is one of all kernels tried (AVX2, AVX-512).
ROW_BLOCK = 48

#: Functions whose first argument are rows, or the second after a term to be added.
_ROWS_FIRST = (F.linear, torch.matmul, torch.mm, Tensor.matmul, Tensor.mm, Tensor.__matmul__)


def by_blocks(product: Callable[[Tensor], Tensor], rows: Tensor, dim: int = 0) -> Tensor:
    """Return a product of rows that is taken block by block, each of the same shape.

    Parameters
    ----------
    product : callable
        From some rows to their products.
    rows : Tensor of shape (n_rows, width)
        A multiple of ``ROW_BLOCK`` of them; otherwise the product is taken at once.
    dim : int, default=0
        Along which the products of the blocks follow each other.

    Returns
    -------
    Tensor
        The products of all rows.
    """
    if len(rows) <= ROW_BLOCK or len(rows) % ROW_BLOCK:
        return product(rows)
    return torch.cat([product(block) for block in torch.split(rows, ROW_BLOCK)], dim)


class FixedProducts(TorchFunctionMode):
    """Within this context, products of rows with matrices are taken in blocks of rows."""

    def __torch_function__(
        self, func: Any, types: Sequence[Any], args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _ROWS_FIRST or args[0].dim() != 2:
            return func(*args, **kwargs)
        return by_blocks(lambda block: func(block, *args[1:], **kwargs), args[0])
