"""``latently sample``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Rows, autoencoder_of
from latently.cli._output import Target, answers_images, check_target, write_rows


def sample(
    model: options.Model,
    n_samples: Annotated[int, typer.Option("-n", "--n-samples", help="Rows to generate.")] = 100,
    seed: Annotated[int, typer.Option(help="Same seed, same rows.")] = 0,
    output: options.Output = "-",
    output_format: options.OutputFormat = None,
    support: options.Support = options.SupportName.column,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COL=VALUE",
            help="Value or LOW..HIGH of a column, of a TableSampler; repeatable.",
        ),
    ] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Generate new rows, with a TableSampler or a model of `fit --kind variational`."""
    from latently.exceptions import ModelFileError
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    loaded = load(model)
    check_target(target, images=answers_images(loaded))
    source = loaded if hasattr(loaded, "sample") else autoencoder_of(loaded)
    if not hasattr(source, "sample"):
        raise ModelFileError(
            f"{model} holds {type(source).__name__}, from which nothing can be drawn. Use a "
            "model of `fit --kind variational`.",
            "class",
        )
    asked = _asked(loaded, given, support)
    rows = source.sample(n_samples, random_state=seed, **asked)
    write_rows(rows, Rows(None), loaded, target)


def _asked(model: Any, given: list[str] | None, support: options.SupportName) -> dict[str, Any]:
    """Return the options of `sample` that the model has."""
    from latently.exceptions import ParameterError
    from latently.tasks import TableSampler

    if not isinstance(model, TableSampler):
        if given:
            raise ParameterError("--given needs a model of TableSampler. Drop it.")
        return {"support": support.value}
    if support is not options.SupportName.column:
        raise ParameterError("--support free does not belong to a TableSampler. Drop it.")
    return {"given": dict(_condition(text) for text in given or [])}


def _condition(text: str) -> tuple[str, Any]:
    """Return the column and the value, or the ends of the range, of `COL=VALUE`."""
    from latently.exceptions import ParameterError

    name, equals, value = text.partition("=")
    if not equals:
        raise ParameterError(
            f"--given must be COL=VALUE or COL=LOW..HIGH, got {text!r:.60}. Try country=NL."
        )
    low, between, high = value.partition("..")
    return name, (low, high) if between else value
