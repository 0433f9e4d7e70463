"""``latently reconstruct``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, autoencoder_of, read_matched_rows
from latently.cli._large import answer_large
from latently.cli._output import Target, answers_images, as_table, check_target, write_rows

if TYPE_CHECKING:
    import pyarrow as pa


def reconstruct(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    ids: options.Ids = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    skip_bad: options.SkipBad = False,
    support: options.Support = options.SupportName.column,
    overwrite: options.Overwrite = False,
) -> None:
    """Rebuild each row through the code."""
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    autoencoder = autoencoder_of(load(model))
    check_target(target, images=answers_images(autoencoder))
    source = Source(data, format, key, skip_bad, ids, marks=Marks(missing, decimal, dates))

    def answer(rows: Rows) -> Any:
        return autoencoder.reconstruct(rows.values, support=support.value)

    def rebuilt(rows: Rows) -> pa.Table:
        return as_table(answer(rows), autoencoder)

    if answer_large(source, autoencoder, target, rebuilt):
        return
    rows = read_matched_rows(source, autoencoder)
    write_rows(answer(rows), rows, autoencoder, target)
