"""``latently score``."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from latently.cli import _alarms as alarms
from latently.cli import _engine as engines
from latently.cli import _options as options
from latently.cli._data import (
    Marks,
    Rows,
    Source,
    id_names,
    match_rows,
    names_of_fit,
    open_large,
    pick_ids,
    read_matched_rows,
    spec_of,
)
from latently.cli._guard import echo
from latently.cli._large import known_columns, matched_pieces, write_large
from latently.cli._output import (
    Target,
    check_picture,
    check_target,
    with_ids,
    write_json,
    write_picture,
    write_piece,
    write_table,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from latently.io import TableDataset
    from latently.persistence import BatchPredictor
    from latently.tasks import DriftTally, RowScores, ScoreSummary


#: Exit codes of `--fail-on`.
ANOMALIES, DRIFT = 10, 11
#: Chance of a false alarm of `--fail-on drift`.
_LEVEL = 0.05


class FailOn(StrEnum):
    """Conditions under which `score` exits with an error code."""

    anomalies = "anomalies"
    drift = "drift"


def score(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    per_feature: Annotated[
        bool, typer.Option("--per-feature", help="Add what each column contributes.")
    ] = False,
    false_alarm_rate: alarms.FalseAlarmRate = None,
    alert_budget: alarms.AlertBudget = None,
    per: alarms.Per = None,
    time: alarms.Time = None,
    contamination: alarms.Contamination = None,
    cost_ratio: alarms.CostRatio = None,
    fail_on: Annotated[
        FailOn | None,
        typer.Option(
            "--fail-on",
            help=f"Exit with code {ANOMALIES} if rows are flagged, or with code {DRIFT} if columns "
            "or scores drifted from the rows of the fit.",
        ),
    ] = None,
    ids: options.Ids = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write a summary to stdout instead of the table.")
    ] = False,
    engine: engines.Engine = engines.EngineName.local,
    workers: engines.Workers = None,
    ray_address: engines.Address = None,
    resume: engines.Resume = False,
) -> None:
    """Write an anomaly score for each row: higher = more unusual.

    A detector adds p-values and flags. Delimited text from a pipe (DATA is -) is scored as it
    comes, and calibrated by what came before. For a folder or a pattern of tables, -o FOLDER/ gets
    a file for each of them.
    """
    from latently.persistence import load

    marks = Marks(missing, decimal, dates)
    source = Source(data, format, key, skip_bad, ids, marks=marks, time=time)
    rule = alarms.chosen_rule(
        false_alarm_rate, alert_budget, contamination, cost_ratio, per=per, time=time
    )
    if engines.is_partitioned(source, output, engine, resume):
        engines.refuse_with_folder(plot=plot, json=json, overwrite=overwrite)
        where = engines.make_engine(engine, workers, ray_address)
        predictor = _predictor(model, rule, ids, per_feature, fail_on)
        _fail_on(fail_on, engines.answer_files(predictor, source, output, where, resume))
        return
    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    check_picture(plot, overwrite)
    loaded = load(model)
    tally = _tally(loaded, model) if fail_on is FailOn.drift else None
    if follows(loaded, source, target, plot, json, per_feature):
        n_anomalies = follow(loaded, source, rule, tally)
    else:
        scored = _score(loaded, source, rule, target, tally, per_feature=per_feature, quiet=json)
        if json:
            write_json(_summary(scored, tally))
        if plot is not None:
            write_picture(_histogram(scored), plot, overwrite)
        n_anomalies = scored.n_anomalies
    _fail_on(fail_on, n_anomalies, tally)


def _tally(model: Any, path: str) -> DriftTally:
    from latently.exceptions import ParameterError
    from latently.tasks import DriftTally

    if not hasattr(model, "calibration_"):
        raise ParameterError(
            f"--fail-on drift needs a detector, {path} holds {type(model).__name__}. Fit one with "
            "`latently detect`."
        )
    return DriftTally(model)


def _fail_on(fail_on: FailOn | None, n_anomalies: int, tally: DriftTally | None = None) -> None:
    if tally is not None:
        found = tally.result(_LEVEL)
        echo(str(found))
        if found.drifted:
            raise typer.Exit(DRIFT)
    elif fail_on is not None and n_anomalies:
        echo(f"flagged: {n_anomalies:,}")
        raise typer.Exit(ANOMALIES)


def _predictor(
    model: str, rule: Any, ids: Any, per_feature: bool, fail_on: FailOn | None
) -> BatchPredictor:
    """Return the request for each file, which must not depend on other files."""
    from latently.exceptions import ParameterError
    from latently.persistence import BatchPredictor, load

    if fail_on is FailOn.drift:
        raise ParameterError(
            "--fail-on drift compares all rows at once. Give -o FILE, or use `latently drift`."
        )
    if rule is None:
        return BatchPredictor(model, "score", ids or (), None, per_feature)
    if rule.reads_rows:
        raise ParameterError(
            "--alert-budget and --contamination look at all rows at once. Give -o FILE, or another "
            "rule."
        )
    cut = cut_of(load(model), None, rule)
    return BatchPredictor(model, "score", ids or (), cut, per_feature)


class Scored(NamedTuple):
    """Summary of all scores, the threshold, and a lookup of row identifiers."""

    summary: ScoreSummary
    cut: float | None
    n_anomalies: int
    is_flagged: bool
    ids_of: Callable[[list[int]], list[dict[str, Any]]]


def _score(
    model: Any,
    source: Source,
    rule: Any,
    target: Target,
    tally: DriftTally | None,
    *,
    per_feature: bool,
    quiet: bool,
) -> Scored:
    """Score rows and write them, those of a large table as they are read."""
    from latently.tasks import ScoreSummary

    writes = not quiet or target.path != "-"
    dataset = open_large(source, source.options(spec_of(model)))
    if dataset is not None:
        return _score_large(model, dataset, source, rule, target, tally, per_feature, writes)
    rows = read_matched_rows(source, model)
    found = _scored(model, rows, rule)
    summary = ScoreSummary.of(found.scores)
    if tally is not None:
        tally.add(rows.values, found.scores)
    _warn_of_drift(model, summary)
    if writes:
        extra = _contributions(model, rows) if per_feature else {}
        write_table(found.columns() | extra, rows, target)
    return Scored(
        summary, found.cut, found.n_anomalies, found.flags is not None,
        lambda places: _ids(rows.ids, places),
    )  # fmt: skip


def _scored(model: Any, rows: Rows, rule: Any) -> RowScores:
    """Score rows and flag some, by a cut or by the periods of a budget."""
    from latently.tasks import score_rows

    if rows.times is None:
        return score_rows(model, rows.values, cut_of(model, rows.values, rule))
    found = score_rows(model, rows.values, None)
    return found._replace(flags=rule.flags(found.scores, _periods(rows, rule)))


def _periods(rows: Rows, rule: Any) -> NDArray[np.int64]:
    from latently.tasks import periods_of

    return periods_of(rows.times, rule.per, rule.time)


def _flags_of_large(
    model: Any, dataset: TableDataset, source: Source, rule: Any
) -> NDArray[np.bool_]:
    """Return the flags of all rows by the periods of a budget, which may lie in any piece."""
    import pyarrow as pa

    from latently.tasks import anomaly_scores, periods_of

    scores: list[NDArray[np.float64]] = []
    times: list[pa.Array] = []
    for rows in matched_pieces(dataset, model, source):
        assert rows.times is not None
        scores.append(anomaly_scores(model, rows.values))
        times += rows.times.chunks
    periods = periods_of(pa.chunked_array(times), rule.per, rule.time)
    flags: NDArray[np.bool_] = rule.flags(_joined(scores), periods)
    return flags


def _joined(parts: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    import numpy as np

    return np.concatenate(parts)


def _score_large(
    model: Any,
    dataset: TableDataset,
    source: Source,
    rule: Any,
    target: Target,
    tally: DriftTally | None,
    per_feature: bool,
    writes: bool,
) -> Scored:
    """Score a table that does not fit into memory. The results of its rows must fit."""
    import pyarrow as pa

    from latently.tasks import ScoreSummary, score_rows

    summary, n_anomalies = ScoreSummary(dataset.n_rows), 0
    # A rule that is about the rows themselves needs their scores before the first is flagged.
    flags = None if source.time is None else _flags_of_large(model, dataset, source, rule)
    asked = rule is not None and rule.reads_rows
    cut = (
        None
        if flags is not None
        else cut_of(model, known_columns(dataset, model, source) if asked else None, rule)
    )

    def answers() -> Iterator[pa.Table]:
        nonlocal n_anomalies
        for rows in matched_pieces(dataset, model, source):
            found = score_rows(model, rows.values, cut)
            if flags is not None:
                here = slice(summary.n_rows, summary.n_rows + len(found.scores))
                found = found._replace(flags=flags[here])
            summary.add(found.scores)
            if tally is not None:
                tally.add(rows.values, found.scores)
            n_anomalies += found.n_anomalies
            extra = _contributions(model, rows) if per_feature else {}
            yield with_ids(pa.table(found.columns() | extra), rows)

    if writes:
        write_large(answers(), dataset.n_rows, target)
    else:
        deque(answers(), maxlen=0)
    _warn_of_drift(model, summary)
    ids = dataset.select(id_names(dataset.column_names, source))
    return Scored(
        summary, cut, n_anomalies, cut is not None or flags is not None,
        lambda places: _ids(pick_ids(ids.take(places), source), _ranks(places)),
    )  # fmt: skip


def _ids(ids: pa.Table | None, places: list[int]) -> list[dict[str, Any]]:
    return [{} for _ in places] if ids is None else ids.take(places).to_pylist()


def _ranks(places: list[int]) -> list[int]:
    """Return where each place stands among them, in order."""
    order = sorted(places)
    return [order.index(place) for place in places]


def cut_of(model: Any, X: Any, rule: Any) -> float | None:
    """Return the threshold of a rule or of the detector, or None if there is none."""
    if hasattr(model, "calibration_"):
        if rule is not None:
            model.set_threshold(rule, X)
        return float(model.threshold_.cut)
    from latently.tasks import anomaly_scores

    return None if rule is None else _cut_of_batch(rule, anomaly_scores(model, X))


def _warn_of_drift(model: Any, summary: ScoreSummary) -> None:
    from dataclasses import replace

    from latently._notices import warn
    from latently.exceptions import DriftWarning
    from latently.tasks import drift_of_scores

    if not hasattr(model, "calibration_"):
        return
    found = replace(drift_of_scores(model, summary.sample), n_rows=summary.n_rows)
    if found.drifted and found.higher:
        warn(str(found), DriftWarning)


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


def _histogram(scored: Scored) -> Figure:
    from latently.report import plot_anomalies

    return plot_anomalies(
        scored.summary.sample, threshold=scored.cut if scored.n_anomalies else None
    )


def _contributions(model: Any, rows: Rows) -> dict[str, Any]:
    from latently.exceptions import ParameterError
    from latently.tasks import contributions

    if rows.is_images:
        raise ParameterError("--per-feature needs a table, the data are images. Drop it.")
    return contributions(model, rows.values)


def _summary(scored: Scored, tally: DriftTally | None) -> dict[str, Any]:
    import numpy as np

    summary = scored.summary
    named = scored.ids_of([row for row, _ in summary.worst])
    return {
        "n_rows": summary.n_rows,
        "mean": summary.mean,
        "median": float(np.median(summary.sample)),
        "max": summary.worst[0][1],
        "threshold": scored.cut,
        "n_anomalies": scored.n_anomalies if scored.is_flagged else None,
        "worst": [
            {"row": row, **own, "anomaly_score": score}
            for (row, score), own in zip(summary.worst, named, strict=True)
        ],
        **({} if tally is None else {"drift": tally.result(_LEVEL).to_dict()}),
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
        and names_of_fit(model) is not None
    )


def follow(model: Any, source: Source, rule: Any, tally: DriftTally | None) -> int:
    """Score delimited text from standard input as it arrives, and return the number of flags."""
    from latently.exceptions import ParameterError
    from latently.io._bytes import standard_input
    from latently.io.text._csv import stream_with
    from latently.tasks import RowScores

    if rule is not None and rule.reads_rows:
        raise ParameterError(
            f"{type(rule).__name__} looks at all rows at once, a pipe is answered as it comes. "
            "Give -o FILE, or --false-alarm-rate."
        )
    if rule is not None:
        model.set_threshold(rule)
    stream = model.stream()
    tables = stream_with(source.options(spec_of(model)), standard_input())
    for number, table in enumerate(tables):
        rows = match_rows(table, model, source)
        found = RowScores(*stream.score_rows(rows.values))
        if tally is not None:
            tally.add(rows.values, found.scores)
        write_piece(found.columns(), rows, header=number == 0)
    drift = stream.drift()
    if drift.drifted and drift.higher:
        echo(f"warning: {drift}")
    return int(stream.n_anomalies)
