"""``latently denoise``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, autoencoder_of, read_matched_rows
from latently.cli._guard import echo
from latently.cli._large import answer_large
from latently.cli._output import Target, answers_images, as_table, check_target, write_rows

if TYPE_CHECKING:
    import pyarrow as pa


def denoise(
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
    overwrite: options.Overwrite = False,
) -> None:
    """Remove noise from rows or images, best with a model of `fit --kind denoising` or `unet`."""
    from latently.persistence import load
    from latently.tasks import AutoencoderDenoiser

    target = Target(output, output_format, overwrite)
    loaded = load(model)
    autoencoder = autoencoder_of(loaded)
    check_target(target, images=answers_images(loaded))
    _note_noise(autoencoder)
    source = Source(data, format, key, skip_bad, ids, marks=Marks(missing, decimal, dates))

    def denoised(rows: Rows) -> pa.Table:
        denoiser = AutoencoderDenoiser(autoencoder=autoencoder).fit(rows.values)
        return as_table(denoiser.transform(rows.values), loaded)

    if answer_large(source, loaded, target, denoised):
        return
    rows = read_matched_rows(source, loaded)
    denoiser = AutoencoderDenoiser(autoencoder=autoencoder).fit(rows.values)
    write_rows(denoiser.transform(rows.values), rows, loaded, target)


def _note_noise(autoencoder: Any) -> None:
    from latently.estimators import tags_of

    tags = tags_of(autoencoder)
    if tags.has_narrow_code and not tags.is_denoiser:
        echo(
            "warning: the model was not trained with noise. Use `fit --kind denoising`, or `unet`."
        )
