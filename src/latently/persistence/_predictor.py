"""A model file as a function of a record batch, for distributed engines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa

from latently._notices import silenced
from latently.exceptions import DataError, ParameterError
from latently.io import text_name
from latently.nn import CustomNetwork
from latently.persistence._load import load
from latently.tasks import autoencoder_of, codes, contributions, score_rows

Method = Literal["score", "transform", "impute"]


@dataclass
class BatchPredictor:
    """A function from a record batch to a table of outputs, computed by a model file.

    Dask, Ray and Spark call functions with batches of a table in worker processes. This object is
    serialized without the model, which each process reads from the file at the first call.

    Parameters
    ----------
    path : str or Path
        The model file, at a path that all processes can read.
    method : {"score", "transform", "impute"}, default="score"
        "score" returns ``anomaly_score`` (higher = more unusual), and for a detector ``p_value``
        and ``is_anomaly``. "transform" returns one column per component of the code. "impute"
        returns the table without missing cells, and needs the file of an imputer.
    ids : sequence of str, default=()
        Columns that are copied to the output, before its own columns.
    cut : float or None, default=None
        Score from which on rows are anomalies. None uses the threshold of the detector.
    per_feature : bool, default=False
        If True, "score" adds the contribution of each column, as ``error_NAME``.
    network : CustomNetwork or None, default=None
        The modules of a model with a custom network, as ``load`` takes them.
    classes : sequence of classes and functions, default=()
        Your own parts of the model, as ``load`` takes them. They travel with the predictor:
        plain pickle needs a module that each process can import.

    Raises
    ------
    ParameterError
        If there is no such method.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pyarrow as pa
    >>> from latently import AnomalyDetector
    >>> from latently.datasets import make_transactions
    >>> table = make_transactions(200, random_state=0).data
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "detector.safetensors"
    >>> AnomalyDetector(random_state=0).fit(table).save(path)
    >>> BatchPredictor(path)(table.slice(0, 3)).column_names
    ['anomaly_score', 'p_value', 'is_anomaly']
    """

    path: str | Path
    method: Method = "score"
    ids: Sequence[str] = ()
    cut: float | None = None
    per_feature: bool = False
    network: CustomNetwork | None = None
    classes: Sequence[type | Callable[..., Any]] = ()
    _model: Any = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise ParameterError(
                f'method must be "score", "transform" or "impute", got {self.method!r}.'
            )

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the model, which is read again when it is needed."""
        return {**self.__dict__, "_model": None}

    @property
    def model(self) -> Any:
        """The fitted model.

        Raises
        ------
        ModelFileError
            If the file is refused.
        ParameterError
            If the method needs another kind of model.
        """
        if self._model is None:
            model = load(self.path, network=self.network, classes=self.classes)
            if self.method == "impute" and not hasattr(model, "impute"):
                raise ParameterError(
                    f'method="impute" needs an imputer\'s file, {self.path} holds '
                    f"{type(model).__name__}. Write one by latently impute DATA --save MODEL."
                )
            self._model = model
        return self._model

    def __call__(self, batch: pa.RecordBatch | pa.Table) -> pa.Table:
        """Return the output for some rows.

        Parameters
        ----------
        batch : pyarrow.RecordBatch or pyarrow.Table
            Rows with the columns of ``fit``, and any others.

        Returns
        -------
        pyarrow.Table
            One row per input row, in the same order.

        Raises
        ------
        DataError
            If columns are missing, or cannot be used.
        """
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        if table.num_rows:
            return self._answer(table)
        # Models need a row: a row of missing cells gives the columns of the output.
        nothing = [pa.nulls(1, field.type) for field in table.schema]
        with silenced():
            return self._answer(pa.table(nothing, schema=table.schema)).slice(0, 0)

    def _answer(self, table: pa.Table) -> pa.Table:
        carried = self._carried(table)
        answer = _METHODS[self.method](self, self._rows(table))
        twice = [name for name in carried.column_names if name in answer.column_names]
        if twice:
            raise ParameterError(
                f"ids must not name columns of the output, got {twice[0]!r}. Remove it from ids."
            )
        names = [*carried.column_names, *answer.column_names]
        return pa.table([*carried.columns, *answer.columns], names)

    def _carried(self, table: pa.Table) -> pa.Table:
        """Return the columns of ``ids``, as the text of the file if the table holds it."""
        _selected(table, self.ids, "The batch lacks columns named in ids")
        texts = [text_name(name) for name in self.ids]
        pairs = zip(texts, self.ids, strict=True)
        found = [text if text in table.column_names else name for text, name in pairs]
        return table.select(found).rename_columns(list(self.ids))

    def _rows(self, table: pa.Table) -> Any:
        fitted = getattr(autoencoder_of(self.model).preprocessor_.spec, "names", None)
        if fitted is not None:
            return _selected(table, list(fitted), "The batch lacks columns of the model")
        unseen = {*self.ids, *map(text_name, self.ids)}
        kept = table.select([name for name in table.column_names if name not in unseen])
        return np.column_stack([column.cast(pa.float64()).to_numpy() for column in kept.columns])

    def _score(self, rows: Any) -> pa.Table:
        threshold = getattr(self.model, "threshold_", None)
        cut = threshold.cut if self.cut is None and threshold is not None else self.cut
        found = score_rows(self.model, rows, cut).columns()
        return pa.table(found | (contributions(self.model, rows) if self.per_feature else {}))

    def _codes(self, rows: Any) -> pa.Table:
        return pa.table(codes(self.model, rows))

    def _filled(self, rows: Any) -> pa.Table:
        return self.model.transform(rows)


_METHODS: dict[str, Callable[[BatchPredictor, Any], pa.Table]] = {
    "score": BatchPredictor._score,
    "transform": BatchPredictor._codes,
    "impute": BatchPredictor._filled,
}


def _selected(table: pa.Table, names: Sequence[str], wrong: str) -> pa.Table:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise DataError(f"{wrong}: {', '.join(missing[:5])}. It has {table.column_names[:5]}.")
    return table.select(list(names))
