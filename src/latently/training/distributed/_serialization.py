"""Serialization of values that processes exchange, as JSON and arrays without executable code."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import safetensors.numpy

from latently._codec import Arrays, from_plain, to_plain

_LENGTH = 8


def serialize(value: Any) -> np.ndarray:
    """Serialize plain values, arrays, lists and dicts to bytes.

    Parameters
    ----------
    value : object
        A value that ``_codec.to_plain`` accepts.

    Returns
    -------
    ndarray of uint8
        The bytes.
    """
    arrays: Arrays = {}
    text = json.dumps(to_plain(value, arrays)).encode()
    parts = len(text).to_bytes(_LENGTH, "little"), text, safetensors.numpy.save(_solid(arrays))
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


def deserialize(raw: bytes) -> Any:
    """Return the value of serialized bytes.

    Parameters
    ----------
    raw : bytes
        Result of ``serialize``.

    Returns
    -------
    object
        The value.
    """
    end = _LENGTH + int.from_bytes(raw[:_LENGTH], "little")
    return from_plain(json.loads(raw[_LENGTH:end]), safetensors.numpy.load(raw[end:]), {})


def _solid(arrays: Arrays) -> Arrays:
    return {name: np.require(array, requirements="C") for name, array in arrays.items()}
