"""``latently transform``."""

from __future__ import annotations

from latently.cli import _options as options
from latently.cli._data import Source, autoencoder_of, read_matched_rows
from latently.cli._output import Target, check_target, write_table


def transform(
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
    """Write the code of each row: one column a component."""
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    autoencoder = autoencoder_of(load(model))
    rows = read_matched_rows(Source(data, format, key, skip_bad, ids), autoencoder)
    codes = autoencoder.transform(rows.values)
    names = autoencoder.get_feature_names_out()
    write_table({str(name): codes[:, i] for i, name in enumerate(names)}, rows, target)
