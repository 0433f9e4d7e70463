"""``check``: problems of a fitted model, their severity and a remedy for each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from latently._notices import each_once
from latently._tabular import Tabular
from latently._validation import check_fitted
from latently.estimators import BaseAutoencoder, fitted_of, tags_of
from latently.exceptions import DataError
from latently.inspection._elements import Elements, elements_of

Severity = Literal["bad", "warning"]

#: Ratio of validation to training loss, both less the irreducible loss, from which a gap is
#: reported as a warning, and from which it is bad.
_GAP, _WIDE_GAP = 1.5, 3.0
#: Errors relative to a PCA and to the mean from which a network has no benefit.
_OF_PCA, _OF_MEAN = 1.02, 0.95
#: A column with an error above this fraction of its variance was not learnt.
_NOT_LEARNT = 0.9
#: Correlation from which columns are duplicates.
_COPY = 0.99999
#: Smallest reported shift, in standard deviations of the column and in standard errors.
_SHIFT, _SURE = 0.3, 5.0
_SCALE = 1.5
#: KL in nats below which a variational component is inactive, and the limits on their fraction.
_NO_NATS, _MANY, _MOST = 0.01, 0.2, 0.8
_MIN_ROWS = 20
_N_NAMED = 5


class Finding(NamedTuple):
    """One problem found by ``check``.

    Attributes
    ----------
    name : str
        Name of the check: "overfit", "worse than PCA", "drift" and so on.
    severity : {"bad", "warning"}
        "bad" if results of the model are unreliable.
    what : str
        Description of the problem.
    figure : float
        Value of the measure that exceeded its limit.
    advice : str
        Recommended action.
    """

    name: str
    severity: Severity
    what: str
    figure: float
    advice: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.what} {self.advice}"


@dataclass(frozen=True, repr=False)
class Health(Tabular):
    """Findings of ``check``.

    Attributes
    ----------
    findings : tuple of Finding
        Findings, those of severity "bad" first.
    n_rows : int
        Number of rows checked.
    checked : tuple of str
        Names of the checks.
    """

    findings: tuple[Finding, ...]
    n_rows: int
    checked: tuple[str, ...]

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute of a finding.

        Returns
        -------
        dict of str to list
            An entry a finding.
        """
        return {
            name: [getattr(finding, name) for finding in self.findings] for name in Finding._fields
        }

    def caption(self) -> str:
        return "" if self.findings else str(self)

    @property
    def is_healthy(self) -> bool:
        """True if nothing bad was found."""
        return all(finding.severity != "bad" for finding in self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Return nested dicts, lists and plain values, ready for JSON.

        Returns
        -------
        dict
            One entry an attribute.
        """
        return {**asdict(self), "findings": [one._asdict() for one in self.findings]}

    def __str__(self) -> str:
        if not self.findings:
            return f"nothing wrong in {len(self.checked)} checks on {self.n_rows:,} rows"
        return "\n".join(map(str, self.findings))


class _Case(NamedTuple):
    """A model and the rows, residuals and codes that the checks use."""

    model: BaseAutoencoder
    rows: np.ndarray  # encoded
    seen: np.ndarray | None
    residuals: np.ndarray
    codes: np.ndarray
    elements: Elements
    floor: float  # loss a column of a perfect reconstruction

    @property
    def is_table(self) -> bool:
        return len(self.model.preprocessor_.layout.shape) == 1


@each_once()
def check(model: Any, X: Any) -> Health:
    """Check an autoencoder for common problems.

    The checks look for overfitting, a PCA or the mean that is as good, dead and collapsed
    latents, posterior collapse, columns that were not learnt, duplicate columns, fewer rows than
    a batch, training that was cut short, and drift relative to the training rows.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        At least 20 rows with the columns of ``fit``, either training rows or new rows.

    Returns
    -------
    Health
        Findings, each with its severity, description and advice. ``print`` shows one per line.

    Raises
    ------
    NotFittedError
        If ``fit`` was not called.
    DataError
        If the rows cannot be used or are too few.

    Examples
    --------
    >>> import latently
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = latently.Autoencoder(1, max_epochs=20, random_state=0).fit(X)
    >>> "drift" in [finding.name for finding in check(model, X + 9)]
    True
    """
    check_fitted(model)
    autoencoder: BaseAutoencoder = getattr(model, "autoencoder_", model)
    case = _case(autoencoder, X)
    found = [finding for look in _CHECKS.values() for finding in look(case)]
    found.sort(key=lambda finding: finding.severity != "bad")
    return Health(tuple(found), len(case.rows), tuple(_CHECKS))


def _case(model: BaseAutoencoder, X: Any) -> _Case:
    cells = fitted_of(model).read(X)
    if len(cells.values) < _MIN_ROWS:
        raise DataError(f"A check needs {_MIN_ROWS} rows at least, got {len(cells.values)}.")
    rows = cells.values.double().flatten(1).numpy()
    seen = None
    if cells.observed is not None:
        seen = model.module_.likelihood.spread(cells.observed).numpy()
    likelihood = copy.deepcopy(model.module_.likelihood).double()
    with torch.no_grad():
        floor = likelihood.least(cells.values.double().flatten(1), cells.observed).mean()
    return _Case(
        model, rows, seen, np.asarray(fitted_of(model).residuals(X), dtype=np.float64),
        np.asarray(model.transform(X), dtype=np.float64), elements_of(model.preprocessor_),
        float(floor),
    )  # fmt: skip


# ---------------------------------------------------------------- the checks
def _overfit(case: _Case) -> Iterator[Finding]:
    history = case.model.history_
    best = [record for record in history if record.step == history.best_step]
    if not best or best[0].train_loss <= case.floor:
        return
    gap = (best[0].valid_loss - case.floor) / (best[0].train_loss - case.floor)
    if gap > _GAP:
        yield Finding(
            "overfit", "bad" if gap > _WIDE_GAP else "warning",
            f"The loss of rows held out is {gap:.2f} times that of training rows.", gap,
            "Give more rows, fewer components, a DenseNetwork with dropout, or a corruption.",
        )  # fmt: skip


def _harder(case: _Case) -> Iterator[Finding]:
    found = getattr(case.model, "baselines_", None)
    if found is None or found.autoencoder <= 0:
        return
    squares = np.square(case.residuals)
    error = squares.mean() if case.seen is None else squares[case.seen].mean()
    ratio = float(error / found.autoencoder)
    if ratio > _GAP:
        yield Finding(
            "harder rows", "bad" if ratio > _WIDE_GAP else "warning",
            f"The error of these rows is {ratio:.2f} times that of the {found.rows} rows of fit.",
            ratio, "Look for drift; fit again on rows like these.",
        )  # fmt: skip


def _worth(case: _Case) -> Iterator[Finding]:
    found = getattr(case.model, "baselines_", None)
    if found is None or found.mean <= 0:
        return
    by_mean, by_pca = found.autoencoder / found.mean, found.autoencoder / max(found.pca, 1e-30)
    if by_mean > _OF_MEAN:
        yield Finding(
            "worse than the mean", "bad",
            f"The error is {by_mean:.2f} times that of the column means.", by_mean,
            "The columns are unrelated, or training was too short: raise max_epochs.",
        )  # fmt: skip
    elif by_pca > _OF_PCA:
        yield Finding(
            "worse than PCA", "warning",
            f"The error is {by_pca:.2f} times that of a PCA of {found.n_components} components.",
            by_pca, "Raise max_epochs or widen the network; or take the PCA.",
        )  # fmt: skip


def _sleepers(case: _Case) -> Iterator[Finding]:
    if not tags_of(case.model).decodes_codes:
        return  # the code of a memory is as wide as its rows
    dead = ~(case.codes != 0).any(0)
    spread = case.codes.std(0)
    still = ~dead & (spread < 1e-3 * max(spread.max(), 1e-300))
    for name, mask in (("dead latents", dead), ("collapsed latents", still)):
        share = float(mask.mean())
        if share > 0.02:
            yield Finding(
                name, "bad" if share > _MOST else "warning",
                f"{int(mask.sum()):,} of {len(mask):,} latents "
                + ("are zero in every row." if name.startswith("dead") else "hardly ever move."),
                share, "Take fewer components, or more rows.",
            )  # fmt: skip


def _posterior(case: _Case) -> Iterator[Finding]:
    if not tags_of(case.model).has_posterior:
        return
    variance = case.codes.var(0)
    # KL due to variation of the posterior mean. Without it, a component ignores its input.
    lost = 0.5 * variance < _NO_NATS
    share = float(lost.mean())
    if share > _MANY:
        yield Finding(
            "posterior collapse", "bad" if share > _MOST else "warning",
            f"{int(lost.sum()):,} of {len(lost):,} latents say nothing of the row.", share,
            "Lower beta, lengthen kl_warmup, give free_bits, or take fewer components.",
        )  # fmt: skip


def _unlearnt(case: _Case) -> Iterator[Finding]:
    if not case.is_table:
        return
    centred = case.rows - case.rows.mean(0)
    squares = [np.square(part) for part in (case.residuals, centred)]
    if case.seen is not None:
        squares = [np.where(case.seen, part, 0.0) for part in squares]
    left: dict[str, float] = {}
    whole: dict[str, float] = {}
    for place, column in enumerate(case.elements.columns):
        left[column] = left.get(column, 0.0) + float(squares[0][:, place].sum())
        whole[column] = whole.get(column, 0.0) + float(squares[1][:, place].sum())
    lost = [name for name in left if whole[name] > 0 and left[name] > _NOT_LEARNT * whole[name]]
    if lost:
        yield Finding(
            "not learnt", "warning",
            f"{_named(lost)} {_is(lost)} rebuilt no better than by the mean.",
            len(lost) / len(left),
            "Leave out what nothing else tells of, or take more components.",
        )  # fmt: skip


def _copies(case: _Case) -> Iterator[Finding]:
    if not case.is_table or case.rows.shape[1] > 2_000:
        return
    spread = case.rows.std(0)
    unit = (case.rows - case.rows.mean(0)) / np.where(spread > 0, spread, 1.0)
    close = np.abs(np.triu(unit.T @ unit / len(unit), 1)) > _COPY
    pairs = {
        (case.elements.columns[a], case.elements.columns[b])
        for a, b in np.argwhere(close)
        if case.elements.columns[a] != case.elements.columns[b]
    }
    if pairs:
        words = ", ".join(f"{a} and {b}" for a, b in sorted(pairs)[:_N_NAMED])
        yield Finding(
            "copies", "warning",
            f"{len(pairs)} pairs of columns say the same ({words}): rebuilding one from the other "
            "is no feat.",
            len(pairs), "Leave one of each pair out.",
        )  # fmt: skip


def _small(case: _Case) -> Iterator[Finding]:
    records = list(case.model.history_)
    if not records or records[-1].epoch <= 0:
        return
    steps = records[-1].step / records[-1].epoch
    if steps <= 1:
        yield Finding(
            "one batch", "warning",
            "All training rows fit in one batch, so that every step saw the same.", steps,
            "Lower batch_size, or give more rows.",
        )  # fmt: skip


def _cut_short(case: _Case) -> Iterator[Finding]:
    history = case.model.history_
    if history.stopped == "interrupted":
        yield Finding(
            "interrupted", "warning", "Training was interrupted before its end.",
            float(history.last_step), "Fit again, or call partial_fit.",
        )  # fmt: skip
    if history.events:
        yield Finding(
            "rolled back", "warning", f"The loss ran away {len(history.events)} times.",
            len(history.events), "Lower learning_rate, and look for extreme values.",
        )  # fmt: skip


def _drift(case: _Case) -> Iterator[Finding]:
    if not case.is_table:
        return
    numbers = _numbers(case)
    keeps_means = tags_of(case.model).keeps_means
    # Other elements store no mean of their training rows. Numbers have mean zero in any model.
    known = case.model.module_.center.double().cpu().numpy() if keeps_means else 0.0 * numbers
    rows = case.rows if case.seen is None else np.where(case.seen, case.rows, np.nan)
    count = np.maximum((~np.isnan(rows)).sum(0), 1)
    filled = np.where(np.isnan(rows), known, rows)
    shift = (filled - known).sum(0) / count
    if not keeps_means:
        shift = np.where(numbers, shift, 0.0)
    usual = np.where(numbers, 1.0, np.sqrt(np.maximum(known * (1 - known), 0.01)))
    moved = (np.abs(shift) > _SHIFT * usual) & (np.abs(shift) * np.sqrt(count) > _SURE * usual)
    spread = np.sqrt(np.square(filled - known).sum(0) / count)
    wide = numbers & (spread > _SCALE) & (count > 100)
    names = list(
        dict.fromkeys(case.elements.columns[place] for place in np.flatnonzero(moved | wide))
    )
    if names:
        worst = float(np.abs(shift / usual).max())
        yield Finding(
            "drift", "bad" if worst > 1 else "warning",
            f"{_named(names)} {_is(names)} not what {'they were' if len(names) > 1 else 'it was'} "
            f"in fit: a mean moved by up to {worst:.2g} standard deviations.",
            worst, "Fit again on newer rows, or look for a change in what is measured.",
        )  # fmt: skip


def _numbers(case: _Case) -> np.ndarray:
    numbers = np.zeros(case.rows.shape[1], dtype=bool)
    for column in case.model.preprocessor_.layout.columns:
        numbers[column.elements] = column.is_number
    return numbers


def _named(names: list[str]) -> str:
    rest = len(names) - _N_NAMED
    shown = ", ".join(names[:_N_NAMED])
    return f"{'Columns' if len(names) > 1 else 'Column'} {shown}" + (
        f" and {rest} more" if rest > 0 else ""
    )


def _is(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


_CHECKS: dict[str, Callable[[_Case], Iterator[Finding]]] = {
    "overfit": _overfit,
    "error of these rows": _harder,
    "worth": _worth,
    "dead and collapsed latents": _sleepers,
    "posterior collapse": _posterior,
    "columns not learnt": _unlearnt,
    "copies": _copies,
    "one batch": _small,
    "training cut short": _cut_short,
    "drift": _drift,
}
