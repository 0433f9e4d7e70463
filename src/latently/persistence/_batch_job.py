"""Answers about a table of many files: a file for each, here or in the workers of Ray."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from latently.exceptions import OutputExistsError, ParameterError
from latently.io import (
    TableDataset,
    atomic_path,
    check_output,
    prefetched,
    show,
    watched,
    write_pieces,
)
from latently.persistence._predictor import BatchPredictor
from latently.training import RayEngine, error_of_workers

#: What the folder's answers are of; readers of Parquet folders pass over names like these.
_MANIFEST, _DONE = "_latently.json", "_SUCCESS"


class FileReport(NamedTuple):
    """What was answered about one file.

    Attributes
    ----------
    num_rows : int
        Rows.
    n_anomalies : int
        Rows flagged.
    """

    num_rows: int
    n_anomalies: int


@dataclass(frozen=True)
class BatchReport:
    """What was answered.

    Attributes
    ----------
    n_files, n_rows, n_anomalies : int
        In all.
    n_before : int
        Files that were there from a run before.
    """

    n_files: int
    n_rows: int
    n_anomalies: int
    n_before: int


@dataclass(frozen=True)
class BatchJob:
    """Answers about every row of a table of many files, one file of answers for each.

    Files of answers lie as those of the table do, each of them whole or not there. A job that was
    ended goes on with the files that are left.

    Parameters
    ----------
    predictor : BatchPredictor
        What to answer.
    dataset : TableDataset
        The rows.
    folder : str or Path
        Where the answers go, as Parquet.
    resume : bool, default=False
        Whether to go on where an earlier run of the same job ended; False refuses a folder that is
        not empty.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from latently import AnomalyDetector, TableDataset
    >>> from latently.datasets import make_transactions
    >>> from latently.io import write
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> (folder / "rows").mkdir()
    >>> for month in (1, 2):
    ...     table = make_transactions(200, random_state=month).data
    ...     write(table, folder / "rows" / f"{month}.parquet")
    >>> model = folder / "detector.safetensors"
    >>> AnomalyDetector(random_state=0).fit(table).save(model)
    >>> job = BatchJob(BatchPredictor(model), TableDataset(folder / "rows"), folder / "scores")
    >>> report = job.run()
    >>> report.n_rows, sorted(path.name for path in (folder / "scores").glob("*.parquet"))
    (400, ['1.parquet', '2.parquet'])
    """

    predictor: BatchPredictor
    dataset: TableDataset
    folder: str | Path
    resume: bool = False

    def run(self, engine: RayEngine | None = None, verbose: bool = False) -> BatchReport:
        """Answer about every row.

        Parameters
        ----------
        engine : RayEngine or None, default=None
            Whose workers answer, each about one file at a time; None answers here.
        verbose : bool, default=False
            True shows a bar on stderr.

        Returns
        -------
        BatchReport
            How many rows, and anomalies, there were.

        Raises
        ------
        OutputExistsError
            If the folder holds something, and the job is not to be resumed.
        ParameterError
            If it holds the answers of another job.
        WorkerError
            If workers of Ray are lost.
        """
        files = self._files()
        self._claim()
        left = [file for file in files if not file.target.exists()]
        before = [_reported(file.target) for file in files if file.target.exists()]
        n_left = sum(file.rows.n_rows for file in left)
        answers = self._here(left) if engine is None else self._there(left, engine)
        try:
            found = [*before, *watched(answers, self.predictor.method, n_left, verbose)]
        except BaseException:
            self._leave_no_empty_folder()
            raise
        (Path(self.folder) / _DONE).touch()
        n_rows, n_anomalies = (sum(column) for column in zip(*found, strict=True))
        return BatchReport(len(files), n_rows, n_anomalies, len(before))

    def _files(self) -> list[_File]:
        """Return the parts of the job."""
        sources = self.dataset.paths
        names = _relative(sources, str(self.dataset.source))
        targets = [Path(self.folder) / Path(name).with_suffix(".parquet") for name in names]
        if max(Counter(targets).values()) > 1:
            targets = [Path(self.folder) / f"{name}.parquet" for name in names]
        pairs = zip(self.dataset.by_file(), targets, strict=True)
        return [_File(rows, target) for rows, target in pairs]

    def _claim(self) -> None:
        """Make the folder, or hold what is in it against this job."""
        folder, own = Path(self.folder), self._manifest()
        is_there = folder.is_dir() and any(folder.iterdir())
        if not is_there:
            check_output(folder, folder=True)
            folder.mkdir(exist_ok=True)
        elif not self.resume or not (folder / _MANIFEST).is_file():
            raise OutputExistsError(
                f"{show(folder)}: the folder exists. Name another one, or resume the job that "
                "wrote it."
            )
        elif json.loads((folder / _MANIFEST).read_text()) != own:
            raise ParameterError(
                f"{show(folder)}: the folder holds answers of another model, method or table. "
                "Name another one."
            )
        with atomic_path(folder / _MANIFEST, overwrite=True) as temporary:
            temporary.write_text(json.dumps(own, indent=2))

    def _leave_no_empty_folder(self) -> None:
        """Remove the folder of a job that failed before its first answer."""
        folder = Path(self.folder)
        if not any(path.is_file() and path.name != _MANIFEST for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)

    def _manifest(self) -> dict[str, Any]:
        asked = self.predictor
        told: dict[str, Any] = {
            "method": asked.method,
            "ids": list(asked.ids),
            "cut": asked.cut,
            "per_feature": asked.per_feature,
        }
        digest = hashlib.sha256(Path(asked.path).read_bytes()).hexdigest()
        said = self.dataset.text_options
        if said:
            told["text_options"] = {
                n: v if isinstance(v, str) else list(v) for n, v in said.items()
            }
        source = {"n_rows": self.dataset.n_rows, "n_files": len(self.dataset.paths)}
        return {"model_sha256": digest, **told, **source}

    def _here(self, files: Sequence[_File]) -> Iterator[FileReport]:
        for file in files:
            yield _answered(self.predictor, file)

    def _there(self, files: Sequence[_File], engine: RayEngine) -> Iterator[FileReport]:
        """Let the workers of Ray answer; what they have done is told as it comes."""
        if not files:
            return
        engine.start()
        from ray import data as ray_data

        ray_data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        n_workers = min(engine.num_workers, len(files))
        items = [{"file": file} for file in files]
        done = ray_data.from_items(items, override_num_blocks=len(files)).map_batches(
            _FileAnswerer,
            fn_constructor_args=(self.predictor,),
            compute=ray_data.ActorPoolStrategy(size=n_workers),
            batch_size=1,
        )
        try:
            for row in done.iter_rows():
                yield FileReport(int(row["n_rows"]), int(row["n_anomalies"]))
        except Exception as error:
            raise error_of_workers(error) from None


class _File(NamedTuple):
    """One file of the table, and where its answers go."""

    rows: TableDataset
    target: Path


class _FileAnswerer:
    """An actor that holds the model."""

    def __init__(self, predictor: BatchPredictor) -> None:
        self._predictor = predictor

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = [_answered(self._predictor, _File(*file)) for file in batch["file"]]
        columns = zip(*found, strict=True)
        return dict(zip(("n_rows", "n_anomalies"), map(np.array, columns), strict=True))


def _answered(predictor: BatchPredictor, file: _File) -> FileReport:
    """Answer about the rows of one file, piece by piece."""
    n_anomalies = 0

    def answers() -> Iterator[pa.Table]:
        nonlocal n_anomalies
        with prefetched(file.rows) as pieces:
            for piece in pieces:
                answer = predictor(piece)
                n_anomalies += _count_flagged(answer)
                yield answer

    file.target.parent.mkdir(parents=True, exist_ok=True)
    # Two workers may be given one file where the first was thought to be lost.
    n_rows = write_pieces(
        answers(), file.target, "parquet", overwrite=True, n_rows=file.rows.n_rows
    )
    return FileReport(n_rows, n_anomalies)


def _reported(target: Path) -> FileReport:
    """Return what was answered before."""
    with pq.ParquetFile(target) as file:
        flags = [name for name in file.schema_arrow.names if name == "is_anomaly"]
        return FileReport(file.metadata.num_rows, _count_flagged(file.read(flags)))


def _count_flagged(answer: pa.Table) -> int:
    if "is_anomaly" not in answer.column_names:
        return 0
    return int(pc.sum(answer["is_anomaly"]).as_py() or 0)


def _relative(paths: Sequence[str], source: str) -> list[str]:
    """Return where files lie below the folder that they have in common."""
    root = source if os.path.isdir(source) else None  # noqa: PTH112  # names may be too long
    if root is None:
        root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return [os.path.relpath(path, root) if root else path for path in paths]
