"""Arrays of a page, in one compressed block of bytes."""

from __future__ import annotations

import base64
import zlib
from typing import TypedDict

import numpy as np

#: Types of the arrays and their names in the page.
_TYPES = {"float32": "f32", "float64": "f64", "uint8": "u8", "uint16": "u16", "uint32": "u32"}
#: Every array starts at a multiple of the size of the largest type.
_ALIGNED = 8


class Ref(TypedDict):
    """Position, number of elements and type of an array in the block."""

    at: int
    n: int
    type: str


class Blob:
    """Arrays one after another in little-endian bytes.

    Examples
    --------
    >>> blob = Blob()
    >>> blob.add(np.zeros(3, dtype=np.float32))
    {'at': 0, 'n': 3, 'type': 'f32'}
    >>> blob.add(np.zeros(2, dtype=np.uint8))["at"]
    16
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, array: np.ndarray) -> Ref:
        """Append an array, flattened, and return its position."""
        flat = np.ascontiguousarray(array).ravel()
        raw = flat.astype(flat.dtype.newbyteorder("<"), copy=False).tobytes()
        raw += bytes(-len(raw) % _ALIGNED)
        ref: Ref = {"at": self._size, "n": len(flat), "type": _TYPES[flat.dtype.name]}
        self._parts.append(raw)
        self._size += len(raw)
        return ref

    def text(self) -> str:
        """Return all arrays, compressed by zlib, as base64."""
        return base64.b64encode(zlib.compress(b"".join(self._parts), 6)).decode("ascii")
