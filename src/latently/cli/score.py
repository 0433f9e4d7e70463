"""``latently score``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Rows, Source, autoencoder_of, read_matched_rows
from latently.cli._output import (
    Target,
    check_picture,
    check_target,
    write_json,
    write_picture,
    write_table,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def score(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    per_feature: Annotated[
        bool, typer.Option("--per-feature", help="Add the error of each column.")
    ] = False,
    contamination: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Flag this worst share of DATA in is_anomaly."),
    ] = None,
    ids: options.Ids = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write a summary to stdout instead of the table.")
    ] = False,
) -> None:
    """Write an anomaly score for each row: higher is more unusual."""
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    check_picture(plot, overwrite)
    _check_share(contamination)
    loaded = load(model)
    rows = read_matched_rows(Source(data, format, key, skip_bad, ids), loaded)
    judge = loaded if hasattr(loaded, "score_samples") else autoencoder_of(loaded)
    scores = -judge.score_samples(rows.values)
    columns: dict[str, Any] = {"anomaly_score": scores}
    flags = _flags(loaded, scores, contamination)
    if flags is not None:
        columns["is_anomaly"] = flags
    if per_feature:
        columns |= _errors(autoencoder_of(loaded), rows)
    if json:
        write_json(_summary(scores, flags, rows))
    if not json or output != "-":
        write_table(columns, rows, target)
    if plot is not None:
        write_picture(_histogram(scores, flags), plot, overwrite)


def _check_share(contamination: float | None) -> None:
    from latently.exceptions import ParameterError

    if contamination is not None and not 0 < contamination <= 0.5:
        raise ParameterError(
            f"--contamination must be above 0 and at most 0.5, got {contamination}. Try 0.01."
        )


def _flags(
    model: Any, scores: NDArray[np.float64], contamination: float | None
) -> NDArray[np.bool_] | None:
    """Flag the worst share of these rows, or what a detector's own threshold says."""
    import numpy as np

    if contamination is None:
        return -scores < model.offset_ if hasattr(model, "offset_") else None
    count = max(1, round(contamination * len(scores)))
    worst = np.argsort(-scores, kind="stable")[:count]
    return np.isin(np.arange(len(scores)), worst)


def _histogram(scores: NDArray[np.float64], flags: NDArray[np.bool_] | None) -> Figure:
    from latently.report import plot_anomalies

    cut = None if flags is None or not flags.any() else float(scores[flags].min())
    return plot_anomalies(scores, threshold=cut)


def _errors(autoencoder: Any, rows: Rows) -> dict[str, Any]:
    from latently.exceptions import ParameterError

    if rows.is_images:
        raise ParameterError("--per-feature needs a table, the data are images. Drop it.")
    errors = autoencoder.reconstruction_error(rows.values, per_feature=True)
    names = autoencoder.preprocessor_.column_names
    return {f"error_{name}": errors[:, place] for place, name in enumerate(names)}


def _summary(
    scores: NDArray[np.float64], flags: NDArray[np.bool_] | None, rows: Rows
) -> dict[str, Any]:
    import numpy as np

    worst = np.argsort(-scores, kind="stable")[:5].tolist()
    ids = rows.ids.take(worst).to_pylist() if rows.ids is not None else [{} for _ in worst]
    return {
        "n_rows": len(scores),
        "mean": float(scores.mean()),
        "median": float(np.median(scores)),
        "max": float(scores.max()),
        "n_anomalies": None if flags is None else int(flags.sum()),
        "worst": [
            {"row": row, **named, "anomaly_score": float(scores[row])}
            for row, named in zip(worst, ids, strict=True)
        ],
    }
