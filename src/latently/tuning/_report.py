"""Result of a search, compared with the untuned model and a PCA."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from latently._tabular import Tabular

#: Minimum gain of tuning, as a share of the difference between the default score and 1.
_NO_GAIN = 0.01


@dataclass(frozen=True)
class Standing:
    """Scores of one setting of the model on inner and on outer rows.

    Attributes
    ----------
    name : str
        "tuned", "default" or "PCA".
    inner : float
        Score on the inner rows, which selected the parameters. It is biased upwards.
    outer : float
        Score on the outer rows, which were held out from the search. It is unbiased.
    """

    name: str
    inner: float
    outer: float


@dataclass(frozen=True, repr=False)
class SearchReport(Tabular):
    """Scores of the tuned model, the untuned default and a PCA.

    Attributes
    ----------
    figure : str
        Name of the score, where higher is better.
    standings : tuple of Standing
        Tuned model, untuned default, and PCA with as many components as the tuned model.
    n_inner, n_outer : int
        Number of inner rows, which select, and of outer rows, which evaluate.
    n_components : int
        Number of components of the PCA.
    n_complete, n_pruned, n_failed : int
        Numbers of trials by state. Trials ended by the time limit count as failed.
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
        """Return the standing with a name."""
        return next(one for one in self.standings if one.name == name)

    @property
    def conclusion(self) -> str:
        """Comparison of the tuned model with the default, in words."""
        tuned, default = self["tuned"].outer, self["default"].outer
        gain = (tuned - default) / max(1 - default, 1e-12)
        if gain > _NO_GAIN:
            return f"tuning gains {gain:.0%} of the difference between the default and a score of 1"
        if gain < -_NO_GAIN:
            return (
                "the default is better on the outer rows: the search has overfitted the inner rows"
            )
        return "tuning gains nothing over the default, which can be kept"

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
        return f"{self.figure}; {self.conclusion}"

    def to_dict(self) -> dict[str, Any]:
        """Return the values as a dict for JSON.

        Returns
        -------
        dict
            Attributes and conclusion.
        """
        return {**asdict(self), "conclusion": self.conclusion}

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
            f"{self.n_failed:,} failed; {self.conclusion}"
        )
        return "\n".join(lines)
