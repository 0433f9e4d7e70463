"""``latently sample``."""

from __future__ import annotations

from typing import Annotated

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
    overwrite: options.Overwrite = False,
) -> None:
    """Generate new rows, best with a model of `fit --kind variational`."""
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
    rows = source.sample(n_samples, random_state=seed, support=support.value)
    write_rows(rows, Rows(None), loaded, target)
