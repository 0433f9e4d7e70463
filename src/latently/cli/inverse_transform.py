"""``latently inverse-transform``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Rows, Source, as_matrix, autoencoder_of, read_rows
from latently.cli._output import Target, answers_images, check_target, write_rows


def inverse_transform(
    model: options.Model,
    codes: Annotated[
        str, typer.Argument(metavar="CODES", help="What `transform` wrote; - is stdin.")
    ],
    output: options.Output = "-",
    ids: options.Ids = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    support: options.Support = options.SupportName.column,
    overwrite: options.Overwrite = False,
) -> None:
    """Decode codes into rows of the kind that `fit` saw."""
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    autoencoder = autoencoder_of(load(model))
    check_target(target, images=answers_images(autoencoder))
    rows = read_rows(Source(codes, format, key, ids=ids))
    matrix = _code_matrix(rows, autoencoder, codes)
    answer = autoencoder.inverse_transform(matrix, support=support.value)
    write_rows(answer, rows, autoencoder, target)


def _code_matrix(rows: Rows, autoencoder: Any, path: str) -> Any:
    """Select the columns named by `transform`. An array is returned unchanged."""
    from latently.exceptions import DataError

    if not rows.is_table:
        return rows.values
    names = [str(name) for name in autoencoder.get_feature_names_out()]
    missing = [name for name in names if name not in rows.values.column_names]
    if missing:
        raise DataError(
            f"{path}: columns of the code are missing: {', '.join(missing[:5])}. "
            "Give what `latently transform` wrote."
        )
    return as_matrix(rows.values.select(names), path)
