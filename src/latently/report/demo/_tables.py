"""The demo's tables: card transactions with planted frauds and gaps, and tumours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from latently.datasets import make_transactions
from latently.estimators import Autoencoder
from latently.io import write
from latently.persistence import load
from latently.report._anomalies import plot_anomalies
from latently.report._explanation import plot_explanation
from latently.report._fills import plot_fills
from latently.report._history import plot_history
from latently.report._page import make_report
from latently.report.maps._map import plot_map
from latently.tasks import AnomalyDetector, AutoencoderImputer

ShowStep = Callable[[str], object]
Figures = dict[str, Any]


def show_transactions(root: Path, show_step: ShowStep) -> Figures:
    """Compress, flag frauds, fill gaps, save and load.

    Parameters
    ----------
    root : Path
        Output folder.
    show_step : callable
        Called with one line at the start of each step.

    Returns
    -------
    dict
        The figures of each job.
    """
    made = make_transactions(5000, random_state=0)
    n_frauds = int(made.is_fraud.sum())
    show_step(f"transactions: 5,000 rows of 13 mixed columns, {n_frauds} planted frauds, gaps")
    model = Autoencoder(random_state=0).fit(made.data)
    write(made.data, root / "transactions.csv", overwrite=True)
    plot_history(model).savefig(root / "history.png")
    figures: Figures = {"baselines": baselines(model)}
    show_step("transactions: anomaly scores against the planted truth")
    figures["anomalies"] = _flag_frauds(made, root, model)
    show_step("transactions: filling the gaps")
    figures["imputation"] = _fill_gaps(made, root)
    show_step("transactions: saving and loading the model")
    figures["loaded_model_is_equal"] = _save_and_load(model, made.data, root)
    return figures


def baselines(model: Any) -> Figures:
    """Return the held-out errors of the model, PCA and the column means."""
    found = model.baselines_
    return {
        "mean": found.mean,
        "pca": found.pca,
        "autoencoder": found.autoencoder,
        "n_components": model.n_components_,
        "conclusion": found.conclusion,
    }


def _flag_frauds(made: Any, root: Path, model: Any) -> Figures:
    detector = AnomalyDetector(random_state=0).fit(made.data)
    scores = detector.anomaly_score(made.data)
    plot_anomalies(detector, made.data, made.is_fraud).savefig(root / "anomalies.png")
    worst = np.argsort(-scores, kind="stable")[:6]
    reasons = detector.explain(made.data.take(worst))
    plot_explanation(reasons, rows=worst.tolist()).savefig(root / "worst_rows.png")
    make_report(detector, made.data).save(root / "report.html")
    table = made.data.append_column("anomaly_score", pa.array(scores))
    write(table, root / "scores.csv", overwrite=True)
    simple = _pca_scores(model, made.data)
    return {
        "auroc": _auroc(made.is_fraud, scores),
        "average_precision": _precision(made.is_fraud, scores),
        "pca_auroc": _auroc(made.is_fraud, simple),
        "pca_average_precision": _precision(made.is_fraud, simple),
    }


def _auroc(truth: Any, scores: Any) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))


def _precision(truth: Any, scores: Any) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(truth, scores))


def _pca_scores(model: Any, data: pa.Table) -> NDArray[np.float64]:
    """Return each row's error under a PCA of the same encoded columns and components."""
    import narwhals as nw
    from sklearn.decomposition import PCA

    values, _ = model.preprocessor_.encode(nw.from_native(data, eager_only=True))
    pca = PCA(min(model.n_components_, *values.shape), random_state=0)
    rebuilt = pca.inverse_transform(pca.fit_transform(values))
    return np.asarray(np.square(values - rebuilt).sum(1))


def _fill_gaps(made: Any, root: Path) -> Figures:
    imputer = AutoencoderImputer(random_state=0).fit(made.data)
    filled = imputer.transform(made.data)
    plot_fills(imputer).savefig(root / "fills.png")
    guess = _fill_with_common_values(made.data)
    figures: Figures = {"n_gaps": sum(column.null_count for column in made.data.columns)}
    for prefix, answer in (("", filled), ("mean_mode_", guess)):
        numbers, categories = _gap_errors(made.data, made.complete, answer)
        figures[f"{prefix}rmse"] = float(np.sqrt(np.mean(np.square(numbers))))
        figures[f"{prefix}accuracy"] = float(np.mean(categories))
    return figures


def _is_number(column: Any) -> bool:
    return bool(pa.types.is_integer(column.type) or pa.types.is_floating(column.type))


def _fill_with_common_values(data: pa.Table) -> pa.Table:
    columns = {}
    for name in data.column_names:
        column = _plain(data[name])
        if _is_number(column):
            columns[name] = pc.fill_null(column.cast(pa.float64()), pc.mean(column))
        else:
            columns[name] = pc.fill_null(column, _mode(column))
    return pa.table(columns)


def _mode(column: Any) -> Any:
    counts = pc.value_counts(column.drop_null())
    return counts.field("values")[int(np.argmax(counts.field("counts")))]


def _plain(column: Any) -> Any:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _gap_errors(
    data: pa.Table, complete: pa.Table, filled: pa.Table
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the errors of filled numbers in standard deviations, and the hits of categories."""
    numbers, hits = [], []
    for name in data.column_names:
        gaps = np.asarray(data[name].is_null())
        truth, answer = _plain(complete[name]), _plain(filled[name])
        if _is_number(truth):
            spread = pc.stddev(data[name]).as_py()
            difference = truth.to_numpy().astype(float) - answer.to_numpy().astype(float)
            numbers.append(difference[gaps] / spread)
        elif not pa.types.is_temporal(truth.type):
            hits.append(np.asarray(pc.equal(truth, answer))[gaps])
    return np.concatenate(numbers), np.concatenate(hits)


def _save_and_load(model: Any, data: pa.Table, root: Path) -> bool:
    path = root / "transactions.safetensors"
    model.save(path)
    return bool(np.array_equal(load(path).transform(data), model.transform(data)))


def show_breast_cancer(root: Path, show_step: ShowStep) -> Figures:
    """Draw a map of tumours, coloured by a diagnosis that the model never saw.

    Parameters
    ----------
    root : Path
        Output folder.
    show_step : callable
        Called with one line at the start of each step.

    Returns
    -------
    dict
        Comparison with mean and PCA, and how well neighbours agree on the diagnosis.
    """
    from sklearn.datasets import load_breast_cancer
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    show_step("breast cancer: a map of 569 tumours from 30 measurements")
    found = load_breast_cancer()
    model = Autoencoder(2, random_state=0).fit(found.data)
    figure = plot_map(model, found.data, found.target, names=found.target_names)
    figure.savefig(root / "map.png")
    simple = PCA(2, random_state=0).fit_transform(StandardScaler().fit_transform(found.data))
    return {
        "baselines": baselines(model),
        "neighbour_accuracy": _neighbour_accuracy(model.transform(found.data), found.target),
        "pca_neighbour_accuracy": _neighbour_accuracy(simple, found.target),
    }


def _neighbour_accuracy(codes: Any, labels: Any) -> float:
    """Return the cross-validated accuracy of a 10-nearest-neighbours classifier on the codes."""
    from sklearn.model_selection import cross_val_score
    from sklearn.neighbors import KNeighborsClassifier

    return float(cross_val_score(KNeighborsClassifier(10), codes, labels, cv=5).mean())
