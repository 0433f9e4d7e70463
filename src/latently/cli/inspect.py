"""``latently inspect``."""

from __future__ import annotations

from latently.cli import _options as options
from latently.cli._output import write_json, write_text


def inspect(model: options.Model, json: options.Json = False) -> None:
    """Describe a model, its training and its reconstruction error compared with PCA."""
    from latently.inspection import inspect as find_facts
    from latently.persistence import load

    facts = find_facts(load(model))
    if json:
        write_json(facts.to_dict())
    else:
        write_text(str(facts))
