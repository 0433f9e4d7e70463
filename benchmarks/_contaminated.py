"""The parts ``robust`` and ``labels``: training rows with anomalies, some of them labelled.

Sets come in three groups: ADBench's and the mixed tables, by which the designs were chosen, and
rare classes of digits and letters, by which nothing was chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from _data import list_datasets, load
from _records import Record, grid_of, print_table, say, unique

MEASURES = ("AUROC", "AP")
GROUPS = ("adbench", "mixed", "rare")
CHOSEN = {"ADBench": "chosen on", "mixed tables": "chosen on", "rare classes": "not chosen on"}
#: Rows to which a set is subsampled, at most.
MOST_ROWS = 2_500
#: Share of the rows of a rare class, and classes of each source.
RARE, N_CLASSES = 0.03, 10
#: Known anomalies, and hidden ones that must be left to judge by.
N_KNOWN, LEAST_HIDDEN = (1, 5, 20, 100), 5
TIE, RESAMPLES = 0.001, 2_000


class Problem(NamedTuple):
    """Rows, the same encoded as peers need them, and which are anomalies."""

    group: str
    name: str
    rows: Any
    encoded: np.ndarray
    is_anomaly: np.ndarray


def problems(options: Any) -> Iterator[Problem]:
    """Yield the sets at hand; mixed tables and features are left out where the folder has none."""
    most, folder, groups = min(options.max_rows, MOST_ROWS), options.data, options.groups
    for path in list_datasets(folder, options.datasets) if "adbench" in groups else ():
        X, y = load(path, most)
        if y.sum() >= 3:
            yield Problem("ADBench", path.stem, X, StandardScaler().fit_transform(X), y == 1)
    if options.datasets != "all":
        return
    for path in sorted((folder / "anomaly_tables").glob("*.npz")) if "mixed" in groups else ():
        with np.load(path) as data:
            frame, y = _frame(data, most), data["y"][_places(len(data["y"]), most)]
        yield Problem("mixed tables", path.stem, frame, _encoded(frame), y == 1)
    if "rare" in groups:
        yield from _rare_classes(folder, most, 2 if options.quick else N_CLASSES)


def _places(n_rows: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n_rows)[:most])


def _frame(data: Any, most: int) -> pd.DataFrame:
    """Return a mixed table; the file holds categories as codes and gaps as NaN."""
    X = data["X"][_places(len(data["y"]), most)]
    columns = {}
    for place, (name, is_category) in enumerate(zip(data["columns"], data["is_cat"], strict=True)):
        values = pd.Series(X[:, place])
        texts = values.map(lambda code: None if np.isnan(code) else f"c{int(code)}")
        columns[f"{name}_{place}"] = pd.Categorical(texts) if is_category else values
    return pd.DataFrame(columns)


def _encoded(frame: pd.DataFrame) -> np.ndarray:
    """Return medians and modes in the gaps, one-hot categories and standardised numbers."""
    texts = frame.copy()
    for name in texts.select_dtypes("category"):
        texts[name] = texts[name].astype(object).fillna("missing")
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    made = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include=np.number)),
            ("categories", one_hot, make_column_selector(dtype_include=object)),
        ]
    )
    return np.asarray(made.fit_transform(texts), dtype=np.float64)


def _rare_classes(folder: Path, most: int, n_classes: int) -> Iterator[Problem]:
    """Yield tables in which all rows of one class but a few are left out."""
    digits = load_digits()
    sources = [("digits", digits.data, digits.target)]
    for path in sorted((folder / "features").glob("*.npz")):
        with np.load(path) as data:
            X = np.concatenate([data["x_train"], data["x_test"]]).astype(np.float64)
            sources.append((path.stem, X, np.concatenate([data["y_train"], data["y_test"]])))
    for name, X, target in sources:
        for label in np.unique(target)[:n_classes]:
            rng = np.random.default_rng(int(label))
            usual = rng.permutation(np.flatnonzero(target != label))[:most]
            rare = rng.permutation(np.flatnonzero(target == label))[: round(RARE * len(usual))]
            rows = np.concatenate([usual, rare])
            is_anomaly = np.arange(len(rows)) >= len(usual)
            yield Problem(
                "rare classes", f"{name} {label}", X[rows],
                StandardScaler().fit_transform(X[rows]), is_anomaly,
            )  # fmt: skip


Scorer = Callable[[Problem, int], np.ndarray]


def _ours(robust: bool) -> Scorer:
    def scores(problem: Problem, seed: int) -> np.ndarray:
        from latently import AnomalyDetector

        model = AnomalyDetector(robust=robust, random_state=seed).fit(problem.rows)
        return model.anomaly_score(problem.rows)

    return scores


def _neighbors(n_neighbors: int) -> Scorer:
    def scores(problem: Problem, seed: int) -> np.ndarray:
        found = NearestNeighbors(n_neighbors=n_neighbors).fit(problem.encoded).kneighbors()[0]
        return found[:, -1]

    return scores


def _iforest(problem: Problem, seed: int) -> np.ndarray:
    return -IsolationForest(random_state=seed).fit(problem.encoded).score_samples(problem.encoded)


def _lof(problem: Problem, seed: int) -> np.ndarray:
    return -LocalOutlierFactor().fit(problem.encoded).negative_outlier_factor_


def _ecod(problem: Problem, seed: int) -> np.ndarray:
    from pyod.models.ecod import ECOD

    return np.nan_to_num(ECOD().fit(problem.encoded).decision_scores_)


def _autoencoder(problem: Problem, seed: int) -> np.ndarray:
    from pyod.models.auto_encoder import AutoEncoder

    model = AutoEncoder(random_state=seed, verbose=0).fit(problem.encoded)
    return np.nan_to_num(model.decision_scores_)


UNLABELLED: dict[str, Scorer] = {
    "latently, robust": _ours(robust=True),
    "latently": _ours(robust=False),
    "IForest": _iforest,
    "1-NN": _neighbors(1),
    "kNN": _neighbors(5),
    "LOF": _lof,
    "ECOD": _ecod,
    "AutoEncoder": _autoencoder,
}
#: Only with ``--all``: minutes on wide tables.
SLOW = ("AutoEncoder", "XGBOD")


def _present(methods: Iterable[str], options: Any) -> list[str]:
    """Return the methods that are asked for and installed."""
    return [m for m in methods if (options.every_peer or m not in SLOW) and _importable(m)]


def _importable(method: str) -> bool:
    """Return whether a peer's package is installed; name it if it is not."""
    packages = {
        "ECOD": ("pyod.models.ecod",), "AutoEncoder": ("pyod.models.auto_encoder",),
        "XGBOD": ("xgboost", "pyod.models.xgbod"),
    }  # fmt: skip
    try:
        for package in packages.get(method, ()):
            __import__(package)
    except ImportError as error:
        print(f"missing: {method} ({error})")
        return False
    return True


def run_robust(options: Any) -> Iterator[Record]:
    """Train and judge on all rows of each set, labels unseen."""
    methods = _present(UNLABELLED, options)
    for problem in problems(options):
        say(f"robust {problem.name}")
        for method in methods:
            for seed in options.seeds:
                scores = UNLABELLED[method](problem, seed)
                yield from _judged("robust", problem, problem.group, method, seed, scores)


def _judged(
    part: str, problem: Problem, setting: str, method: str, seed: int, scores: np.ndarray,
    judged: np.ndarray | None = None,
) -> Iterator[Record]:  # fmt: skip
    here = np.ones(len(scores), bool) if judged is None else judged
    labels, scores = problem.is_anomaly[here], scores[here]
    for measure, value in (
        ("AUROC", roc_auc_score(labels, scores)),
        ("AP", average_precision_score(labels, scores)),
    ):
        yield Record(part, setting, problem.name, method, seed, measure, float(value))


def report_robust(records: Sequence[Record]) -> None:
    """Print means and medians by group, and wins and losses of ours against each peer."""
    _report("Training rows with anomalies", records, "latently, robust")


def _report(title: str, records: Sequence[Record], own: str) -> None:
    methods = unique(r.method for r in records)
    groups = unique(r.setting for r in records)
    print(f"\n## {title}: AUROC / AP (%), means over sets and seeds, medians in brackets\n")
    body = []
    for group in groups:
        here = [r for r in records if r.setting == group]
        grids = [grid_of(here, measure, methods) for measure in MEASURES]
        head = f"{group}, {len(grids[0])} sets{_chosen(group)}"
        body.append([head, *(_cell(grids, place) for place in range(len(methods)))])
    print_table(["sets", *methods], body)
    print(f"\n### {own} against each: sets\n")
    _report_duels(records, own, [m for m in methods if m != own])


def _chosen(group: str) -> str:
    return f" ({CHOSEN[group]})" if group in CHOSEN else ""


def _cell(grids: Sequence[np.ndarray], place: int) -> str:
    columns = [100 * grid[:, place] for grid in grids]
    means = " / ".join(f"{column.mean():.1f}" for column in columns)
    return f"{means} ({' / '.join(f'{np.median(column):.1f}' for column in columns)})"


def _report_duels(records: Sequence[Record], own: str, peers: Sequence[str]) -> None:
    rng = np.random.default_rng(0)
    body = []
    for peer in peers:
        line = [peer]
        for measure in MEASURES:
            gaps = [_gap(records, group, measure, own, peer) for group in
                    unique(r.setting for r in records)]  # fmt: skip
            gap = np.concatenate(gaps)
            drawn = gap[rng.integers(len(gap), size=(RESAMPLES, len(gap)))].mean(1)
            wins, losses = int((gap > TIE).sum()), int((gap < -TIE).sum())
            ahead = 100 * float((drawn > 0).mean())
            line.append(f"{100 * gap.mean():+.1f}, {wins} to {losses}, {ahead:.1f} %")
        body.append(line)
    print_table(
        ["peer", *(f"{m}: points, wins to losses, resamples ahead" for m in MEASURES)], body
    )


def _gap(records: Sequence[Record], group: str, measure: str, own: str, peer: str) -> np.ndarray:
    here = [r for r in records if r.setting == group]
    grid = grid_of(here, measure, [own, peer])
    return grid[:, 0] - grid[:, 1]


# ------------------------------------------------------------------ labels
Labelled = Callable[[Problem, np.ndarray, int], np.ndarray]


def _with_labels(robust: bool, how: str) -> Labelled:
    """Return ours with labels ignored, with known anomalies dropped, or learnt from."""

    def scores(problem: Problem, known: np.ndarray, seed: int) -> np.ndarray:
        from latently import AnomalyDetector

        model = AnomalyDetector(robust=robust, random_state=seed)
        if how == "dropped":
            kept = np.flatnonzero(~known)
            rows = problem.rows
            model.fit(rows[kept] if isinstance(rows, np.ndarray) else rows.iloc[kept])
        else:
            model.fit(problem.rows, known if how == "labels" else None)
        return model.anomaly_score(problem.rows)

    return scores


def _classifier(make: Callable[[int], Any]) -> Labelled:
    def scores(problem: Problem, known: np.ndarray, seed: int) -> np.ndarray:
        model = make(seed).fit(problem.encoded, known)
        return np.asarray(model.predict_proba(problem.encoded)[:, 1])

    return scores


def _xgbod(problem: Problem, known: np.ndarray, seed: int) -> np.ndarray:
    from pyod.models.xgbod import XGBOD

    model = XGBOD(random_state=seed).fit(problem.encoded, known.astype(int))
    return np.asarray(model.decision_function(problem.encoded))


LABELLED: dict[str, Labelled] = {
    "latently, robust, labels": _with_labels(robust=True, how="labels"),
    "latently, labels": _with_labels(robust=False, how="labels"),
    "robust, dropped": _with_labels(robust=True, how="dropped"),
    "robust, ignored": _with_labels(robust=True, how="ignored"),
    "random forest": _classifier(
        lambda seed: RandomForestClassifier(class_weight="balanced", random_state=seed)
    ),
    "gradient boosting": _classifier(
        lambda seed: HistGradientBoostingClassifier(class_weight="balanced", random_state=seed)
    ),
    "XGBOD": _xgbod,
}


def run_labels(options: Any) -> Iterator[Record]:
    """Mark some anomalies of each set, and judge on all other rows."""
    methods = _present(LABELLED, options)
    for problem in problems(options):
        places = np.flatnonzero(problem.is_anomaly)
        for n_known in N_KNOWN:
            if len(places) < n_known + LEAST_HIDDEN:
                continue
            say(f"labels {n_known} {problem.name}")
            for seed in options.seeds:
                known = np.zeros(len(problem.is_anomaly), bool)
                known[np.random.default_rng(seed).permutation(places)[:n_known]] = True
                for method in methods:
                    scores = LABELLED[method](problem, known, seed)
                    setting = f"{problem.group}, {n_known} known"
                    yield from _judged("labels", problem, setting, method, seed, scores, ~known)


def report_labels(records: Sequence[Record]) -> None:
    """Print a table for each number of known anomalies."""
    for n_known in N_KNOWN:
        ending = f", {n_known} known"
        here = [
            r._replace(setting=r.setting.removesuffix(ending))
            for r in records
            if r.setting.endswith(ending)
        ]
        if here:
            title = f"{n_known} known anomal{'y' if n_known == 1 else 'ies'}, the others hidden"
            _report(title, here, "latently, robust, labels")
