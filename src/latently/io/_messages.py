"""Helpers for messages. They clip names, cut lists after five items and mask control characters."""

from collections.abc import Iterable

from latently._notices import warn
from latently.exceptions import DataError

__all__ = ["clip", "counted", "listing", "refuse", "show", "warn"]


def show(source: object, limit: int = 70) -> str:
    """Return a printable file name, clipped from the left.

    Parameters
    ----------
    source : object
        A path, or ``"-"`` for standard input.
    limit : int, default=70
        Largest number of characters.

    Returns
    -------
    str
        The name for a message.
    """
    text = "standard input" if str(source) == "-" else _printable(str(source))
    return text if len(text) <= limit else "..." + text[3 - limit :]


def clip(value: object, limit: int = 30) -> str:
    """Return a printable value in quotes, clipped from the right."""
    text = _printable(str(value))
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


def listing(values: Iterable[object], limit: int = 5) -> str:
    """Return the first values in quotes, and the number of further ones."""
    items = list(values)
    more = f" and {len(items) - limit} more" if len(items) > limit else ""
    return ", ".join(clip(item, 20) for item in items[:limit]) + more


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in singular or plural: ``1 cell``, ``2 cells``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def refuse(source: object, wrong: str, remedy: str) -> DataError:
    """Return a DataError that names the file, the fault and the remedy."""
    return DataError(f"{show(source)}: {wrong}. {remedy}.")


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
