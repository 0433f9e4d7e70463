"""Values on their way between processes: JSON and arrays, nothing that is run when it is read."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import safetensors.numpy

from latently._codec import Arrays, from_plain, to_plain

_LENGTH = 8


def serialize(value: Any) -> np.ndarray:
    """Return plain values, arrays, lists and dicts as bytes.

    Parameters
    ----------
    value : object
        What ``_codec.to_plain`` takes.

    Returns
    -------
    ndarray of uint8
        To be sent.
    """
    arrays: Arrays = {}
    text = json.dumps(to_plain(value, arrays)).encode()
    parts = len(text).to_bytes(_LENGTH, "little"), text, safetensors.numpy.save(_solid(arrays))
    return np.frombuffer(b"".join(parts), dtype=np.uint8)


def deserialize(raw: bytes) -> Any:
    """Return what ``serialize`` was given.

    Parameters
    ----------
    raw : bytes
        As they were sent.

    Returns
    -------
    object
        The value.
    """
    end = _LENGTH + int.from_bytes(raw[:_LENGTH], "little")
    return from_plain(json.loads(raw[_LENGTH:end]), safetensors.numpy.load(raw[end:]), {})


def _solid(arrays: Arrays) -> Arrays:
    return {name: np.require(array, requirements="C") for name, array in arrays.items()}
