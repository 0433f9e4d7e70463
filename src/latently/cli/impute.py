"""``latently impute``."""

from __future__ import annotations

from typing import Any

from latently.cli import _options as options
from latently.cli._data import Source, autoencoder_of, read_matched_rows
from latently.cli._guard import say
from latently.cli._output import Target, answers_images, check_target, write_rows


def impute(
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
    """Fill missing cells; all others stay as they are."""
    from latently.persistence import load
    from latently.tasks import AutoencoderImputer

    target = Target(output, output_format, overwrite)
    loaded = load(model)
    check_target(target, images=answers_images(loaded))
    rows = read_matched_rows(Source(data, format, key, skip_bad, ids), loaded)
    imputer = loaded
    if not isinstance(loaded, AutoencoderImputer):
        imputer = AutoencoderImputer(autoencoder=autoencoder_of(loaded)).fit(rows.values)
    write_rows(imputer.transform(rows.values), rows, loaded, target)
    say(f"filled {_count_missing(rows.values):,} missing cells")


def _count_missing(values: Any) -> int:
    import numpy as np

    if hasattr(values, "column_names"):
        return sum(column.null_count for column in values.columns)
    return int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
