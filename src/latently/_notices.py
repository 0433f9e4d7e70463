"""Warnings, issued at the caller's line, joined over columns, and once per call."""

from __future__ import annotations

import re
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple

from latently.exceptions import DataWarning, LatentlyWarning

#: Packages whose frames do not count as the caller, in addition to the standard library.
_PASSED = frozenset({"latently", "sklearn", "joblib"})
#: Modules of scikit-learn that wrap any method. Its other modules fit models of the user.
_AROUND = ("sklearn.base", "sklearn.utils")
#: Largest number of columns that a warning names.
_MOST_NAMES = 5
_FIGURES = re.compile(r"(?<![\w'])\d[\d,.]*")

Key = tuple[Any, ...]


class _Detail(NamedTuple):
    """Texts for a column that is the only one of a warning, and for one of several."""

    alone: str
    among_others: str
    n_cells: int

    def with_more(self, n_cells: int) -> _Detail:
        """Return the texts with ``n_cells`` added to the number of cells."""
        return self._replace(n_cells=self.n_cells + n_cells)

    def counted(self, text: str) -> str:
        return text.replace("{n}", f"{self.n_cells:,}")


class _Plural(NamedTuple):
    """A warning whose columns are always listed, even a single one."""

    finding: str
    remedy: str


Trouble = str | _Plural

#: Warnings of columns that wait to be joined. None outside ``joined``.
_WAITING: ContextVar[dict[Trouble, dict[str, _Detail]] | None] = ContextVar("waiting", default=None)
#: Warnings that were issued in this call. None outside ``each_once``.
_ISSUED: ContextVar[set[Key] | None] = ContextVar("issued", default=None)
_SILENCED: ContextVar[tuple[type[Warning], ...]] = ContextVar("silenced", default=())


class _SearchRun(NamedTuple):
    """A call of scikit-learn that fits models, and the warnings issued in it."""

    place: Key
    owner: weakref.ref[Any] | None
    issued: set[Key]

    def belongs_to(self, owner: Any) -> bool:
        """Return True for the object whose method was called."""
        return self.owner is None or self.owner() is owner


_runs = threading.local()


def warn(message: str, category: type[Warning] = DataWarning) -> None:
    """Issue a warning at the line of the caller outside of the library.

    Within ``each_once``, and within a search or cross-validation of scikit-learn, a warning that
    differs from an earlier one only in its figures is not repeated.

    Parameters
    ----------
    message : str
        Complete sentences.
    category : type, default=DataWarning
        A warning class of the package.
    """
    _issue(message, category, [(category, _FIGURES.sub("#", message))])


def warn_of_column(
    name: str, trouble: str, *, alone: str = "", detail: str = "", n_cells: int = 0
) -> None:
    """Warn of a column. Within ``joined``, columns of the same ``trouble`` share one warning.

    Parameters
    ----------
    name : str
        The column as printed.
    trouble : str
        End of a sentence that begins with "Column 'a'" or "Each of the columns 'a', 'b'".
    alone : str, default=""
        End of the sentence for a single column. By default it is ``trouble``.
    detail : str, default=""
        Text in brackets after the name of one column of several.
    n_cells : int, default=0
        Replacement of ``{n}`` in ``alone`` and ``detail``, summed over batches.
    """
    own = _Detail(alone or trouble, f" ({detail})" if detail else "", n_cells)
    _wait_or_warn(trouble, {name: own})


def warn_columns(names: Sequence[str | int], finding: str, remedy: str) -> None:
    """Warn of some columns at once, and name at most five of them.

    Parameters
    ----------
    names : sequence of str or int
        The columns, by name or position. Without columns no warning is issued.
    finding : str
        Verb and object in the plural, such as "hold no value".
    remedy : str
        Advice, a sentence.
    """
    if names:
        _wait_or_warn(_Plural(finding, remedy), {repr(n): _Detail("", "", 0) for n in names})


def _wait_or_warn(trouble: Trouble, columns: dict[str, _Detail]) -> None:
    waiting = _WAITING.get()
    if waiting is None:
        _warn_of_columns(trouble, columns)
        return
    before = waiting.setdefault(trouble, {})
    for name, own in columns.items():
        before[name] = before[name].with_more(own.n_cells) if name in before else own


@contextmanager
def joined() -> Iterator[None]:
    """Join the warnings of columns, and issue them when the block ends without an error."""
    if _WAITING.get() is not None:
        yield
        return
    waiting: dict[Trouble, dict[str, _Detail]] = {}
    token = _WAITING.set(waiting)
    try:
        yield
    finally:
        _WAITING.reset(token)
    for trouble, columns in waiting.items():
        _warn_of_columns(trouble, columns)


@contextmanager
def each_once() -> Iterator[None]:
    """Issue each warning of a block once, for any number of models that it fits."""
    token = _ISSUED.set(set() if _ISSUED.get() is None else _ISSUED.get())
    try:
        yield
    finally:
        _ISSUED.reset(token)


@contextmanager
def silenced(category: type[Warning] = LatentlyWarning) -> Iterator[None]:
    """Suppress the warnings of a class in a block. Other threads are not affected."""
    token = _SILENCED.set((*_SILENCED.get(), category))
    try:
        yield
    finally:
        _SILENCED.reset(token)


def _warn_of_columns(trouble: Trouble, columns: Mapping[str, _Detail]) -> None:
    issued = _ISSUED.get() or ()
    new = {name: own for name, own in columns.items() if (trouble, name) not in issued}
    if new:
        _issue(_sentence(trouble, new), DataWarning, [(trouble, name) for name in new])


def _sentence(trouble: Trouble, columns: Mapping[str, _Detail]) -> str:
    first = list(columns.items())[:_MOST_NAMES]
    more = f" and {len(columns) - _MOST_NAMES} more" if len(columns) > _MOST_NAMES else ""
    shown = ", ".join(f"{name}{own.counted(own.among_others)}" for name, own in first) + more
    if isinstance(trouble, _Plural):
        return f"These columns {trouble.finding}: {shown}. {trouble.remedy}"
    if len(columns) == 1:
        ((name, own),) = first
        return f"Column {name} {own.counted(own.alone)}."
    return f"Each of the columns {shown} {trouble}."


def _issue(message: str, category: type[Warning], keys: list[Key]) -> None:
    """Issue a warning unless it is silenced or all of its keys were issued before."""
    if issubclass(category, _SILENCED.get()):
        return
    caller, run = _caller()
    for issued in (_ISSUED.get(), run):
        if issued is not None:
            if issued.issuperset(keys):
                return
            issued.update(keys)
    warnings.warn_explicit(
        message,
        category,
        caller.f_code.co_filename,
        caller.f_lineno,
        caller.f_globals.get("__name__"),
        caller.f_globals.setdefault("__warningregistry__", {}),
    )


def _caller() -> tuple[FrameType, set[Key] | None]:
    """Return the innermost frame outside of the library, and the issued warnings of its search."""
    frame = entry = sys._getframe()
    searches = False
    while _is_passed(frame) and frame.f_back is not None:
        name = frame.f_globals.get("__name__", "")
        searches |= name.startswith(("sklearn.", "joblib.")) and not name.startswith(_AROUND)
        entry, frame = frame, frame.f_back
    return frame, _issued_by_search(entry, frame) if searches else None


def _is_passed(frame: FrameType) -> bool:
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return package in _PASSED or package in sys.stdlib_module_names


def _issued_by_search(entry: FrameType, caller: FrameType) -> set[Key]:
    """Return the warnings issued in a call of scikit-learn, found by its frame and its object."""
    place = (id(entry), entry.f_code, id(caller), caller.f_lasti)
    owner: Any = next(iter(entry.f_locals.values()), None)
    if isinstance(owner, tuple) and owner:  # a wrapper's *args
        owner = owner[0]
    before: _SearchRun | None = getattr(_runs, "last", None)
    if before is not None and before.place == place and before.belongs_to(owner):
        return before.issued
    try:
        held = weakref.ref(owner)
    except TypeError:
        held = None
    _runs.last = _SearchRun(place, held, set())
    issued: set[Key] = _runs.last.issued
    return issued
