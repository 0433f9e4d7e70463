"""The engine that the parameter ``engine`` names."""

from __future__ import annotations

from latently.training._engine import Engine, LocalEngine
from latently.training._threads import check_threads
from latently.training.distributed._ray import RayEngine
from latently.training.distributed._torchrun import TorchrunEngine
from latently.training.distributed._workers import is_one_of_several


def resolve_engine(engine: str | Engine) -> Engine:
    """Return the engine that a parameter names.

    Parameters
    ----------
    engine : str or Engine
        "auto", "torchrun", "ray", a torch device such as "cpu" or "cuda:1", or an engine. "auto"
        is "torchrun" in a process that torchrun started, and otherwise CUDA if there is a GPU, else
        the CPU.

    Returns
    -------
    Engine
        The engine, which is not started.

    Raises
    ------
    ResourceError
        If the system does not allow the threads that torch would start.
    """
    check_threads()
    if not isinstance(engine, str):
        return engine
    if engine == "torchrun" or (engine == "auto" and is_one_of_several()):
        return TorchrunEngine()
    if engine == "ray":
        return RayEngine()
    return LocalEngine(engine)
