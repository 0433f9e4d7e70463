"""Results that become text, a table in a notebook, and a frame of the user's library."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from html import escape
from typing import Any, Literal, get_args

import narwhals as nw
import pyarrow as pa

from latently._sklearn import StrOptions, check_parameters
from latently.schema import Container

Library = Literal["pandas", "polars", "pyarrow"]
#: Largest number of rows of a table in a notebook.
_MAX_ROWS = 60


#: Maximum number of lines of a result that is shown without ``print``.
_MAX_LINES = 60


class Answer(ABC):
    """Base class of results that are printed or shown in a notebook.

    ``print`` gives the whole text. A notebook cell shows a table, and cuts long results.
    """

    #: Library of the rows that were given; "numpy" for arrays.
    library: Container = "numpy"

    @abstractmethod
    def entries(self) -> dict[str, list[Any]]:
        """Return the result as columns of plain values of the same length."""

    def caption(self) -> str:
        """Return what a table of the entries leaves out, as lines of text."""
        return ""

    def to_frame(self, library: Library | None = None) -> Any:
        """Return the result as a frame with one row per entry.

        Parameters
        ----------
        library : {"pandas", "polars", "pyarrow"} or None, default=None
            Library of the frame. None takes the library of the rows that were given. For arrays it
            takes the first of pandas, polars and pyarrow that is installed.

        Returns
        -------
        DataFrame or Table
            Texts, numbers and missing values.

        Raises
        ------
        ParameterError
            If ``library`` is none of these.
        """
        limits = {"library": [StrOptions(set(get_args(Library))), None]}
        check_parameters(limits, {"library": library}, f"{type(self).__name__}.to_frame")
        chosen = library or (_installed() if self.library == "numpy" else self.library)
        table = pa.table(self.entries())
        if chosen == "pyarrow":
            return table
        return nw.from_arrow(table, backend=chosen).to_native()

    def _repr_html_(self) -> str:
        """Return the result as an HTML table."""
        columns = self.entries()
        n_rows = len(next(iter(columns.values()), []))
        head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
        lines = zip(*(values[:_MAX_ROWS] for values in columns.values()), strict=True)
        body = "".join(
            f"<tr>{''.join(f'<td>{escape(_words(value))}</td>' for value in line)}</tr>"
            for line in lines
        )
        more = f"<p>and {n_rows - _MAX_ROWS:,} more</p>" if n_rows > _MAX_ROWS else ""
        words = self.caption()
        above = f"<pre>{escape(words)}</pre>" if words else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}{above}"

    def __str__(self) -> str:
        columns = {
            name: [name.replace("_", " "), *map(_words, values)]
            for name, values in self.entries().items()
        }
        widths = [max(map(len, cells)) for cells in columns.values()]
        lines = (
            "  ".join(f"{cell:>{width}}" for cell, width in zip(line, widths, strict=True))
            for line in zip(*columns.values(), strict=True)
        )
        return "\n".join([*lines, *filter(None, [self.caption()])])

    def __repr__(self) -> str:
        lines = str(self).splitlines()
        more = [f"and {len(lines) - _MAX_LINES:,} more lines"] if len(lines) > _MAX_LINES else []
        return "\n".join([*lines[:_MAX_LINES], *more])


class Tabular(Answer):
    """Base class of answers that consist of columns."""

    @abstractmethod
    def columns(self) -> dict[str, list[Any]]:
        """Return the answer as columns of plain values, all of one length."""

    def entries(self) -> dict[str, list[Any]]:
        return self.columns()


def _words(value: Any) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _installed() -> Library:
    found = (name for name in get_args(Library) if importlib.util.find_spec(name) is not None)
    library: Library = next(found)
    return library
