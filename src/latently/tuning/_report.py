"""What a search found, beside what it would have been without one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from latently._tabular import Tabular

#: A gain below this share of what the default leaves is none.
_NO_GAIN = 0.01


@dataclass(frozen=True)
class Standing:
    """One way to set a model, on both kinds of rows.

    Attributes
    ----------
    name : str
        "tuned", "default" or "PCA".
    inner : float
        Figure on the rows that chose; flatters whatever was chosen by them.
    outer : float
        Figure on the rows that had no say.
    """

    name: str
    inner: float
    outer: float


@dataclass(frozen=True, repr=False)
class SearchReport(Tabular):
    """What a search found.

    Attributes
    ----------
    figure : str
        What is compared, higher is better.
    standings : tuple of Standing
        The tuned model, the untuned default and a PCA of as many components.
    n_inner, n_outer : int
        Rows that chose, and rows that report.
    n_components : int
        Of the PCA.
    n_complete, n_pruned, n_failed : int
        Trials by how they ended; those cut off by the time limit count as failed.
    """

    figure: str
    standings: tuple[Standing, ...]
    n_inner: int
    n_outer: int
    n_components: int
    n_complete: int
    n_pruned: int
    n_failed: int

    def __getitem__(self, name: str) -> Standing:
        """Return the standing of a name."""
        return next(one for one in self.standings if one.name == name)

    @property
    def verdict(self) -> str:
        """Say in words whether the search has paid."""
        tuned, default = self["tuned"].outer, self["default"].outer
        gain = (tuned - default) / max(1 - default, 1e-12)
        if gain > _NO_GAIN:
            return f"tuning takes off {gain:.0%} of what the default lacks to a figure of one"
        if gain < -_NO_GAIN:
            return "the default is better on rows that had no say: the search chose by chance"
        return "tuning gains nothing over the default: it can stay as it is"

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute of a standing.

        Returns
        -------
        dict of str to list
            An entry for the tuned model, the default and the PCA.
        """
        names = ("name", "inner", "outer")
        return {name: [getattr(one, name) for one in self.standings] for name in names}

    def caption(self) -> str:
        return f"{self.figure}; {self.verdict}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON takes them.

        Returns
        -------
        dict
            The attributes and the verdict.
        """
        return {**asdict(self), "verdict": self.verdict}

    def __str__(self) -> str:
        names = {"PCA": f"PCA of {self.n_components} components"}
        heads = f"inner ({self.n_inner:,} rows)", f"outer ({self.n_outer:,} rows)"
        width = max(len(self.figure), 24)
        lines = [f"{self.figure:<{width}}  {heads[0]:>18}  {heads[1]:>18}"]
        for one in self.standings:
            if one.inner == one.inner:
                name = names.get(one.name, one.name)
                lines.append(f"{name:<{width}}  {one.inner:>18.4f}  {one.outer:>18.4f}")
        n_trials = self.n_complete + self.n_pruned + self.n_failed
        lines.append(
            f"{n_trials:,} trials: {self.n_complete:,} complete, {self.n_pruned:,} pruned, "
            f"{self.n_failed:,} failed; {self.verdict}"
        )
        return "\n".join(lines)
