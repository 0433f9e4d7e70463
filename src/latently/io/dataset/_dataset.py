"""Tables in one file or many, read in pieces at each iteration."""

from __future__ import annotations

import copy
import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset
from numpy.typing import ArrayLike

from latently.exceptions import ParameterError
from latently.io._bytes import DEFAULT_MAX_BYTES, too_large
from latently.io._messages import listing, refuse
from latently.io.dataset._discovery import TableFiles, files_of, find_files
from latently.io.dataset._table_files import TableFile
from latently.io.tables._arrow import cell_bytes
from latently.io.text._gap_words import mark_table
from latently.io.text._options import TextOptions, text_name

__all__ = ["Piece", "RowPicker", "TableDataset", "as_dataset"]

#: Largest number of parts that are interleaved by ``shuffled``, and their bytes in total.
_OPEN, _OPEN_BYTES = 4, 1 << 26


class Piece(NamedTuple):
    """Consecutive rows, with the position of the first one in the whole table.

    Parameters
    ----------
    start : int
        Position of the first row.
    table : pyarrow.Table
        The rows.
    """

    start: int
    table: pa.Table

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.table.num_rows)


class _Part(NamedTuple):
    """A row group, record batch or slice of one file: the smallest unit of reading."""

    file: int
    place: int
    start: int


class TableDataset:
    """A table in files that is read in pieces each time it is iterated over.

    Parquet files and Arrow files of random access stay on disk, so that a table may be larger
    than memory. So does delimited text above 1 GiB, which is converted to a temporary Parquet
    file. Other files are read into memory. ``fit`` accepts a dataset and trains on all of its
    rows. ``transform``, ``reconstruct`` and ``score_samples`` process it in pieces.

    Parameters
    ----------
    source : str, Path, list of str or pyarrow.dataset.Dataset
        One of the following:

        - a file or a list of files,
        - a folder with its sub-folders, of which those named ``key=value`` give a column,
        - a pattern such as ``"data/2026-*.parquet"``,
        - the URI of Parquet or Arrow files on a file system that pyarrow supports, such as
          ``"s3://bucket/rows"``,
        - a dataset of pyarrow.
    format : str, optional
        As in ``read``. By default the file names decide.
    options : TextOptions, optional
        Options of delimited text. The gap words apply to files of every format.

    Attributes
    ----------
    schema : pyarrow.Schema
        Names and types of the columns.
    n_rows : int
        Number of rows in all files.
    paths : tuple of str
        The files, in the order of their rows.

    Raises
    ------
    DataError
        If there is no file, a file cannot be used, or its columns differ from those of the first.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from latently.io import TableDataset, write
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for part in (1, 2):
    ...     write(pa.table({"x": [float(part)] * 3}), folder / f"{part}.parquet")
    >>> dataset = TableDataset(folder)
    >>> dataset.n_rows, [table.num_rows for table in dataset]
    (6, [3, 3])
    """

    def __init__(
        self,
        source: str | Path | Sequence[str | Path] | pa_dataset.Dataset,
        format: str | None = None,
        options: TextOptions | None = None,
    ) -> None:
        self._options = (options or TextOptions()).check()
        found = _found(source, format, self._options)
        self.source = found.name
        self._files, self._keys = found.files, found.keys
        self.schema = _noted(_common_schema(self._files, self._keys), self._options)
        self._parts = _parts(self._files)
        self.n_rows = sum(sum(file.sizes) for file in self._files)
        if self.n_rows == 0:
            raise refuse(self.source, "the table has no rows", "Give a file with data")

    @property
    def paths(self) -> tuple[str, ...]:
        """The files, in the order of their rows."""
        return tuple(file.path for file in self._files)

    @property
    def text_options(self) -> dict[str, Any]:
        """The given options ``missing``, ``dates`` and ``decimal``, without defaults."""
        given = {name: getattr(self._options, name) for name in ("missing", "dates", "decimal")}
        return {name: value for name, value in given.items() if value}

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self.n_rows, len(self.schema)

    @property
    def nbytes(self) -> int:
        """Size of the whole table in memory in bytes, estimated from the types."""
        return self.n_rows * sum(cell_bytes(field.type) for field in self.schema)

    @property
    def _largest_part(self) -> int:
        """Size of the largest part in memory in bytes."""
        largest = max(size for file in self._files for size in file.sizes)
        return max(1, largest * self.nbytes // self.n_rows)

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        return (
            f"TableDataset({str(self.source)!r}): {self.n_rows:,} rows, "
            f"{len(self.schema):,} columns in {len(self._files):,} files"
        )

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the rows in order, at most ``2 ** 15`` at once."""
        yield from (table for _, table in self.pieces())

    def select(self, columns: Sequence[str]) -> TableDataset:
        """Return the dataset with some of its columns. Only these are read.

        Parameters
        ----------
        columns : sequence of str
            Names, in the order wanted.

        Returns
        -------
        TableDataset
            A dataset over the same files.

        Raises
        ------
        ParameterError
            If there is no such column.
        """
        unknown = [name for name in columns if name not in self.schema.names]
        if unknown:
            raise ParameterError(
                f"The dataset has no column {listing(unknown)}. "
                f"It has {listing(self.schema.names)}."
            )
        chosen = copy.copy(self)
        chosen.schema = pa.schema([self.schema.field(name) for name in columns])
        return chosen

    def pieces(self, rank: int = 0, n_workers: int = 1) -> Iterator[Piece]:
        """Yield the rows of a worker in pieces, in order.

        Parameters
        ----------
        rank : int, default=0
            Rank of the worker.
        n_workers : int, default=1
            Number of workers that share the table. A single worker reads all of it.

        Yields
        ------
        Piece
            Rows, with the position of the first one in the table.
        """
        own = [self._parts[number] for number in self.shares(n_workers)[rank]]
        # Consecutive parts are read together, so that their file is opened once.
        runs = groupby(enumerate(own), lambda pair: (pair[1].file, pair[1].place - pair[0]))
        for (number, _), run in runs:
            parts = [part for _, part in run]
            start = parts[0].start
            for table in self._read(number, [part.place for part in parts]):
                yield Piece(start, table)
                start += table.num_rows

    def shares(self, n_workers: int) -> list[list[int]]:
        """Return a partition of the file parts into workers with about equally many rows.

        Parameters
        ----------
        n_workers : int
            Number of workers that share the table.

        Returns
        -------
        list of list of int
            The parts of each worker, in order. Some are empty if there are fewer parts than
            workers.
        """
        found: list[list[int]] = [[] for _ in range(n_workers)]
        loads = [(0, rank) for rank in range(n_workers)]
        for number in sorted(range(len(self._parts)), key=lambda number: -self._size(number)):
            load, rank = heapq.heappop(loads)
            found[rank].append(number)
            heapq.heappush(loads, (load + self._size(number), rank))
        return [sorted(own) for own in found]

    def places(self, n_workers: int) -> list[list[range]]:
        """Return the positions of each worker's rows in the table.

        Parameters
        ----------
        n_workers : int
            Number of workers that share the table.

        Returns
        -------
        list of list of range
            One range of row positions for each part of a worker.
        """
        return [
            [range(self._parts[n].start, self._parts[n].start + self._size(n)) for n in own]
            for own in self.shares(n_workers)
        ]

    def _size(self, number: int) -> int:
        """Return the number of rows of a part."""
        part = self._parts[number]
        return self._files[part.file].sizes[part.place]

    def by_file(self) -> list[TableDataset]:
        """Return one dataset for each file, with the common columns.

        Returns
        -------
        list of TableDataset
            One per file, in the order of their rows.
        """
        found = []
        for file, keys in zip(self._files, self._keys, strict=True):
            one = copy.copy(self)
            one.source, one.n_rows = file.path, sum(file.sizes)
            one._files, one._keys, one._parts = (file,), (keys,), _parts([file])
            found.append(one)
        return found

    def shuffled(self, seed: int, rank: int = 0, n_workers: int = 1) -> Iterator[Piece]:
        """Yield the rows of a worker in pieces, with the parts of the files in random order.

        Parameters
        ----------
        seed : int
            Seed of the order. Rows within a piece keep their order.
        rank : int, default=0
            Rank of the worker.
        n_workers : int, default=1
            Number of workers that share the table. A single worker reads all of it.

        Yields
        ------
        Piece
            Rows, with the position of the first one in the table.
        """
        own = self.shares(n_workers)[rank]
        order = (own[place] for place in np.random.default_rng(seed).permutation(len(own)))
        n_open = min(_OPEN, max(1, _OPEN_BYTES // self._largest_part))
        open_parts: deque[Iterator[Piece]] = deque()
        for part in order:
            open_parts.append(self._read_part(part))
            while len(open_parts) >= n_open:
                yield from _next_piece(open_parts)
        while open_parts:
            yield from _next_piece(open_parts)

    def sample(self, n_rows: int, seed: int) -> pa.Table:
        """Return a random sample of the rows, in order.

        Parameters
        ----------
        n_rows : int
            Number of rows to draw. If the table has no more, all are returned.
        seed : int
            Seed of the draw.

        Returns
        -------
        pyarrow.Table
            The rows in memory.
        """
        places = np.arange(self.n_rows)
        if n_rows < self.n_rows:
            places = np.random.default_rng(seed).choice(self.n_rows, n_rows, replace=False)
        return self.take(places)

    def take(self, places: ArrayLike) -> pa.Table:
        """Return the rows at given positions, in the order of the table.

        Parameters
        ----------
        places : array-like of shape (n,)
            Positions of rows.

        Returns
        -------
        pyarrow.Table
            The rows in memory.
        """
        picker = RowPicker(np.sort(np.asarray(places)))
        for piece in self.pieces():
            picker.add(piece)
        return picker.table()

    def to_table(self, max_bytes: int = DEFAULT_MAX_BYTES) -> pa.Table:
        """Return all rows in memory.

        Parameters
        ----------
        max_bytes : int, default=1 GiB
            Larger tables are refused.

        Returns
        -------
        pyarrow.Table
            The whole table.
        """
        if self.nbytes > max_bytes:
            raise too_large(self.source, self.nbytes, max_bytes)
        return pa.concat_tables(list(self)).unify_dictionaries()

    def _read_part(self, number: int) -> Iterator[Piece]:
        part = self._parts[number]
        start = part.start
        for table in self._read(part.file, [part.place]):
            yield Piece(start, table)
            start += table.num_rows

    def _read(self, number: int, parts: Sequence[int]) -> Iterator[pa.Table]:
        """Yield parts of a file in the columns and types of the whole table."""
        file, keys = self._files[number], self._keys[number]
        wanted = {*self.schema.names}
        own = [n for n in file.schema.names if (n in wanted or text_name(n) in wanted)]
        for table in file.read(parts, [name for name in own if name not in keys]):
            for name in keys:
                table = table.append_column(name, pa.repeat(keys[name], table.num_rows))
            try:
                marked = mark_table(table, self._options)
                yield marked.select(self.schema.names).cast(self.schema)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                wrong = f"its values do not fit the columns of {self.paths[0]} ({error:.60})"
                raise refuse(file.path, wrong, "Write all files alike") from None


class RowPicker:
    """Collector of the rows at given positions from the pieces of a table.

    Parameters
    ----------
    places : ndarray of shape (n_rows,)
        Sorted positions in the whole table.
    """

    def __init__(self, places: np.ndarray) -> None:
        self.places = places
        self.seen: list[np.ndarray] = []
        self._picked: list[pa.Table] = []

    def add(self, piece: Piece) -> None:
        """Collect the wanted rows of a piece.

        Parameters
        ----------
        piece : Piece
            Rows that were not added before.
        """
        start, table = piece
        first, last = np.searchsorted(self.places, (start, start + table.num_rows))
        if first < last or not self._picked:
            self.seen.append(self.places[first:last])
            self._picked.append(table.take(pa.array(self.places[first:last] - start)))

    def table(self) -> pa.Table:
        """Return the rows collected so far.

        Returns
        -------
        pyarrow.Table
            The rows in the order of the pieces. ``seen`` holds their positions.
        """
        return pa.concat_tables(self._picked).unify_dictionaries()


def as_dataset(X: Any) -> TableDataset | None:
    """Return rows on disk as a dataset, and None for any other object.

    Parameters
    ----------
    X : object
        Argument of a public method.

    Returns
    -------
    TableDataset or None
        A dataset if ``X`` is one of latently or of pyarrow.
    """
    if isinstance(X, pa_dataset.Dataset):
        return TableDataset(X)
    return X if isinstance(X, TableDataset) else None


def _found(source: Any, format: str | None, options: TextOptions) -> TableFiles:
    if isinstance(source, pa_dataset.Dataset):
        options.refuse_for("a dataset of pyarrow")
        return files_of(source)
    return find_files(source, format, options)


def _noted(schema: pa.Schema, options: TextOptions) -> pa.Schema:
    """Return a schema whose fields hold the gap words, which a model stores."""
    return mark_table(schema.empty_table(), options).schema if options.has_words else schema


def _parts(files: Sequence[TableFile]) -> list[_Part]:
    pairs = [(n, place) for n, file in enumerate(files) for place in range(len(file.sizes))]
    starts = accumulate((files[n].sizes[place] for n, place in pairs), initial=0)
    return [_Part(n, place, start) for (n, place), start in zip(pairs, starts, strict=False)]


def _next_piece(open_parts: deque[Iterator[Piece]]) -> Iterator[Piece]:
    """Yield the next piece of the first open part and move the part to the end, or drop it."""
    part = open_parts.popleft()
    piece = next(part, None)
    if piece is not None:
        open_parts.append(part)
        yield piece


def _common_schema(files: Sequence[TableFile], keys: Sequence[dict[str, Any]]) -> pa.Schema:
    """Return the common schema, and raise DataError for a file with other columns."""
    schema = files[0].schema.remove_metadata()
    for file in files[1:]:
        schema = _joined(schema, file, files[0].path)
    for name in keys[0]:
        values = pa.array([own.get(name) for own in keys])
        schema = schema.append(pa.field(name, values.type))
    return schema


def _joined(schema: pa.Schema, file: TableFile, first: str) -> pa.Schema:
    missing = [name for name in schema.names if name not in file.schema.names]
    extra = [name for name in file.schema.names if name not in schema.names]
    if missing or extra:
        parts = [f"{word} {listing(names)}" for word, names in
                (("it lacks", missing), ("it also has", extra)) if names]  # fmt: skip
        wrong = f"its columns are not those of {Path(first).name}: {', '.join(parts)}"
        raise refuse(file.path, wrong, "Write all files alike")
    fields = [_joined_field(field, file, first) for field in schema]
    return pa.schema(fields)


def _joined_field(field: pa.Field, file: TableFile, first: str) -> pa.Field:
    kind, other = field.type, file.schema.field(field.name).type
    if kind == other or pa.types.is_null(other):
        return field
    if pa.types.is_null(kind):
        return field.with_type(other)
    if _plain(kind) == _plain(other):
        return field.with_type(_plain(kind))
    try:
        # The finer of two units of time, and floats for integers if a file has gaps.
        pair = (pa.schema([pa.field(field.name, one)]) for one in (_plain(kind), _plain(other)))
        return pa.unify_schemas(list(pair), promote_options="permissive").field(0)
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        wrong = f"column {field.name!r:.40} holds {other}, in {Path(first).name} it holds {kind}"
        raise refuse(file.path, wrong, "Write all files alike") from None


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values of a dictionary, and one type for all texts."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return pa.large_string() if kind in (pa.string(), pa.string_view()) else kind
