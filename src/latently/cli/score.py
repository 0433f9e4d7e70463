"""``latently score``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from latently.cli import _alarms as alarms
from latently.cli import _options as options
from latently.cli._data import Rows, Source, autoencoder_of, match_rows, read_matched_rows
from latently.cli._guard import say
from latently.cli._output import (
    Target,
    check_picture,
    check_target,
    write_json,
    write_picture,
    write_piece,
    write_table,
)

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


#: Exit code of `--fail-on anomalies` where there are some.
ANOMALIES = 10


class FailOn(StrEnum):
    """What a nightly job shall fail on."""

    anomalies = "anomalies"


def score(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    per_feature: Annotated[
        bool, typer.Option("--per-feature", help="Add what each column contributes.")
    ] = False,
    false_alarm_rate: alarms.FalseAlarmRate = None,
    alert_budget: alarms.AlertBudget = None,
    contamination: alarms.Contamination = None,
    cost_ratio: alarms.CostRatio = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option("--fail-on", help=f"Exit with code {ANOMALIES} if rows are flagged."),
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
    """Write an anomaly score for each row: higher is more unusual.

    A detector adds p-values and flags. Delimited text from a pipe (DATA is -) is scored as it
    comes, and calibrated by what came before.
    """
    from latently.persistence import load

    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    check_picture(plot, overwrite)
    rule = alarms.chosen_rule(false_alarm_rate, alert_budget, contamination, cost_ratio)
    loaded = load(model)
    source = Source(data, format, key, skip_bad, ids)
    if follows(loaded, source, target, plot, json, per_feature):
        n_anomalies = follow(loaded, source, rule)
    else:
        rows = read_matched_rows(source, loaded)
        verdict = judge(loaded, rows.values, rule)
        columns = verdict.columns()
        if per_feature:
            columns |= _contributions(loaded, rows)
        if json:
            write_json(_summary(verdict, rows))
        if not json or output != "-":
            write_table(columns, rows, target)
        if plot is not None:
            write_picture(_histogram(verdict), plot, overwrite)
        n_anomalies = 0 if verdict.flags is None else int(verdict.flags.sum())
    if fail_on is not None and n_anomalies:
        say(f"flagged: {n_anomalies:,}")
        raise typer.Exit(ANOMALIES)


class Verdict(NamedTuple):
    """What is known of some rows; p-values belong to detectors, flags to a threshold."""

    scores: NDArray[np.float64]
    p_values: NDArray[np.float64] | None = None
    flags: NDArray[np.bool_] | None = None
    cut: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the columns of the answer."""
        named = {
            "anomaly_score": self.scores, "p_value": self.p_values, "is_anomaly": self.flags
        }  # fmt: skip
        return {name: column for name, column in named.items() if column is not None}


def judge(model: Any, X: Any, rule: Any) -> Verdict:
    """Score rows, and flag them by a rule or by the detector's own threshold."""
    if hasattr(model, "calibration_"):
        if rule is not None:
            model.set_threshold(rule, X)
        scores = -model.score_samples(X)
        cut = model.threshold_.cut
        _warn_of_drift(model, scores)
        return Verdict(scores, model.calibration_.p_values(scores), scores > cut, cut)
    scorer = model if hasattr(model, "score_samples") else autoencoder_of(model)
    scores = -scorer.score_samples(X)
    if rule is None:
        return Verdict(scores)
    cut = _cut_of_batch(rule, scores)
    return Verdict(scores, None, scores > cut, cut)


def _warn_of_drift(model: Any, scores: NDArray[np.float64]) -> None:
    import warnings

    from latently.exceptions import DriftWarning

    found = model.calibration_.drift(scores)
    if found.drifted and found.higher:
        warnings.warn(str(found), DriftWarning, stacklevel=2)


def _cut_of_batch(rule: Any, scores: NDArray[np.float64]) -> float:
    """Return where a rule about the rows themselves cuts, for a model without calibration."""
    from latently.exceptions import ParameterError
    from latently.tasks import AlertBudget, Calibration, Contamination, Evidence

    if not isinstance(rule, AlertBudget | Contamination):
        raise ParameterError(
            "The model holds no calibrated scores. Fit one with `latently detect`, or give "
            "--contamination or --alert-budget."
        )
    return float(rule.choose(Evidence(Calibration.of(scores), scores, None)).cut)


def _histogram(verdict: Verdict) -> Figure:
    from latently.report import plot_anomalies

    flagged = verdict.flags is not None and verdict.flags.any()
    return plot_anomalies(verdict.scores, threshold=verdict.cut if flagged else None)


def _contributions(model: Any, rows: Rows) -> dict[str, Any]:
    from latently.exceptions import ParameterError

    if rows.is_images:
        raise ParameterError("--per-feature needs a table, the data are images. Drop it.")
    autoencoder = autoencoder_of(model)
    if hasattr(model, "cell_scores"):
        errors = model.cell_scores(rows.values)
    else:
        errors = autoencoder.reconstruction_error(rows.values, per_feature=True)
    names = autoencoder.preprocessor_.column_names
    return {f"error_{name}": errors[:, place] for place, name in enumerate(names)}


def _summary(verdict: Verdict, rows: Rows) -> dict[str, Any]:
    import numpy as np

    scores, flags = verdict.scores, verdict.flags
    worst = np.argsort(-scores, kind="stable")[:5].tolist()
    ids = rows.ids.take(worst).to_pylist() if rows.ids is not None else [{} for _ in worst]
    return {
        "n_rows": len(scores),
        "mean": float(scores.mean()),
        "median": float(np.median(scores)),
        "max": float(scores.max()),
        "threshold": verdict.cut,
        "n_anomalies": None if flags is None else int(flags.sum()),
        "worst": [
            {"row": row, **named, "anomaly_score": float(scores[row])}
            for row, named in zip(worst, ids, strict=True)
        ],
    }


def follows(
    model: Any, source: Source, target: Target, plot: str | None, json: bool, per_feature: bool
) -> bool:
    """Return True if rows are to be answered as they come."""
    return (
        source.path == "-"
        and source.format in (None, "csv")
        and target.path == "-"
        and target.format_name == "csv"
        and plot is None
        and not json
        and not per_feature
        and hasattr(model, "calibration_")
        and hasattr(model, "feature_names_in_")
    )


def follow(model: Any, source: Source, rule: Any) -> int:
    """Score delimited text from standard input as it comes; return how many rows were flagged."""
    import sys

    from latently.io import stream_csv

    if rule is not None:
        model.set_threshold(rule)
    stream = model.stream()
    spec = autoencoder_of(model).preprocessor_.spec
    text = {
        name
        for name, kind in zip(spec.names, spec.types, strict=True)
        if kind.name in ("string", "large_string", "dictionary")
    }
    for number, table in enumerate(stream_csv(sys.stdin.buffer, text=text)):
        rows = match_rows(table, model, source)
        verdict = Verdict(*stream.score_rows(rows.values))
        write_piece(verdict.columns(), rows, header=number == 0)
    drift = stream.drift()
    if drift.drifted and drift.higher:
        say(f"warning: {drift}")
    return int(stream.n_anomalies)
