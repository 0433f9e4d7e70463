"""``latently inspect``."""

from __future__ import annotations

from latently.cli import _options as options
from latently.cli._output import write_json, write_text


def inspect(model: options.Model, json: options.Json = False) -> None:
    """Describe a model, its training and its reconstruction error compared with PCA.

    After `latently label`, the precision of the rows with a verdict is shown, too.
    """
    from latently.inspection import inspect as find_facts
    from latently.monitoring import Verdicts
    from latently.persistence import load

    facts = find_facts(load(model))
    precision = Verdicts.beside(model).precision()
    has_verdicts = precision.n_yes + precision.n_no > 0
    if json:
        verdicts = {"verdicts": {**precision._asdict(), "precision": precision.value}}
        write_json({**facts.to_dict(), **(verdicts if has_verdicts else {})})
    else:
        write_text(f"{facts}\n{precision}" if has_verdicts else str(facts))
