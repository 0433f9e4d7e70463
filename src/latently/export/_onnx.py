"""Import of the packages of the extra ``onnx`` when they are used."""

from __future__ import annotations

import importlib.util
from typing import Any

from latently.exceptions import MissingExtraError


def import_onnx() -> Any:
    """Return the module ``onnx``.

    Raises
    ------
    MissingExtraError
        If onnx is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise _missing("onnx") from None
    return onnx


def import_onnxruntime() -> Any:
    """Return the module ``onnxruntime``.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise _missing("onnxruntime") from None
    return onnxruntime


def check_extra() -> None:
    """Raise MissingExtraError if onnx or onnxruntime is not installed."""
    for name in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise _missing(name)


def _missing(name: str) -> MissingExtraError:
    return MissingExtraError(
        f"The export needs {name}, which is not installed. "
        'Install it with: pip install "latently[onnx]"'
    )
