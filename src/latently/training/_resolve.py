"""From what ``engine`` was set to, to the engine."""

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
        "auto" is torchrun's where its processes are there; "torchrun"; "ray"; or a torch device of
        this process.

    Returns
    -------
    Engine
        Made, not started.

    Raises
    ------
    ResourceError
        If the system does not grant the threads that torch would start.
    """
    check_threads()
    if not isinstance(engine, str):
        return engine
    if engine == "torchrun" or (engine == "auto" and is_one_of_several()):
        return TorchrunEngine()
    if engine == "ray":
        return RayEngine()
    return LocalEngine(engine)
