"""The surprise of single rows in NumPy, from arrays that are prepared once."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import torch

from latently._layout import Layout
from latently.nn.memory._kernel import LEAST_LOGIT, LEAST_WEIGHT, Memory
from latently.nn.memory._stored_rows import EQUAL_WITHIN, OFFSET, MemoryModule
from latently.nn.memory._views import EQUAL, Arcsinh, Ranks, View


class OneRowMemory:
    """Compute the surprise of single rows of a table as a ``MemoryModule`` does.

    Results differ by rounding only. The cost of torch's calls, of which a row needs a hundred, is
    saved.

    Parameters
    ----------
    module : MemoryModule
        Fitted memory of a table, which is not changed.
    """

    def __init__(self, module: MemoryModule) -> None:
        layout = module.likelihood.layout
        self._element_columns = module.likelihood.column_of_element.numpy()
        self._widths, self._n_columns = _widths(layout), layout.n_columns
        self._views = [_View(view, module) for view in module.views]
        self._memories = [_Memory.of(memory, layout) for memory in module.memories]
        self._least = module.least.double().numpy()[:, 0].tolist()
        statistics = (module.level, module.spread, module.worth)
        self._level, self._spread, self._worth = (
            part.double().numpy()[:, 0] for part in statistics
        )
        self._known = _places_of_rows(module)

    def surprise(self, elements: np.ndarray, observed: np.ndarray | None) -> float:
        """Return the surprise of a row in standard deviations.

        Parameters
        ----------
        elements : ndarray of shape (width,)
            Encoded row.
        observed : ndarray of bool, shape (n_columns,), or None
            True for observed cells. None if all are.
        """
        if observed is not None and not observed.any():
            return 0.0
        gaps = self._gaps(observed)
        n_seen = self._n_columns if observed is None else int(observed.sum())
        seen = None if gaps is None else gaps.elements
        left_out = self._known.get(_fingerprint(elements, seen), -1)
        rarities, logs = [], []
        for view, memory, least in zip(self._views, self._memories, self._least, strict=True):
            rarity, square = memory.compare(view.apply(elements), gaps, left_out)
            rarities.append(rarity)
            logs.append(math.log(square / n_seen + least))
        deviations = (np.array(rarities + logs) - self._level) / self._spread
        return float((self._worth * (OFFSET + deviations)).max()) - OFFSET

    def _gaps(self, observed: np.ndarray | None) -> _Gaps | None:
        if observed is None:
            return None
        shares = observed.astype(np.float32)
        return _Gaps(shares, observed[self._element_columns], shares * self._widths)


class _View:
    """A view of one row."""

    def __init__(self, view: View, module: MemoryModule) -> None:
        self._ranks: list[_Ladder] = []
        self._is_bent = isinstance(view, Arcsinh | Ranks)
        if not isinstance(view, Arcsinh | Ranks):
            return
        self._own = np.flatnonzero(view.numbers.numpy())
        self._center, self._scale = (part.numpy()[self._own] for part in (view.center, view.scale))
        if isinstance(view, Ranks):
            self._ranks = [_Ladder.of(view, place) for place in self._own.tolist()]

    def apply(self, elements: np.ndarray) -> np.ndarray:
        if not self._is_bent:
            return elements
        own = elements[self._own]
        if self._ranks:
            pairs = zip(self._ranks, own.tolist(), strict=True)
            bent = np.array([ladder.score(value) for ladder, value in pairs])
        else:
            bent = np.arcsinh(own)
        viewed = elements.copy()
        viewed[self._own] = (bent - self._center) / self._scale
        return viewed


class _Ladder(NamedTuple):
    """The stored values of a column, ascending, and the normal scores of doubled ranks."""

    values: list[float]
    reach: list[int]
    scores: list[float]

    @classmethod
    def of(cls, view: Ranks, place: int) -> _Ladder:
        half = 0.5 / view.count[place].double()
        doubled = torch.arange(2 * view.ladder.shape[1] + 1, dtype=torch.float64) * half
        scores = torch.special.ndtri(torch.minimum(torch.maximum(doubled, half), 1 - half))
        return cls(view.ladder[place].tolist(), view.reach[place].tolist(), scores.tolist())

    def score(self, value: float) -> float:
        below = upto = bisect_left(self.values, value - EQUAL)
        if below < len(self.values) and self.values[below] <= value + EQUAL:
            upto = self.reach[below]
        return self.scores[below + upto]


class _Gaps(NamedTuple):
    """The observed cells of a row, their elements, and their number of elements by column."""

    observed: np.ndarray
    elements: np.ndarray
    widths: np.ndarray


class _Memory(NamedTuple):
    """Arrays of a kernel memory, of which the last two are None without stored gaps.

    ``squares`` holds squared keys and ``seen`` the observed cells, both by column: columns of
    categories have many elements.
    """

    keys: np.ndarray
    half_squares: np.ndarray
    unit: float
    squares: np.ndarray
    starts: np.ndarray
    seen: np.ndarray | None
    n_common: np.ndarray | None

    @classmethod
    def of(cls, memory: Memory, layout: Layout) -> _Memory:
        keys = np.ascontiguousarray(memory.keys.numpy().T)
        starts, widths = np.array(layout.first_elements), _widths(layout)
        squares = np.add.reduceat(np.square(keys), starts, axis=1)
        seen = None
        if memory.seen is not None:
            seen = np.ascontiguousarray(memory.seen.numpy()[starts].T, dtype=np.float32)
        return cls(
            keys, memory.half_squares.numpy(), float(memory.unit), squares, starts, seen,
            None if seen is None else seen @ widths,
        )  # fmt: skip

    def compare(self, values: np.ndarray, gaps: _Gaps | None, left_out: int) -> tuple[float, float]:
        """Return the negative log density, and the sum of squared residuals."""
        scaled = (values / self.unit).astype(np.float32)
        if gaps is not None:
            scaled[~gaps.elements] = 0.0
        logits = self._logits(scaled, gaps)
        if left_out >= 0:
            logits[left_out] = -np.inf
        top = float(logits.max())
        if top == -math.inf:
            logits, top = np.zeros_like(logits), 0.0
        logits -= top
        # As in the module: the fourth power of a smaller weight is a denormal number.
        np.maximum(logits, LEAST_LOGIT, out=logits)
        weights = np.exp(logits)
        residuals = values - self._rebuilt(np.square(np.square(weights)))
        if gaps is not None:
            residuals = residuals[gaps.elements]
        rarity = 0.5 * float(scaled @ scaled) - top - math.log(float(weights.sum()))
        return rarity, float(residuals @ residuals)

    def _logits(self, scaled: np.ndarray, gaps: _Gaps | None) -> np.ndarray:
        products = self.keys @ scaled
        if gaps is None and self.seen is None:
            found: np.ndarray = products - self.half_squares
            return found
        squares, width = np.add.reduceat(np.square(scaled), self.starts), len(scaled)
        length = float(squares.sum())
        if gaps is None:
            own, n_common = self.half_squares, self.n_common
        else:
            own = 0.5 * (self.squares @ gaps.observed)
            n_common = gaps.widths.sum() if self.seen is None else self.seen @ gaps.widths
        theirs = length if self.seen is None else self.seen @ squares
        assert n_common is not None
        half = (products - own - 0.5 * theirs) * (width / np.maximum(n_common, 1))
        half += 0.5 * length
        if self.seen is not None:
            half[n_common == 0] = -np.inf
        return np.asarray(half)

    def _rebuilt(self, sharp: np.ndarray) -> np.ndarray:
        """Return the mean of the stored rows, by the fourth powers of the weights."""
        total = sharp.sum() if self.seen is None else sharp @ self.seen
        if self.seen is not None:
            total = np.repeat(total, np.diff(self.starts, append=self.keys.shape[1]))
        return np.asarray((sharp @ self.keys) / np.maximum(total, LEAST_WEIGHT) * self.unit)


def _widths(layout: Layout) -> np.ndarray:
    """Return the number of elements of each column."""
    return np.array([column.width for column in layout.columns], dtype=np.float32)


def _fingerprint(elements: np.ndarray, seen: np.ndarray | None) -> bytes:
    rounded = np.rint(elements / EQUAL_WITHIN) + 0.0
    if seen is not None:
        rounded[~seen] = np.inf
    return rounded.tobytes()


def _places_of_rows(module: MemoryModule) -> dict[bytes, int]:
    """Return the place of the stored row that is left out, by the fingerprint of a row."""
    known, rows = module.fingerprints, module.rows.numpy()
    seen = None
    if module.observed is not None:
        seen = module.likelihood.spread(module.observed).numpy()
    first = torch.ones_like(known, dtype=torch.bool)
    first[1:] = known[1:] != known[:-1]
    return {
        _fingerprint(rows[place], None if seen is None else seen[place]): place
        for place in module.places[first].tolist()
    }
