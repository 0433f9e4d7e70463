"""Axis scales on which an outlier does not hide the spread of the other values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

#: Ratio of the full range to the 5 % to 95 % range above which the scale is not linear.
_HIDES = 20.0
#: Decades of a scale that are all labelled, and the most labels on one side of zero.
_ALL_LABELLED, _MAX_DECADES = 2.0, 5
#: Numbers outside this range are written as powers of ten.
_PLAIN = 1e-3, 1e6

Values = NDArray[np.float64]


class Scale(NamedTuple):
    """A scale of an axis or of colours.

    Attributes
    ----------
    name : {"linear", "log", "symlog"}
        As matplotlib names it.
    linear_to : float, default=1.0
        A symmetric logarithmic scale is linear up to this distance from zero.
    """

    name: Literal["linear", "log", "symlog"]
    linear_to: float = 1.0

    @classmethod
    def of(cls, values: Any) -> Scale:
        """Return a linear scale, or a logarithmic one where far values hide the others.

        Parameters
        ----------
        values : array-like of float
            Values to draw. Non-finite values are ignored.

        Returns
        -------
        Scale
            "log" for positive values, "symlog" for others.
        """
        found = np.asarray(values, dtype=np.float64).ravel()
        found = found[np.isfinite(found)]
        if len(found) < 2:
            return cls("linear")
        low, high = np.quantile(found, [0.05, 0.95])
        if np.ptp(found) <= _HIDES * (high - low) or np.ptp(found) == 0:
            return cls("linear")
        if found.min() > 0:
            return cls("log") if found.max() > _HIDES * found.min() else cls("linear")
        return cls.around_zero(max(abs(low), abs(high)) or np.abs(found[found != 0]).min())

    @classmethod
    def around_zero(cls, usual: float) -> Scale:
        """Return a scale that is linear up to the power of ten above a usual value."""
        return cls("symlog", 10.0 ** math.ceil(math.log10(usual) - 1e-9))

    @property
    def words(self) -> str:
        """Suffix of an axis label that names a non-linear scale."""
        return "" if self.name == "linear" else ", log scale"

    def apply(self, ax: Axes, which: Literal["x", "y"]) -> None:
        """Set the scale of an axis, its ticks and their labels."""
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        if self.name == "linear":
            return
        axis = ax.xaxis if which == "x" else ax.yaxis
        options = {"linthresh": self.linear_to} if self.name == "symlog" else {}
        (ax.set_xscale if which == "x" else ax.set_yscale)(self.name, **options)
        low, high = sorted(axis.get_view_interval())
        if self.name == "symlog":
            axis.set_ticks(self.ticks(low, high))
        elif low > 0 and math.log10(high / low) < _ALL_LABELLED:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: number_words(value)))
        axis.set_minor_formatter(NullFormatter())

    def ticks(self, low: float, high: float) -> list[float]:
        """Return where a symmetric logarithmic scale has its labels."""
        near = self.linear_to
        upper, lower = _decades(near, high), [-tick for tick in _decades(near, -low)]
        return [tick for tick in sorted({*lower, 0.0, *upper}) if low <= tick <= high]

    def norm(self, values: Values) -> Normalize:
        """Return how amounts become colours."""
        from matplotlib.colors import LogNorm, Normalize, SymLogNorm

        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        if self.name == "log":
            return LogNorm(low, high)
        if self.name == "symlog":
            return SymLogNorm(self.linear_to, vmin=low, vmax=high, base=10)
        return Normalize(low, high)

    def edges(self, low: float, high: float, n_bins: int) -> Values:
        """Return the edges of bins that are equally wide on the scale."""
        if self.name == "log":
            return np.asarray(np.geomspace(low, high, n_bins + 1))
        if self.name == "symlog":
            from matplotlib.scale import SymmetricalLogTransform

            forward = SymmetricalLogTransform(10, self.linear_to, 1)
            first, last = forward.transform(np.array([low, high]))
            edges = np.asarray(forward.inverted().transform(np.linspace(first, last, n_bins + 1)))
            edges[[0, -1]] = low, high  # no value is lost to rounding
            return edges
        return np.asarray(np.linspace(low, high, n_bins + 1))


def _decades(near: float, far: float) -> list[float]:
    """Return half the linear part, its end, and powers of ten beyond, five at most."""
    if far < near:
        return [near / 2]
    n_decades = math.floor(math.log10(far / near) + 1e-9)
    step = max(1, math.ceil(n_decades / _MAX_DECADES))
    return [near * 10.0**power for power in range(0, n_decades + 1, step)]


def number_words(value: float) -> str:
    """Return a number as an axis shows it: 12,000 or a power of ten."""
    size = abs(value)
    if value == 0 or _PLAIN[0] <= size < _PLAIN[1]:
        return f"{value:,.6g}"
    power = math.floor(math.log10(size) + 1e-9)
    head = value / 10.0**power
    times = "" if np.isclose(abs(head), 1) else rf"{abs(head):.2g}\times"
    return f"${'-' if value < 0 else ''}{times}10^{{{power}}}$"
