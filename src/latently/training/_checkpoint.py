"""Checkpoints, from which an interrupted training resumes with the same result."""

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

#: Entry that distinguishes a checkpoint from a model file.
_MARK = "~checkpoint"
#: Suffixes of the two files of a training. The older one is overwritten, so one is always complete.
_GENERATIONS = ("a", "b")
_LOCK = "lock"
#: Largest fraction of the time that is spent on writing.
_SHARE = 0.02

#: State of a training as plain values, arrays and tensors.
State = dict[str, Any]


class TrainingIdentity(NamedTuple):
    """The identity of a training. A checkpoint is used for an equal identity only.

    Attributes
    ----------
    model : str
        Class of the model, with the shapes of its weights.
    parameters : dict of str to str
        Parameters of the model that change the result of a step.
    rows : str
        Number and width of the rows.
    content : str
        Hash of the rows.
    """

    model: str
    parameters: dict[str, str]
    rows: str
    content: str

    def difference(self, then: Mapping[str, Any]) -> LatentlyError | None:
        """Return an error that names the first difference from an earlier identity, or None."""
        before = then["parameters"]
        for name in sorted({*self.parameters, *before}):
            old, new = before.get(name), self.parameters.get(name)
            if old != new:
                return ParameterError(f"{name} was {_short(old)}, now it is {_short(new)}")
        if self.rows != then["rows"]:
            return DataError(f"it was trained on {then['rows']}, now there are {self.rows}")
        if self.model != then["model"]:
            return DataError("the model or its columns are different")
        same = self.content == then["content"]
        return None if same else DataError("the values of the rows are different")


def _short(value: str | None) -> str:
    text = "not there" if value is None else value
    return text if len(text) <= 40 else f"{text[:37]}..."


def digest(*sides: TrainingRows | None) -> str:
    """Return a hash of training rows; for rows on disk, of a sample of them."""
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
    """The two checkpoint files of one training.

    Parameters
    ----------
    stem : Path
        Folder and common beginning of the file names.
    about : TrainingIdentity
        Identity of the training.
    interval : float
        Seconds between two checkpoints, or more if writing is slow.
    """

    def __init__(self, stem: Path, about: TrainingIdentity, interval: float) -> None:
        self.paths = [stem.with_name(f"{stem.name}-{name}.safetensors") for name in _GENERATIONS]
        self.about, self.interval = about, interval
        self.generation = 0
        self.is_finished = False
        self._due_at = time.monotonic() + interval

    @property
    def is_due(self) -> bool:
        """True if the next checkpoint is due."""
        return time.monotonic() >= self._due_at

    def load(self) -> State | None:
        """Return the newest readable state, or None if there are no files.

        Raises
        ------
        ModelFileError
            If all existing files are damaged. They are not changed.
        DataError, ParameterError
            If the files belong to another training.
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
            _warn(f"{damaged[0]} The previous checkpoint is used instead.")
        self._check(path, header)
        self.generation = header["generation"]
        return state

    def unfit(self) -> ModelFileError:
        """Return the error for a state that does not fit this training."""
        return ModelFileError(
            f"{show(self.paths[0].parent)}: the checkpoint does not fit this training. Delete it, "
            "or use another folder.",
            "config",
        )

    def save(self, state: State) -> None:
        """Overwrite the older file with the state, or warn and keep both files."""
        began = time.monotonic()
        header = {
            "generation": self.generation + 1,
            "about": self.about._asdict(),
            "machine": _machine(),
        }
        try:
            self._write({"header": header, "state": state})
        except (DataError, ModelFileError, OSError, ResourceError) as error:
            _warn(
                f"{error} No checkpoint was written. Training continues, and a restart resumes "
                "from the last one."
            )
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
        """Raise an error for another training, and warn about another machine."""
        difference = self.about.difference(header["about"])
        if difference is not None:
            raise type(difference)(
                f"{show(path.parent)}: this checkpoint is of another fit: {difference}. Fit with "
                "the same data and parameters, or use another folder."
            )
        then, now = header["machine"], _machine()
        if then != now:
            changed = ", ".join(f"{key} {then.get(key)} -> {now[key]}" for key in now
                                if then.get(key) != now[key])  # fmt: skip
            _warn(
                f"The checkpoint was written on another system ({changed}). The result will not be "
                "the same to the bit."
            )


class CheckpointFolder:
    """The checkpoints of all trainings of one fit, numbered in their order.

    Parameters
    ----------
    folder : Path
        Folder, which is created if it does not exist.
    interval : float
        Seconds between two checkpoints of a training.
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
                "Wait for it, or use another folder."
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise DataError(
                f"{show(folder)}: checkpoints cannot be written here ({reason.lower()[:60]}). "
                "Use a folder with write permission."
            ) from None

    def next(self, about: TrainingIdentity, *, writes: bool = True) -> TrainingCheckpoint | None:
        """Return the checkpoint of the next training.

        Parameters
        ----------
        about : TrainingIdentity
            Identity of the training.
        writes : bool, default=True
            If True, lock the folder. Only the first of several workers writes.

        Returns
        -------
        TrainingCheckpoint or None
            None if the previous training ended early, because later trainings depend on it.

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
        """Release the lock of the folder."""
        self._lock.release()

    def _holder(self) -> str:
        with contextlib.suppress(OSError):
            return (self.folder / _LOCK).read_text()[:20] or "another"
        return "another"


_CURRENT: ContextVar[CheckpointFolder | None] = ContextVar("checkpoints", default=None)


@contextmanager
def checkpointing(folder: str | Path | None, *, interval: float = 30.0) -> Iterator[None]:
    """Save every training in this context to a folder, or resume it from there.

    This works for autoencoders and for tasks. If a fit was interrupted, run the same code again on
    the same rows with the same parameters. It resumes from the last checkpoint, and ends with the
    same weights to the bit as an uninterrupted fit. Finished trainings are not repeated. The
    engine, the verbosity, ``max_epochs``, and limits of time and memory may be changed in between.

    ``fit_seeds``, which trains models at once, and ``partial_fit`` do not save checkpoints. A
    context within another one has no effect.

    Parameters
    ----------
    folder : str or Path or None
        Folder for this fit only, created if it does not exist. None saves nothing.
    interval : float, default=30.0
        Seconds between two checkpoints. The interval is longer if writing would take more than 2 %
        of the time.

    Raises
    ------
    DataError
        If the folder cannot be written, another process trains in it, or its checkpoint belongs to
        other rows.
    ParameterError
        If its checkpoint belongs to other parameters.
    ModelFileError
        If both files of a checkpoint are damaged.

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
            f"checkpoint must be the name of a folder or None, got {folder!r:.60}. Use a string or "
            "a pathlib.Path."
        )
    was_there = Path(folder).exists()
    opened = CheckpointFolder(Path(folder), interval)
    token = _CURRENT.set(opened)
    try:
        yield
    finally:
        _CURRENT.reset(token)
        opened.close()
        # A fit that failed before its first checkpoint leaves no new folder.
        if not (was_there or launched_rank() or holds_checkpoint(folder)):
            remove_checkpoint(folder)


def current_folder() -> CheckpointFolder | None:
    """Return the folder in which trainings are saved, or None."""
    return _CURRENT.get()


def holds_checkpoint(folder: str | Path) -> bool:
    """Return True if a folder contains checkpoints.

    Parameters
    ----------
    folder : str or Path
        Folder given to ``checkpointing``.

    Returns
    -------
    bool
        True if a fit can resume from the folder.
    """
    return any(Path(folder).glob("training-*.safetensors"))


def remove_checkpoint(folder: str | Path) -> None:
    """Delete the files of ``checkpointing``, and the folder if it is empty then.

    Parameters
    ----------
    folder : str or Path
        Folder given to ``checkpointing``.
    """
    with contextlib.suppress(OSError):
        for path in [*Path(folder).glob("training-*.safetensors"), Path(folder) / _LOCK]:
            path.unlink(missing_ok=True)
        Path(folder).rmdir()


def _without_tensors(value: Any) -> Any:
    """Return nested values with tensors converted to arrays."""
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
        raise ModelFileError(f"{show(path)} contains a model, not a checkpoint of a fit.", "class")
    try:
        content = from_plain(config[_MARK], arrays, {})
        return dict(content["state"]), dict(content["header"])
    except MISFITS:
        raise ModelFileError(
            f"{show(path)} does not contain the state of a training.", "config"
        ) from None


def _machine() -> dict[str, str]:
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "torch": torch.__version__,
        "processor": f"{platform.machine()} {capability}",
        "threads": str(torch.get_num_threads()),
        "numpy": np.__version__,
    }


def _warn(message: str) -> None:
    warn(message, TrainingWarning)


def refuse_existing(folder: str | Path) -> None:
    """Raise OutputExistsError if a folder contains a checkpoint, from which no fit shall resume."""
    if holds_checkpoint(folder):
        raise OutputExistsError(
            f"{show(folder)}: the folder contains the checkpoint of a fit. Resume it, or use "
            "another folder."
        )
