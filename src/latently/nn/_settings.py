"""Run computations with fixed settings of torch and NumPy, independent of the caller's settings."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import torch

P = ParamSpec("P")
T = TypeVar("T")

_IS_SET: ContextVar[bool] = ContextVar("is_set", default=False)
_CPU = torch.device("cpu")


class _DefaultDtype:
    """Context that sets the default dtype to float32 while at least one thread is inside it.

    The default dtype of torch is shared by all threads.
    """

    def __init__(self) -> None:
        self._lock, self._n_inside, self._outside = threading.Lock(), 0, torch.float32

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._outside = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                torch.set_default_dtype(self._outside)


_DTYPE = _DefaultDtype()


@contextmanager
def own_settings() -> Iterator[None]:
    """Compute with the initial settings of torch and NumPy, then restore the caller's settings.

    The settings are: float32 as default dtype, the CPU as default device, gradients enabled,
    autocast and inference mode disabled, and NumPy's default handling of floating-point errors.
    """
    if _IS_SET.get():
        yield
        return
    token = _IS_SET.set(True)
    try:
        with ExitStack() as stack:
            stack.enter_context(_DTYPE)
            stack.enter_context(
                np.errstate(divide="warn", over="warn", under="ignore", invalid="warn")
            )
            if torch.get_default_device() != _CPU:
                stack.enter_context(_CPU)
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            if not torch.is_grad_enabled():
                stack.enter_context(torch.enable_grad())
            for device in ("cpu", "cuda"):
                if torch.is_autocast_enabled(device):
                    stack.enter_context(torch.autocast(device, enabled=False))
            yield
    finally:
        _IS_SET.reset(token)


def with_own_settings(function: Callable[P, T]) -> Callable[P, T]:
    """Wrap a function so that it runs within ``own_settings``.

    Parameters
    ----------
    function : callable
        Any callable except a generator function.

    Returns
    -------
    callable
        The wrapped function.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        if _IS_SET.get():
            return function(*args, **kwargs)
        with own_settings():
            return function(*args, **kwargs)

    return call


class OwnSettings:
    """Run the public methods of a class and of its subclasses within ``own_settings``."""

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        for name, value in list(vars(cls).items()):
            if callable(value) and hasattr(value, "__code__") and not name.startswith("_"):
                setattr(cls, name, with_own_settings(value))
