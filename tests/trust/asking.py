"""Every public method of a fitted model, asked on a small table, within a time and memory bound."""

import copy
import resource
import signal
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from latently.exceptions import LatentlyError

#: Seconds that one question may take, and bytes that all of them may take together.
SECONDS, BYTES = 20, 2 << 30


class Hang(BaseException):
    """Raised where a question takes too long; no code under test catches it."""


@contextmanager
def bounded(seconds=SECONDS, n_bytes=BYTES):
    """Raise Hang after so many seconds, and refuse the process more memory than it may take."""

    def stop(*_):
        raise Hang

    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (now + n_bytes, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        signal.signal(signal.SIGALRM, before)


def without_gaps(sample):
    """Return generated rows without their gaps, which are as frequent as a model's columns say."""
    return sample[~np.isnan(sample)] if isinstance(sample, np.ndarray) else sample


#: What is asked by name, of each model that has it.
QUESTIONS = {
    **{
        name: lambda model, rows, name=name: getattr(model, name)(rows)
        for name in (
            "transform", "reconstruct", "reconstruction_error", "score_samples", "score",
            "decision_function", "predict", "p_values", "cell_scores", "cell_surprise",
            "disagreement", "explain", "discover", "drift", "interval", "impute",
        )
    },
    "partial_fit": lambda model, rows: copy.deepcopy(model).partial_fit(rows).summary(),
    "rotate_latents": lambda model, rows: (
        copy.deepcopy(model).rotate_latents(rows).transform(rows)
    ),
    "stream": lambda model, rows: model.stream().score_rows(rows),
    "set_threshold": lambda model, rows: (
        copy.deepcopy(model).set_threshold(model.rule_, rows).predict(rows)
    ),
    "sample": lambda model, rows: model.sample(
        4, random_state=0, **({} if hasattr(model, "sample_batches") else {"support": "free"})
    ),
    "interpolate": lambda model, rows: model.interpolate(rows[:1], rows[1:2]),
    "inverse_transform": lambda model, rows: model.inverse_transform(model.transform(rows)),
    "cut": lambda model, rows: model.cut(1).transform(rows),
    "summary": lambda model, rows: model.summary(),
    "get_feature_names_out": lambda model, rows: model.get_feature_names_out(),
}  # fmt: skip
#: Further questions, of each model that has the method before the dot.
VARIANTS = {
    "reconstruction_error.cells": lambda model, rows: model.reconstruction_error(
        rows, per_feature=True
    ),
    "reconstruct.free": lambda model, rows: model.reconstruct(rows, support="free"),
    "impute.draws": lambda model, rows: model.impute(rows, 2, random_state=0),
    "sample.column": lambda model, rows: without_gaps(model.sample(4, random_state=0)),
    "prediction_sets.all": lambda model, rows: [
        sets.probabilities for sets in model.prediction_sets(rows).values()
    ],
    "fill_report_.text": lambda model, rows: f"{model.fill_report_}{model.fill_report_.to_dict()}",
    "threshold_.text": lambda model, rows: f"{model.threshold_}{model.rule_}",
    "history_.text": lambda model, rows: f"{model.history_}{model.history_.columns()}",
    "components_curve_.text": lambda model, rows: str(model.components_curve_),
}


def ask_everything(model, rows, folder):
    """Return what each question is answered with: numbers, or the LatentlyError that it raised."""
    answers = {}
    every = {name: ask for name, ask in QUESTIONS.items() if hasattr(model, name)}
    every |= {n: ask for n, ask in VARIANTS.items() if hasattr(model, n.split(".")[0])}
    every |= {
        "repr": lambda model, rows: repr(model),
        "save": lambda m, _: m.save(folder / "again"),
    }
    for name, ask in every.items():
        with bounded(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                answers[name] = ask(model, rows)
            except LatentlyError as error:
                answers[name] = error
            except Hang:
                raise AssertionError(f"{name} hangs") from None
            except BaseException as error:
                raise AssertionError(f"{name}: {type(error).__name__}: {error}") from error
    return answers


def numbers_in(answer):
    """Yield the arrays of real numbers that an answer holds."""
    if isinstance(answer, pa.Table):
        floats = (column for column in answer.columns if pa.types.is_floating(column.type))
        yield from (column.drop_null().to_numpy() for column in floats)
    elif isinstance(answer, np.ndarray | float):
        yield np.atleast_1d(answer) if np.asarray(answer).dtype.kind == "f" else np.zeros(0)
    else:
        items = vars(answer) if hasattr(answer, "__dict__") else answer
        items = items.values() if isinstance(items, dict) else items
        for item in items if isinstance(items, list | tuple | type({}.values())) else ():
            yield from numbers_in(item)


def is_finite(answer):
    """Return True where no number of an answer is infinite or NaN."""
    return all(bool(np.isfinite(numbers).all()) for numbers in numbers_in(answer))
