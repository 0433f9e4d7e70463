"""Description of latents: the columns that they change, their distribution, and a rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
from sklearn import config_context
from sklearn.tree import DecisionTreeRegressor

from latently._notices import each_once
from latently._sklearn import Interval, check_parameters
from latently._tabular import Tabular
from latently._validation import check_fitted
from latently.estimators import BaseAutoencoder, fitted_of, tags_of
from latently.exceptions import DataError
from latently.inspection._elements import Elements, elements_of

Status = Literal["alive", "collapsed", "dead"]

#: Number of codes changed, and the change in standard deviations. It is finite, because
#: saturated probabilities have no gradient.
_JACOBIAN_ROWS, _STEP = 64, 1.0
#: A latent with less than this fraction of the total effect has collapsed.
_LEAST_SHARE = 1e-3
#: Rows of the tree, held-out fraction, depth, and the smallest R2 of a nameable latent.
_TREE_ROWS, _HELD_OUT, _DEPTH, _NAMEABLE = 5_000, 0.3, 3, 0.3
#: Largest number of moves of a card, and the smallest move relative to its largest.
_N_MOVES, _LEAST_MOVE = 5, 0.15
_QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)


class Move(NamedTuple):
    """Change of a column when the latent rises by one standard deviation.

    Attributes
    ----------
    element : str
        Name of the element, for example ``amount`` or ``kind = book``.
    change : float
        Change in the unit of the user, or change of the probability of a category.
    share : float
        Fraction of the total squared effect of the latent.
    """

    element: str
    change: float
    share: float

    def __str__(self) -> str:
        return f"{self.element} {self.change:+.3g}"


@dataclass(frozen=True)
class LatentCard:
    """One latent.

    Attributes
    ----------
    latent : int
        Index of the latent in the code.
    status : {"alive", "collapsed", "dead"}
        "dead" if it is zero in every row, "collapsed" if it does not affect the decoder.
    importance : float
        Fraction of the total effect of all latents, each changed by one standard deviation.
    quantiles : tuple of five floats
        Minimum, 5 % quantile, median, 95 % quantile and maximum on the rows.
    firing_rate : float or None
        Fraction of rows in which the latent is active. None for codes that are not sparse.
    moves : tuple of Move
        Largest signed effects on elements, the strongest first.
    lowest, highest : tuple of int
        Indices of the rows with the lowest and the highest values.
    rule : str or None
        Rule for high values, found by a shallow decision tree. None for images, or if no rule
        was found.
    r2 : float or None
        R2 of that tree on held-out rows. Below 0.3 the latent is reported as not nameable.
    """

    latent: int
    status: Status
    importance: float
    quantiles: tuple[float, ...]
    firing_rate: float | None
    moves: tuple[Move, ...]
    lowest: tuple[int, ...]
    highest: tuple[int, ...]
    rule: str | None
    r2: float | None

    @property
    def is_nameable(self) -> bool:
        """True if a short rule predicts the latent from the row."""
        return self.r2 is not None and self.r2 >= _NAMEABLE

    def __str__(self) -> str:
        if self.status != "alive":
            return f"latent {self.latent}  {self.status}"
        moved = ", ".join(map(str, self.moves))
        lines = [
            f"latent {self.latent}  {self.importance:.0%} of what the code moves, "
            f"{self.quantiles[1]:.3g} to {self.quantiles[3]:.3g}"
            + ("" if self.firing_rate is None else f", active in {self.firing_rate:.1%} of rows"),
            f"    one deviation up: {moved}",
        ]
        if self.r2 is not None:
            conclusion = f"high where {self.rule}" if self.is_nameable else "not nameable"
            told = "below 0" if self.r2 < 0 else f"{self.r2:.2f}"
            lines.append(f"    {conclusion} (R2 {told})")
        return "\n".join(lines)


@dataclass(frozen=True, repr=False)
class LatentReport(Tabular):
    """All latents that were described, the most important first.

    Attributes
    ----------
    cards : tuple of LatentCard
        One a latent.
    n_components : int
        Size of the code.
    n_dead, n_collapsed : int
        Latents that are never active, and that move nothing.
    """

    cards: tuple[LatentCard, ...]
    n_components: int
    n_dead: int
    n_collapsed: int

    def columns(self) -> dict[str, list[Any]]:
        """Return one list per attribute of a latent, with its moves as text.

        Returns
        -------
        dict of str to list
            An entry a latent.
        """
        names = ("latent", "status", "importance", "firing_rate", "rule", "r2")
        columns = {name: [getattr(card, name) for card in self.cards] for name in names}
        return {**columns, "moves": [", ".join(map(str, card.moves)) for card in self.cards]}

    def caption(self) -> str:
        return (
            f"{self.n_components:,} latents, {self.n_dead:,} dead, {self.n_collapsed:,} collapsed"
        )

    def __len__(self) -> int:
        return len(self.cards)

    def __getitem__(self, place: int) -> LatentCard:
        return self.cards[place]

    def to_dict(self) -> dict[str, Any]:
        """Return nested dicts, lists and plain values, ready for JSON.

        Returns
        -------
        dict
            One entry an attribute.
        """
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join([self.caption(), *map(str, self.cards)])


@each_once()
def describe_latents(model: Any, X: Any, *, n_latents: int = 32, n_rows: int = 5) -> LatentReport:
    """Describe each latent.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``, 20 at least.
    n_latents : int, default=32
        Latents to describe, the most important first.
    n_rows : int, default=5
        Rows named at each end of a latent.

    Returns
    -------
    LatentReport
        One card per latent. ``print`` shows three lines for each.

    Raises
    ------
    NotFittedError
        If ``fit`` was not called.
    DataError
        If the rows cannot be used, are too few, or the model cannot decode.

    Examples
    --------
    >>> import latently
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> model = latently.Autoencoder(2, max_epochs=20, random_state=0).fit(X)
    >>> report = latently.describe_latents(model.rotate_latents(X), X)
    >>> len(report), report[0].status
    (2, 'alive')
    """
    limits = {
        name: [Interval(Integral, 1, None, closed="left")] for name in ("n_latents", "n_rows")
    }
    check_parameters(limits, {"n_latents": n_latents, "n_rows": n_rows}, "describe_latents")
    model = decoding_model(model)
    codes = read_rows_of(model, X)
    spread = codes.std(0)
    effects = _effects(model, codes, spread)
    strength = np.square(effects).sum(1)
    shares = strength / max(strength.sum(), 1e-300)
    dead = ~(codes != 0).any(0)
    collapsed = ~dead & (shares < _LEAST_SHARE / len(shares) * min(len(shares), 10))
    order = np.argsort(-shares, kind="stable")[:n_latents]
    is_sparse = hasattr(model.module_.latent, "firing_rate")
    trees = _Trees(model, X)
    cards = []
    for latent in order.tolist():
        status: Status = "dead" if dead[latent] else "collapsed" if collapsed[latent] else "alive"
        value = codes[:, latent].astype(np.float64)
        rule, r2 = trees.name(value) if status == "alive" else (None, None)
        by_value = np.argsort(value, kind="stable").tolist()
        cards.append(LatentCard(
            latent, status, float(shares[latent]),
            tuple(np.quantile(value, _QUANTILES).tolist()),
            float((value != 0).mean()) if is_sparse else None,
            _moves(effects[latent], trees.elements),
            tuple(by_value[:n_rows]), tuple(by_value[: -n_rows - 1 : -1]), rule, r2,
        ))  # fmt: skip
    return LatentReport(tuple(cards), codes.shape[1], int(dead.sum()), int(collapsed.sum()))


def decoding_model(model: Any) -> BaseAutoencoder:
    """Return the autoencoder in a model, fitted and able to decode."""
    check_fitted(model)
    found: BaseAutoencoder = getattr(model, "autoencoder_", model)
    if not tags_of(found).decodes_codes:
        raise DataError(
            f"The latents of {type(found).__name__} cannot be described: its code is not made to "
            "be decoded alone. Use an Autoencoder or a VariationalAutoencoder."
        )
    return found


def read_rows_of(model: BaseAutoencoder, X: Any) -> np.ndarray:
    """Return the codes of some rows, twenty at least."""
    codes = np.asarray(model.transform(X))
    if len(codes) < 20:
        raise DataError(f"Latents are described on 20 rows at least, got {len(codes)}. Give more.")
    return codes


def _effects(model: BaseAutoencoder, codes: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Return the effect of one standard deviation of each latent, (n_components, width).

    This is the decoder's Jacobian in encoded units, averaged over the codes of some rows and from
    one standard deviation below to one above.
    """
    places = np.linspace(0, len(codes) - 1, min(_JACOBIAN_ROWS, len(codes))).astype(int)
    some, effects = codes[places].astype(np.float64), []
    for latent in range(codes.shape[1]):
        if spread[latent] == 0:
            effects.append(np.zeros(model.preprocessor_.layout.width))
            continue
        step = np.zeros(codes.shape[1])
        step[latent] = _STEP * spread[latent]
        both = fitted_of(model).decode(np.concatenate([some + step, some - step]))
        effects.append((both[: len(some)] - both[len(some) :]).mean(0) / (2 * _STEP))
    return np.stack(effects)


def _moves(effect: np.ndarray, elements: Elements) -> tuple[Move, ...]:
    """Return the strongest moves, one a column."""
    squares = np.square(effect)
    total = squares.sum()
    if not total:
        return ()
    moves: dict[str, Move] = {}
    for place in np.argsort(-squares, kind="stable")[: 8 * _N_MOVES].tolist():
        share = float(squares[place] / total)
        if squares[place] < _LEAST_MOVE**2 * squares.max() or len(moves) == _N_MOVES:
            break
        change = float(effect[place] * elements.scale[place])
        moves.setdefault(elements.columns[place], Move(elements.names[place], change, share))
    return tuple(moves.values())


class _Trees:
    """Shallow decision trees that predict latents from rows."""

    def __init__(self, model: BaseAutoencoder, X: Any) -> None:
        self.elements = elements_of(model.preprocessor_)
        self.is_table = len(model.preprocessor_.layout.shape) == 1
        if self.is_table:
            cells = fitted_of(model).read(X)
            rows = cells.values.double().flatten(1).numpy()
            self.rows = rows * self.elements.scale + self.elements.center
            rng = np.random.default_rng(0)
            self.order = rng.permutation(len(rows))[:_TREE_ROWS]
            self.n_held = max(round(_HELD_OUT * len(self.order)), 2)

    def name(self, value: np.ndarray) -> tuple[str | None, float | None]:
        """Return the rule of high values and its R2 on held-out rows."""
        if not self.is_table:
            return None, None
        held, learnt = self.order[: self.n_held], self.order[self.n_held :]
        leaf = max(len(learnt) // 50, 5)
        tree = DecisionTreeRegressor(max_depth=_DEPTH, min_samples_leaf=leaf, random_state=0)
        with config_context(array_api_dispatch=False):
            tree.fit(self.rows[learnt], value[learnt])
            left = np.square(value[held] - tree.predict(self.rows[held])).sum()
        whole = np.square(value[held] - value[held].mean()).sum()
        r2 = float(1 - left / whole) if whole > 0 else 0.0
        return self._rule(tree.tree_), r2

    def _rule(self, tree: Any) -> str | None:
        """Return the path to the leaf of the highest value as text."""
        ways: dict[int, list[tuple[int, bool, float]]] = {0: []}
        for node in range(tree.node_count):
            if tree.children_left[node] < 0:
                continue
            split = int(tree.feature[node]), float(tree.threshold[node])
            ways[int(tree.children_left[node])] = [*ways[node], (split[0], False, split[1])]
            ways[int(tree.children_right[node])] = [*ways[node], (split[0], True, split[1])]
        leaves = [node for node in range(tree.node_count) if tree.children_left[node] < 0]
        best = max(leaves, key=lambda node: tree.value[node, 0, 0])
        bounds: dict[tuple[int, bool], float] = {}
        for feature, above, threshold in ways[best]:
            bounds[feature, above] = threshold  # the last is the tightest
        words = [self._words(feature, above, cut) for (feature, above), cut in bounds.items()]
        return " and ".join(words) or None

    def _words(self, feature: int, above: bool, threshold: float) -> str:
        name = self.elements.names[feature]
        if " = " in name:
            return name if above else name.replace(" = ", " is not ", 1)
        return f"{name} {'>' if above else '<='} {threshold:.4g}"


@each_once()
def traverse(model: Any, X: Any, latent: int, n_steps: int = 7) -> Any:
    """Decode evenly spaced quantiles of one latent, with all others at their medians.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``, 20 at least.
    latent : int
        Index of the latent in the code.
    n_steps : int, default=7
        Number of steps, at even quantiles from 2 % to 98 % of the latent's values on ``X``.

    Returns
    -------
    ndarray, DataFrame, Table or image stack
        Decoded row of each step, with the columns, types and units of ``fit``.

    Raises
    ------
    DataError
        If there is no such latent, or the rows cannot be used.
    """
    check_parameters(
        {"n_steps": [Interval(Integral, 2, None, closed="left")]}, {"n_steps": n_steps}, "traverse"
    )
    model = decoding_model(model)
    codes = read_rows_of(model, X)
    if not 0 <= latent < codes.shape[1]:
        raise DataError(
            f"There is no latent {latent}: the code has {codes.shape[1]}. Give 0 to "
            f"{codes.shape[1] - 1}."
        )
    steps = np.repeat(np.median(codes, 0)[None], n_steps, 0)
    value = codes[:, latent]
    active = value[value != 0] if hasattr(model.module_.latent, "firing_rate") else value
    steps[:, latent] = np.quantile(
        active if len(active) else value, np.linspace(0.02, 0.98, n_steps)
    )
    return model.inverse_transform(steps.astype(codes.dtype))


def archetypes(model: Any, X: Any, n_archetypes: int = 6) -> np.ndarray:
    """Find the rows that span the data: each the farthest, in the code, from those before [1]_.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    n_archetypes : int, default=6
        How many to find.

    Returns
    -------
    ndarray of int, shape (n_archetypes,)
        Places of the rows.

    Raises
    ------
    DataError
        If there are fewer rows than archetypes.

    References
    ----------
    .. [1] Morup and Hansen (2012), Archetypal Analysis for Machine Learning and Data Mining
       (FurthestSum).
    """
    check_fitted(model)
    codes = np.asarray(getattr(model, "autoencoder_", model).transform(X), dtype=np.float64)
    if len(codes) < n_archetypes or n_archetypes < 1:
        raise DataError(f"{n_archetypes} archetypes cannot be found in {len(codes)} rows.")
    codes = (codes - codes.mean(0)) / np.maximum(codes.std(0), 1e-12)
    chosen = [int(np.square(codes).sum(1).argmax())]
    nearest = np.full(len(codes), np.inf)
    while len(chosen) < n_archetypes:
        nearest = np.minimum(nearest, np.square(codes - codes[chosen[-1]]).sum(1))
        chosen.append(int(nearest.argmax()))
    return np.array(chosen)
