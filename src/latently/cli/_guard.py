"""Exit codes, signals, warnings and broken pipes of commands."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import typer

from latently._launch import launched_processes, launched_rank
from latently._threads import lacks_threads, n_usable_processors
from latently.cli._streams import mute_stdout

BUG, USAGE, DATA, MODEL_FILE, RESOURCES, MISSING_EXTRA = 1, 2, 3, 4, 5, 6
HUNG_UP, INTERRUPTED, TERMINATED, BROKEN_PIPE = 129, 130, 143, 141
#: Signals that end a command as Ctrl-C does, and their exit codes. Windows has no SIGHUP.
_ENDING = {"SIGTERM": TERMINATED, "SIGHUP": HUNG_UP}

#: Pools of threads with one thread less than processors, and threads started besides them.
_POOLS, _HELPERS = 4, 4
_NO_THREAD = ("can't start new thread", "Failed to launch worker thread")
_OUT_OF_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def guarded(command: Callable[..., None], *, in_several: bool = False) -> Callable[..., None]:
    """Wrap a command so that every way it can end has its own exit code and one plain message.

    Parameters
    ----------
    command : callable
        A command of the application.
    in_several : bool, default=False
        True allows several processes of torchrun, of which only the first writes messages.

    Returns
    -------
    callable
        With the same signature.
    """

    @functools.wraps(command)
    def run(*args: Any, **options: Any) -> None:
        with _signals() as caught, _plain_warnings():
            try:
                _check_threads()
                _check_alone(command.__name__, in_several)
                command(*args, **options)
            except typer.Exit:
                raise
            except KeyboardInterrupt:
                echo("interrupted; no output was written.")
                raise typer.Exit(interrupt_code(caught)) from None
            except Exception as error:
                raise typer.Exit(refuse(error)) from None

    return run


def ending(code: int) -> int:
    """Flush standard output and return the exit code of the process.

    Parameters
    ----------
    code : int
        The exit code so far.

    Returns
    -------
    int
        Another one if a successful command could not write its output.
    """
    try:
        sys.stdout.flush()
    except Exception as error:
        mute_stdout()
        return code or refuse(error)
    return code


def _check_threads() -> None:
    # Before NumPy is imported: its library raises SIGINT if it cannot start threads.
    lacking = lacks_threads(_POOLS * (n_usable_processors() - 1) + _HELPERS)
    if lacking:
        typer.echo(f"error: {lacking}", err=True)
        raise typer.Exit(RESOURCES)


def _check_alone(name: str, in_several: bool) -> None:
    from latently.exceptions import ParameterError

    if launched_processes() > 1 and not in_several:
        raise ParameterError(
            f"latently {name} is done by one process, torchrun started {launched_processes():,}. "
            "Start it alone; score, transform and impute have --engine ray."
        )


def echo(message: str) -> None:
    """Write a message to stderr, from the first of several workers only."""
    if launched_rank() == 0:
        typer.echo(message, err=True)


def interrupt_code(caught: list[int] | None = None) -> int:
    """Return the exit code of an interrupted command: 143 after SIGTERM, 129 after SIGHUP."""
    seen = _caught if caught is None else caught
    return _ENDING[signal.Signals(seen[0]).name] if seen else INTERRUPTED


#: Signals that arrived while the command ran.
_caught: list[int] = []


def _on_terminate(number: int, frame: FrameType | None) -> None:
    # Once: a second one ends the process as usual.
    signal.signal(number, signal.SIG_DFL)
    _caught.append(number)
    raise KeyboardInterrupt


@contextlib.contextmanager
def _signals() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP end a command as Ctrl-C does, so that training keeps its weights.

    A signal that is ignored stays so, as SIGHUP under nohup.
    """
    _caught.clear()
    if threading.current_thread() is not threading.main_thread():
        yield _caught
        return
    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] is not signal.SIG_IGN:
            signal.signal(number, _on_terminate)
    try:
        yield _caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Show each warning once, in one line without its source, and hide those for programmers."""
    shown: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            echo(f"warning: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for programmers in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", programmers)
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.showwarning = show
        yield


def refuse(error: Exception) -> int:
    """Write the error message to stderr and return the exit code.

    Parameters
    ----------
    error : Exception
        That ended a command.

    Returns
    -------
    int
        From 1 (a bug) to 6 (a missing package), or 141 for a closed pipe, which is no error.
    """
    if isinstance(error, BrokenPipeError):
        mute_stdout()
        return BROKEN_PIPE
    code = exit_code(error)
    if os.environ.get("LATENTLY_DEBUG"):
        import traceback

        echo("".join(traceback.format_exception(error)).rstrip())
    worker = f"worker {launched_rank()}: " if launched_processes() > 1 else ""
    if code != BUG:
        typer.echo(f"{worker}error: {_message(error)}", err=True)
        return code
    typer.echo(
        f"{worker}internal error: {type(error).__name__}: {_message(error)[:300]}\n"
        "This is a bug in latently: please report it. LATENTLY_DEBUG=1 shows the traceback.",
        err=True,
    )
    return code


def exit_code(error: BaseException) -> int:
    """Return the exit code that belongs to an error.

    Parameters
    ----------
    error : BaseException
        Exception raised by a command.

    Returns
    -------
    int
        From 1 (a bug) to 6 (a missing package).
    """
    from latently import exceptions

    if _is_out_of_resources(error):
        return RESOURCES
    codes: tuple[tuple[type[BaseException], int], ...] = (
        (exceptions.ParameterError, USAGE),
        (exceptions.OutputExistsError, USAGE),
        (exceptions.DataError, DATA),
        (exceptions.ModelFileError, MODEL_FILE),
        (exceptions.NotFittedError, MODEL_FILE),
        (exceptions.DivergenceError, RESOURCES),
        (exceptions.ResourceError, RESOURCES),
        (exceptions.WorkerError, RESOURCES),
        (exceptions.MissingExtraError, MISSING_EXTRA),
        (OSError, DATA),
    )
    return next((code for kind, code in codes if isinstance(error, kind)), BUG)


def _is_out_of_resources(error: BaseException) -> bool:
    from latently.io._resources import is_out_of_memory

    # io turns a full disk into a DataError "raise ... from None"; the cause is still its context.
    causes = (error, error.__context__)
    full_disk = any(isinstance(e, OSError) and e.errno in _OUT_OF_SPACE for e in causes)
    # pyarrow and Python report a thread that cannot be started in words only.
    no_thread = any(words in str(error) for words in _NO_THREAD)
    return full_disk or no_thread or is_out_of_memory(error)


def _message(error: Exception) -> str:
    text = "\n".join(line for line in str(error).splitlines() if line.strip())
    if isinstance(error, MemoryError):
        return f"out of memory. Use fewer rows or a smaller batch size. {text}".strip()
    if isinstance(error, OSError) and error.strerror:
        return f"the system refused ({error.strerror.lower()}). Check files, pipes and disk."
    return text or type(error).__name__
