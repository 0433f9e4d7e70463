"""Score a table of many files to one output file each, in this process or in workers of Ray."""

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
from latently.io import TableDataset
from latently.io._atomic import atomic_path, check_output
from latently.io._messages import show
from latently.io._prefetch import prefetched
from latently.io._progress import watched
from latently.io.dataset._pieces import write_pieces
from latently.persistence._predictor import BatchPredictor
from latently.training import RayEngine, error_of_workers

#: Settings of the job, and mark of its end. Readers of Parquet folders skip names like these.
_MANIFEST, _DONE = "_latently.json", "_SUCCESS"


class FileReport(NamedTuple):
    """Counts of the output of one file.

    Attributes
    ----------
    num_rows : int
        Number of rows.
    n_anomalies : int
        Number of rows flagged as anomalies.
    """

    num_rows: int
    n_anomalies: int


@dataclass(frozen=True)
class BatchReport:
    """Counts of the output of a job.

    Attributes
    ----------
    n_files, n_rows, n_anomalies : int
        Number of files, rows and flagged rows in total.
    n_before : int
        Number of files that an earlier run has written.
    """

    n_files: int
    n_rows: int
    n_anomalies: int
    n_before: int


@dataclass(frozen=True)
class BatchJob:
    """A job that scores every row of a table of many files, with one output file per file.

    Output files are placed in the same sub-folders as the files of the table. Each of them is
    complete or absent, so that an interrupted job can be resumed with the remaining files.

    Parameters
    ----------
    predictor : BatchPredictor
        Function that computes the output of a batch.
    dataset : TableDataset
        The rows.
    folder : str or Path
        Folder of the output files, which are Parquet.
    resume : bool, default=False
        If True, continue an earlier run of the same job. If False, a folder that is not empty is
        refused.

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
        """Score every row and write the output files.

        Parameters
        ----------
        engine : RayEngine or None, default=None
            Engine whose workers process one file at a time each. None uses this process.
        verbose : bool, default=False
            If True, show a progress bar on stderr.

        Returns
        -------
        BatchReport
            Numbers of files, rows and anomalies.

        Raises
        ------
        OutputExistsError
            If the folder is not empty, and ``resume`` is False.
        ParameterError
            If the folder holds the output of another job.
        WorkerError
            If workers of Ray are lost.
        """
        files = self._files()
        self._prepare_folder()
        left = [file for file in files if not file.target.exists()]
        before = [_reported(file.target) for file in files if file.target.exists()]
        n_left = sum(file.rows.n_rows for file in left)
        answers = (
            self._answers_locally(left) if engine is None else self._answers_by_ray(left, engine)
        )
        try:
            found = [*before, *watched(answers, self.predictor.method, n_left, verbose)]
        except BaseException:
            self._remove_empty_folder()
            raise
        (Path(self.folder) / _DONE).touch()
        n_rows, n_anomalies = (sum(column) for column in zip(*found, strict=True))
        return BatchReport(len(files), n_rows, n_anomalies, len(before))

    def _files(self) -> list[_File]:
        """Return the files of the job."""
        sources = self.dataset.paths
        names = _relative(sources, str(self.dataset.source))
        targets = [Path(self.folder) / Path(name).with_suffix(".parquet") for name in names]
        if max(Counter(targets).values()) > 1:
            targets = [Path(self.folder) / f"{name}.parquet" for name in names]
        pairs = zip(self.dataset.by_file(), targets, strict=True)
        return [_File(rows, target) for rows, target in pairs]

    def _prepare_folder(self) -> None:
        """Create the folder, or check that it belongs to this job."""
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
                f"{show(folder)}: the folder holds output of another model, method or table. "
                "Name another one."
            )
        with atomic_path(folder / _MANIFEST, overwrite=True) as temporary:
            temporary.write_text(json.dumps(own, indent=2))

    def _remove_empty_folder(self) -> None:
        """Remove the folder of a job that failed before its first output file."""
        folder = Path(self.folder)
        if not any(path.is_file() and path.name != _MANIFEST for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)

    def _manifest(self) -> dict[str, Any]:
        asked = self.predictor
        settings: dict[str, Any] = {
            "method": asked.method,
            "ids": list(asked.ids),
            "cut": asked.cut,
            "per_feature": asked.per_feature,
        }
        checksum = hashlib.sha256(Path(asked.path).read_bytes()).hexdigest()
        text_options = self.dataset.text_options
        if text_options:
            settings["text_options"] = {
                n: v if isinstance(v, str) else list(v) for n, v in text_options.items()
            }
        source = {"n_rows": self.dataset.n_rows, "n_files": len(self.dataset.paths)}
        return {"model_sha256": checksum, **settings, **source}

    def _answers_locally(self, files: Sequence[_File]) -> Iterator[FileReport]:
        for file in files:
            yield _answered(self.predictor, file)

    def _answers_by_ray(self, files: Sequence[_File], engine: RayEngine) -> Iterator[FileReport]:
        """Score the files in workers of Ray, and yield the report of each as it arrives."""
        if not files:
            return
        engine.start()
        from ray import data as ray_data

        ray_data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        n_workers = min(engine.n_workers, len(files))
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
    """One file of the table, and the path of its output."""

    rows: TableDataset
    target: Path


class _FileAnswerer:
    """A Ray actor that holds the model."""

    def __init__(self, predictor: BatchPredictor) -> None:
        self._predictor = predictor

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = [_answered(self._predictor, _File(*file)) for file in batch["file"]]
        columns = zip(*found, strict=True)
        return dict(zip(("n_rows", "n_anomalies"), map(np.array, columns), strict=True))


def _answered(predictor: BatchPredictor, file: _File) -> FileReport:
    """Score the rows of one file in pieces, and write the output."""
    n_anomalies = 0

    def answers() -> Iterator[pa.Table]:
        nonlocal n_anomalies
        with prefetched(file.rows) as pieces:
            for piece in pieces:
                answer = predictor(piece)
                n_anomalies += _count_flagged(answer)
                yield answer

    file.target.parent.mkdir(parents=True, exist_ok=True)
    # Ray may give one file to two workers, if it considers the first as lost.
    n_rows = write_pieces(
        answers(), file.target, "parquet", overwrite=True, n_rows=file.rows.n_rows
    )
    return FileReport(n_rows, n_anomalies)


def _reported(target: Path) -> FileReport:
    """Return the counts of an existing output file."""
    with pq.ParquetFile(target) as file:
        flags = [name for name in file.schema_arrow.names if name == "is_anomaly"]
        return FileReport(file.metadata.num_rows, _count_flagged(file.read(flags)))


def _count_flagged(answer: pa.Table) -> int:
    if "is_anomaly" not in answer.column_names:
        return 0
    return int(pc.sum(answer["is_anomaly"]).as_py() or 0)


def _relative(paths: Sequence[str], source: str) -> list[str]:
    """Return paths relative to the source folder, or else to their common folder."""
    root = source if os.path.isdir(source) else None  # noqa: PTH112  # names may be too long
    if root is None:
        root = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    return [os.path.relpath(path, root) if root else path for path in paths]
