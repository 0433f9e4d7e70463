"""``latently reconstruct``."""

from __future__ import annotations

from latently.cli import _options as options
from latently.cli._data import Source, autoencoder_of, read_matched_rows
from latently.cli._output import Target, answers_images, check_target, write_rows


def reconstruct(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    ids: options.Ids = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Rebuild each row through the code."""
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    autoencoder = autoencoder_of(load(model))
    check_target(target, images=answers_images(autoencoder))
    rows = read_matched_rows(Source(data, format, key, skip_bad, ids), autoencoder)
    write_rows(autoencoder.reconstruct(rows.values), rows, autoencoder, target)
