"""Checkpoints: a training that was killed goes on as if nothing had happened."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch import Tensor

from latently._codec import MISFITS, Arrays, from_plain, to_plain
from latently._launch import launched_rank
from latently._notices import warn
from latently.exceptions import (
    DataError,
    LatentlyError,
    ModelFileError,
    OutputExistsError,
    ParameterError,
    ResourceError,
    TrainingWarning,
)
from latently.io._messages import show
from latently.io._model_file import read_model, write_model
from latently.io._resources import check_disk
from latently.training._data import TrainingData
from latently.training._stream import TrainingRows

#: What a checkpoint is filed under; a model file has no such entry.
_MARK = "~checkpoint"
#: Two files a training, of which the older one is written over: one is whole at any time.
_GENERATIONS = ("a", "b")
_LOCK = "lock"
#: Share of the time that writing may take.
_SHARE = 0.02

#: What a training has come to, as plain values, arrays and tensors.
State = dict[str, Any]


class TrainingIdentity(NamedTuple):
    """What a training is of: a checkpoint serves no other.

    Attributes
    ----------
    model : str
        Class of the model, with the shapes of its weights.
    parameters : dict of str to str
        Of the model, but for such as change nothing of what is learnt in a step.
    rows : str
        How many, and how wide.
    content : str
        Digest of the rows.
    """

    model: str
    parameters: dict[str, str]
    rows: str
    content: str

    def difference(self, then: Mapping[str, Any]) -> LatentlyError | None:
        """Return an error that says what is not as it was; None where all is."""
        before = then["parameters"]
        for name in sorted({*self.parameters, *before}):
            old, new = before.get(name), self.parameters.get(name)
            if old != new:
                return ParameterError(f"{name} was {_short(old)}, now it is {_short(new)}")
        if self.rows != then["rows"]:
            return DataError(f"it has seen {then['rows']}, now there are {self.rows}")
        if self.model != then["model"]:
            return DataError("the model or its columns are others")
        same = self.content == then["content"]
        return None if same else DataError("the values of the rows are others")


def _short(value: str | None) -> str:
    text = "not there" if value is None else value
    return text if len(text) <= 40 else f"{text[:37]}..."


def digest(*sides: TrainingRows | None) -> str:
    """Return a digest of training rows; of rows on disk, of those sampled from them."""
    found = hashlib.sha256()
    for side in sides:
        if side is None:
            continue
        sample = side.sample
        for tensor in _tensors(sample):
            found.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().numpy().data)
    return found.hexdigest()


def _tensors(rows: TrainingData) -> Iterator[Tensor]:
    sides = [rows.inputs] if rows.target is None else [rows.inputs, rows.target]
    for tensor in (*(part for cells in sides for part in cells), rows.weight):
        if tensor is not None and tensor.numel():
            yield tensor.detach().cpu().reshape(-1)


class TrainingCheckpoint:
    """Two files of one training.

    Parameters
    ----------
    stem : Path
        Folder and first part of the file names.
    about : TrainingIdentity
        What the training is of.
    interval : float
        Seconds between two savings, more where writing takes long.
    """

    def __init__(self, stem: Path, about: TrainingIdentity, interval: float) -> None:
        self.paths = [stem.with_name(f"{stem.name}-{name}.safetensors") for name in _GENERATIONS]
        self.about, self.interval = about, interval
        self.generation = 0
        self.is_finished = False
        self._due_at = time.monotonic() + interval

    @property
    def is_due(self) -> bool:
        """True where it is time to save."""
        return time.monotonic() >= self._due_at

    def load(self) -> State | None:
        """Return the newest state that can be read; None before the first.

        Raises
        ------
        ModelFileError
            If there are files and all are damaged; they stay as they are.
        DataError, ParameterError
            If they are of another training.
        """
        self._due_at = time.monotonic() + self.interval
        found, damaged = [], []
        for path in self.paths:
            if path.exists():
                try:
                    found.append((path, *_read(path)))
                except ModelFileError as error:
                    damaged.append(error)
        if damaged and not found:
            raise damaged[0]
        if not found:
            return None
        path, state, header = max(found, key=lambda item: item[2]["generation"])
        if damaged:
            _warn(f"{damaged[0]} The checkpoint before it is used.")
        self._check(path, header)
        self.generation = header["generation"]
        return state

    def unfit(self) -> ModelFileError:
        """Return the error for a state that this training cannot take up."""
        return ModelFileError(
            f"{show(self.paths[0].parent)}: the checkpoint does not fit this training. Delete it, "
            "or name another folder.",
            "config",
        )

    def save(self, state: State) -> None:
        """Write the state over the older file, or warn and keep both as they are."""
        began = time.monotonic()
        header = {
            "generation": self.generation + 1,
            "about": self.about._asdict(),
            "machine": _machine(),
        }
        try:
            self._write({"header": header, "state": state})
        except (DataError, ModelFileError, OSError, ResourceError) as error:
            _warn(f"{error} No checkpoint was written; training goes on from the last one.")
        else:
            self.generation += 1
        now = time.monotonic()
        self._due_at = now + max(self.interval, (now - began) / _SHARE)

    def _write(self, content: dict[str, Any]) -> None:
        arrays: Arrays = {}
        plain = to_plain(_without_tensors(content), arrays)
        target = self.paths[(self.generation + 1) % len(self.paths)]
        check_disk(target.parent, sum(array.nbytes for array in arrays.values()), "a checkpoint")
        write_model(target, {_MARK: plain}, arrays)

    def _check(self, path: Path, header: Mapping[str, Any]) -> None:
        """Refuse what belongs to another training; warn of another machine."""
        difference = self.about.difference(header["about"])
        if difference is not None:
            raise type(difference)(
                f"{show(path.parent)}: this checkpoint is of another fit: {difference}. Fit as "
                "then, or name another folder."
            )
        then, now = header["machine"], _machine()
        if then != now:
            changed = ", ".join(f"{key} {then.get(key)} -> {now[key]}" for key in now
                                if then.get(key) != now[key])  # fmt: skip
            _warn(f"The checkpoint was written elsewhere ({changed}): not to the bit the same.")


class CheckpointFolder:
    """The trainings of one fit, numbered as they come.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    interval : float
        Seconds between two savings of a training.
    """

    def __init__(self, folder: Path, interval: float) -> None:
        self.folder, self.interval, self.n_begun = folder, interval, 0
        self._last: TrainingCheckpoint | None = None
        self._lock = FileLock(folder / _LOCK)
        if launched_rank() == 0:
            self._acquire_lock()

    def _acquire_lock(self) -> None:
        if self._lock.is_locked:
            return
        folder = self.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            (folder / _LOCK).write_text(str(os.getpid()))
        except Timeout:
            raise DataError(
                f"{show(folder)}: process {self._holder()} trains in this checkpoint folder. "
                "Wait for it, or name another folder."
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DataError(
                f"{show(folder)}: checkpoints cannot be written here ({reason.lower()[:60]}). "
                "Name a folder that may be written."
            ) from None

    def next(self, about: TrainingIdentity, *, writes: bool = True) -> TrainingCheckpoint | None:
        """Return the place of the training that begins now.

        None after one that was ended before its time: what is built on it is not to be gone on
        from. Of several workers only the first ``writes``, and keeps other processes out.

        Raises
        ------
        DataError
            If the folder cannot be written, or another process trains in it.
        """
        if writes:
            self._acquire_lock()
        if self._last is not None and not self._last.is_finished:
            return None
        stem = self.folder / f"training-{self.n_begun}"
        self.n_begun += 1
        self._last = TrainingCheckpoint(stem, about, self.interval)
        return self._last

    def close(self) -> None:
        """Let others in."""
        self._lock.release()

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / _LOCK).read_text()[:20] or "another"
        return "another"


_CURRENT: ContextVar[CheckpointFolder | None] = ContextVar("checkpoints", default=None)


@contextmanager
def checkpointing(folder: str | Path | None, *, interval: float = 30.0) -> Iterator[None]:
    """Save every training within to a folder, or go on from what was saved there.

    Whatever is fitted within, be it an autoencoder or a task around one, ends with the same
    weights to the bit, however often it was killed between: do the same again, on the same rows
    with the same parameters, and it goes on. What was finished is not trained again. ``max_epochs``
    may be changed in between, as may whatever says only where and how long to train.

    Models that are trained at once (``fit_seeds``) and single passes (``partial_fit``) are not
    saved. Within another such block this one does nothing.

    Parameters
    ----------
    folder : str or Path or None
        Of this fit alone; made where it is missing. None saves nothing.
    interval : float, default=30.0
        Seconds between two savings. Writing takes at most 2 % of the time: where it takes long, it
        is done less often.

    Raises
    ------
    DataError
        If the folder cannot be written, another process trains in it, or what lies there is of
        other rows.
    ParameterError
        If what lies there was trained with other parameters.
    ModelFileError
        If what lies there is damaged; one of two files may be.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import load_iris
    >>> from latently import AnomalyDetector, Autoencoder, checkpointing
    >>> detector = AnomalyDetector(autoencoder=Autoencoder(2, max_epochs=5, random_state=0))
    >>> with tempfile.TemporaryDirectory() as folder, checkpointing(folder):
    ...     detector = detector.fit(load_iris().data)
    """
    if folder is None or _CURRENT.get() is not None:
        yield
        return
    if not isinstance(folder, str | Path):
        raise ParameterError(
            f"checkpoint must be the name of a folder or None, got {folder!r:.60}."
        )
    was_there = Path(folder).exists()
    opened = CheckpointFolder(Path(folder), interval)
    token = _CURRENT.set(opened)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        opened.close()
        # A fit that was refused leaves no folder.
        if not (was_there or launched_rank() or holds_checkpoint(folder)):
            remove_checkpoint(folder)


def current_folder() -> CheckpointFolder | None:
    """Return where trainings are saved; None where they are not."""
    return _CURRENT.get()


def holds_checkpoint(folder: str | Path) -> bool:
    """Return True where a training was saved.

    Parameters
    ----------
    folder : str or Path
        Given to ``checkpointing``.

    Returns
    -------
    bool
        Whether there is anything to go on from.
    """
    return any(Path(folder).glob("training-*.safetensors"))


def remove_checkpoint(folder: str | Path) -> None:
    """Delete what ``checkpointing`` wrote, and the folder where nothing else is in it.

    Parameters
    ----------
    folder : str or Path
        Given to ``checkpointing``.
    """
    with contextlib.suppress(OSError):
        for path in [*Path(folder).glob("training-*.safetensors"), Path(folder) / _LOCK]:
            path.unlink(missing_ok=True)
        Path(folder).rmdir()


def _without_tensors(value: Any) -> Any:
    """Return nested values with arrays for tensors."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    if isinstance(value, dict):
        return {name: _without_tensors(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_tensors(item) for item in value]
    return value


def _read(path: Path) -> tuple[State, Mapping[str, Any]]:
    config, arrays = read_model(path)
    if set(config) != {_MARK}:
        raise ModelFileError(f"{show(path)} holds a model, not a checkpoint of a fit.", "class")
    try:
        content = from_plain(config[_MARK], arrays, {})
        return dict(content["state"]), dict(content["header"])
    except MISFITS:
        raise ModelFileError(f"{show(path)} holds no state of a training.", "config") from None


def _machine() -> dict[str, str]:
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {capability}",
        "threads": str(torch.get_num_threads()),
        "numpy": np.__version__,
    }


def _warn(description: str) -> None:
    warn(description, TrainingWarning)


def refuse_existing(folder: str | Path) -> None:
    """Raise OutputExistsError if a folder holds a checkpoint that nobody asked to go on from."""
    if holds_checkpoint(folder):
        raise OutputExistsError(
            f"{show(folder)}: a fit was saved here. Resume it, or name another folder."
        )
