"""Data on their way in: read, matched with the model's columns, ids set apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from latently._launch import launched_processes
from latently.cli._guard import echo

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from latently.io import ImageFolder, TableDataset, TextOptions
    from latently.schema import TableSpec

#: Rows of a large table that are drawn for what needs them in memory.
_SAMPLE_ROWS = 200_000


class Marks(NamedTuple):
    """Options for the cells of text files: words for gaps, decimal sign, order of dates."""

    missing: Sequence[str] | None = None
    decimal: str | None = None
    dates: str | None = None


class Source(NamedTuple):
    """Where data come from and how to read them."""

    path: str
    format: str | None = None
    key: str | None = None
    skip_bad: bool = False
    ids: Sequence[str] | None = None
    color: str | None = None
    own_sizes: bool = False
    images: bool = False
    marks: Marks = Marks()
    time: str | None = None

    def options(
        self,
        spec: TableSpec | None = None,
        *,
        text: Sequence[str] = (),
        typed: Sequence[str] = (),
    ) -> TextOptions:
        """Return how to read the data, like those of a model: ids stay the text that they are.

        ``text`` are further columns of which nothing but the text is needed, ``typed`` are
        columns whose values are needed, too.
        """
        from latently.io import TextOptions

        needed = {*(() if spec is None else spec.names or ()), *typed, self.color, self.time}
        ids = self.ids or ()
        return TextOptions(
            self.marks.missing or (),
            dates=self.marks.dates,  # type: ignore[arg-type]  # judged by the reader
            decimal=self.marks.decimal,
            like=spec,
            text=[name for name in (*ids, *text) if name not in needed],
            beside=[name for name in ids if name in needed],
        ).check()


def spec_of(model: Any) -> TableSpec | None:
    """Return the table that a model was fitted on, None where it had no names or were images."""
    from latently import tasks

    return tasks.spec_of(model)


class Rows(NamedTuple):
    """Rows for a model, and their ids, images and columns set apart.

    Attributes
    ----------
    values : pyarrow.Table, TableDataset, ndarray or list of ndarray
        Input of the model. Images of different sizes are a list.
    ids : pyarrow.Table or None
        Columns to put in front of every output: the id columns, or the names of the images.
    folder : ImageFolder or None
        The images as they were read, with the properties of their files.
    colors : pyarrow.ChunkedArray or None
        The column that colours a picture.
    times : pyarrow.ChunkedArray or None
        The column that shows the periods of a budget.
    beside : dict of str to ndarray
        Columns set apart, by the option that named them.
    """

    values: Any
    ids: pa.Table | None = None
    folder: ImageFolder | None = None
    colors: pa.ChunkedArray | None = None
    times: pa.ChunkedArray | None = None
    beside: Mapping[str, np.ndarray] = MappingProxyType({})

    @property
    def is_table(self) -> bool:
        """True if the columns have names."""
        return hasattr(self.values, "column_names")

    @property
    def is_images(self) -> bool:
        """True for a stack of images."""
        return not self.is_table and (isinstance(self.values, list) or self.values.ndim > 2)

    def take(self, places: Sequence[int]) -> Rows:
        """Return some of the rows, with their ids."""
        import numpy as np

        index = np.asarray(places, dtype=np.int64)  # no row is an index of whole numbers, too
        ids = None if self.ids is None else self.ids.take(index)
        if self.is_table:
            return self._replace(values=self.values.take(index), ids=ids)
        if isinstance(self.values, list):
            return self._replace(values=[self.values[place] for place in places], ids=ids)
        return self._replace(values=self.values[index], ids=ids)


def together(pieces: Sequence[Rows]) -> Rows:
    """Return some rows after the other as one."""
    import numpy as np
    import pyarrow as pa

    ids = None if pieces[0].ids is None else pa.concat_tables([rows.ids for rows in pieces])
    values = [rows.values for rows in pieces]
    return Rows(pa.concat_tables(values) if pieces[0].is_table else np.concatenate(values), ids)


def read_rows(
    source: Source, size: tuple[int, int] | None = None, options: TextOptions | None = None
) -> Rows:
    """Read data unchanged, or a sample of a table too large. Both parts have the id columns."""
    from latently.io import TableDataset
    from latently.io._read import holds_tables, read_with

    options = options or source.options()
    large = open_large(source, options)
    if large is not None:
        return _picked(_sampled(large, source), source)
    if is_image_folder(source):
        options.refuse_for_images()
        return _read_folder(source, size)
    if launched_processes() > 1 and holds_tables(source.path, source.format):
        from latently.estimators import read_together
        from latently.training import TorchrunEngine

        dataset = TableDataset(source.path, source.format, options)
        return _picked(read_together(dataset, TorchrunEngine()), source)
    data = read_with(options, source.path, source.format, key=source.key, skip_bad=source.skip_bad)
    return _picked(data, source)


def open_large(source: Source, options: TextOptions) -> TableDataset | None:
    """Return a table that is better not held in memory as a dataset, None for any other data."""
    from latently.io import TableDataset
    from latently.io._bytes import DEFAULT_MAX_BYTES
    from latently.io._read import holds_tables

    if source.path == "-" or is_image_folder(source):
        return None
    if not holds_tables(source.path, source.format) and _is_small_file(source):
        return None
    dataset = TableDataset(source.path, source.format, options)
    return dataset if dataset.nbytes > DEFAULT_MAX_BYTES else None


def _is_small_file(source: Source) -> bool:
    """Return True if a single file is no table, or a text file to read at once."""
    from pathlib import Path

    from latently.io._bytes import DEFAULT_MAX_BYTES
    from latently.io._formats import find_format

    found = find_format(source.path, source.format)
    if found.kind != "table":
        return True
    try:
        size = Path(source.path).stat().st_size
    except (OSError, ValueError):
        return True  # reading will say what is wrong
    return found.name in ("csv", "tsv") and size <= DEFAULT_MAX_BYTES


def is_image_folder(source: Source) -> bool:
    """Return True if the data are images in a folder."""
    from latently.io._bytes import is_folder
    from latently.io._read import holds_tables

    if source.format not in (None, "images") or not is_folder(source.path):
        return False
    return source.format == "images" or not holds_tables(source.path)


def _sampled(dataset: TableDataset, source: Source) -> pa.Table:
    """Draw as many rows of a large table as a method in memory can use."""
    n_rows = min(_SAMPLE_ROWS, dataset.n_rows)
    echo(
        f"warning: {source.path} is too large for memory; {n_rows:,} of its {dataset.n_rows:,} "
        "rows, drawn at random, are used."
    )
    return dataset.sample(n_rows, seed=0)


def _picked(data: Any, source: Source) -> Rows:
    rows = Rows(data)
    if not rows.is_table:
        _need_no_ids(source)
        return rows
    ids = pick_ids(rows.values, source)
    values = rows.values.select(shown_names(rows.values.column_names))
    colors = _pick(values, source.color) if source.color else None
    return rows._replace(values=values, ids=ids, colors=colors)


def shown_names(names: Sequence[str]) -> list[str]:
    """Return the names of columns, without those that hold the text of others."""
    from latently.io.text._options import is_text_name

    return [name for name in names if not is_text_name(name)]


def id_names(names: Sequence[str], source: Source) -> list[str]:
    """Return the columns that hold the ids, as text where there is one."""
    from latently.io import text_name

    wanted = dict.fromkeys(source.ids or ())
    return [text_name(name) if text_name(name) in names else name for name in wanted]


def pick_ids(table: Any, source: Source) -> Any:
    """Return the columns to carry along, None where there are none."""
    if not source.ids:
        return None
    select(table, source.ids, "--id")
    found = table.select(id_names(table.column_names, source))
    return found.rename_columns(list(dict.fromkeys(source.ids)))


def _pick(table: pa.Table, color: str) -> pa.ChunkedArray:
    return select(table, [color], "--color")[color]


def _read_folder(source: Source, size: tuple[int, int] | None) -> Rows:
    import pyarrow as pa

    from latently.io import read_images

    _need_no_ids(source)
    if source.own_sizes:
        found = read_images(source.path, own_sizes=True, skip_bad=source.skip_bad)
        return Rows(found.pixels, pa.table({"file": list(found.names)}), found)
    found = read_images(source.path, skip_bad=source.skip_bad)
    own_size = found.pixels.shape[1:3]
    if size is not None and own_size != size:
        words = [f"{height} x {width}" for height, width in (own_size, size)]
        echo(f"warning: images of {words[0]} pixels are resized to the model's {words[1]}.")
        found = read_images(source.path, size=size, skip_bad=source.skip_bad)
    return Rows(found.pixels, pa.table({"file": list(found.names)}), found)


def read_training_rows(
    source: Source,
    ignored: Sequence[str] | None,
    beside: Mapping[str, str | None] | None = None,
    *,
    streams: bool = False,
    like: TableSpec | None = None,
) -> Rows:
    """Read data without the columns left out of the model, some of which are set apart.

    ``beside`` is a column, or None, for each option that names one. A table too large for memory
    is a dataset where the caller ``streams``, else a sample of it. Columns are read as those of
    ``like``, if it is given.
    """
    from latently.exceptions import DataError

    ignored = ignored or ()
    apart = {option: name for option, name in (beside or {}).items() if name is not None}
    options = source.options(like, text=ignored, typed=list(apart.values()))
    large = open_large(source, options) if streams else None
    rows = read_rows(source, options=options) if large is None else Rows(large)
    if not rows.is_table:
        _need_no_columns("--ignore", ignored, source.path)
        for option, name in apart.items():
            _need_no_columns(option, [name], source.path)
        return rows
    select(rows.values, ignored, "--ignore")
    columns = {o: _column(rows.values, name, o) for o, name in apart.items()}
    rows = rows._replace(beside=columns)
    unseen = {*ignored, *(source.ids or ()), *apart.values()}
    kept = [name for name in shown_names(rows.values.column_names) if name not in unseen]
    if not kept:
        raise DataError(f"{source.path}: no column is left. Name fewer in --id and --ignore.")
    return rows._replace(values=rows.values.select(kept))


def array_kind(rows: Rows, source: Source) -> str:
    """Return the kind of model to fit to some rows: "images" for rows of a folder."""
    import numpy as np

    from latently.exceptions import DataError, ParameterError
    from latently.schema import why_no_images

    if source.images and not rows.is_images:
        raise ParameterError(
            f"--images needs an array of 3 or 4 axes, {source.path} has none. Leave it out."
        )
    if source.images or source.own_sizes or rows.folder is not None:
        return "images"
    array = rows.values
    wrong = rows.is_images and array.dtype.kind in "fiub" and not np.isinf(array).any()
    if wrong and (why := why_no_images(array)):
        raise DataError(
            f"{source.path}: an array of shape {array.shape} must hold unsigned integers, numbers "
            f"within [0, 1] or whole numbers from 0 to 255 to count as images, {why}. Add --images "
            "for images, or flatten windows to a table."
        )
    return "auto"


def _column(table: pa.Table | TableDataset, name: str, option: str) -> np.ndarray:
    """Return the column named by an option, with values encoded as numbers for a table on disk."""
    import numpy as np
    import pyarrow as pa

    column = select(table, [name], option)
    if isinstance(column, pa.Table):
        values: np.ndarray = column[name].to_numpy(zero_copy_only=False)
        return values
    chunks = [chunk for piece in column for chunk in piece[name].dictionary_encode().chunks]
    encoded = pa.chunked_array(chunks).unify_dictionaries()
    return np.concatenate([chunk.indices.fill_null(-1).to_numpy() for chunk in encoded.chunks])


def read_matched_rows(source: Source, model: Any) -> Rows:
    """Read data and pick the columns that the model was fitted on, by name."""
    from latently.estimators import tags_of

    autoencoder = autoencoder_of(model)
    options = source.options(spec_of(model))
    if tags_of(autoencoder).takes_any_size:
        return _matched(read_rows(source._replace(own_sizes=True), None, options), model, source)
    size = getattr(autoencoder.preprocessor_.spec, "shape", (0,))[1:] or None
    return _matched(read_rows(source, size, options), model, source)


def match_rows(table: pa.Table, model: Any, source: Source) -> Rows:
    """Pick the model's columns, and those to carry along, from a piece of a stream."""
    values = table.select(shown_names(table.column_names))
    return _matched(Rows(values, pick_ids(table, source)), model, source)


def _matched(rows: Rows, model: Any, source: Source) -> Rows:
    fitted = names_of_fit(model)
    if source.time is not None:
        _need_no_columns("--time", [] if rows.is_table else [source.time], source.path)
        rows = rows._replace(times=select(rows.values, [source.time], "--time")[source.time])
    if not rows.is_table:
        return rows._replace(values=_named(rows.values, fitted))
    if fitted is None:
        return rows._replace(values=_as_matrix(rows.values, source))
    return rows._replace(values=_match(rows.values, [str(name) for name in fitted], source))


def as_colors(column: Any) -> Any:
    """Return amounts as numbers, moments as years, and all else as words."""
    import numpy as np
    import pyarrow as pa

    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.to_numpy()
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        days = column.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()).to_numpy()
        return 1970 + days / (365.2425 * 86_400e6)
    return np.array(["missing" if v is None else str(v) for v in column.to_pylist()])


def autoencoder_of(model: Any) -> Any:
    """Return the autoencoder inside a task, or the autoencoder itself."""
    return getattr(model, "autoencoder_", model)


def names_of_fit(model: Any) -> tuple[str, ...] | None:
    """Return the names of the columns of ``fit``, None where it saw an array or images."""
    names: tuple[str, ...] | None
    names = getattr(autoencoder_of(model).preprocessor_.spec, "names", None)
    return names


def select(table: pa.Table, names: Sequence[str], option: str) -> pa.Table:
    """Return some columns, and raise an error for unknown names."""
    from latently.exceptions import ParameterError

    unknown = [name for name in names if name not in table.column_names]
    if unknown:
        known = ", ".join(table.column_names[:8])
        raise ParameterError(
            f"{option} names columns that the data do not have: {', '.join(unknown[:5])}. "
            f"There are {known}."
        )
    return table.select(list(dict.fromkeys(names)))


def _match(table: pa.Table, fitted: list[str], source: Source) -> pa.Table:
    from latently.exceptions import DataError

    missing = [name for name in fitted if name not in table.column_names]
    if missing:
        raise DataError(
            f"{source.path}: {len(missing)} of the model's {len(fitted)} columns are missing: "
            f"{', '.join(missing[:5])}. Give a table with the columns of fit."
        )
    expected = {*fitted, *(source.ids or ()), source.color, source.time}
    extra = [name for name in table.column_names if name not in expected]
    if extra:
        echo(
            f"warning: columns that the model does not know are ignored: {', '.join(extra[:5])}"
            + (f" and {len(extra) - 5} more." if len(extra) > 5 else ".")
        )
    return table.select(fitted)


def _named(array: Any, fitted: Any) -> Any:
    """Give an array the column names of the model, where it has some."""
    if (
        fitted is None
        or isinstance(array, list)
        or array.ndim != 2
        or array.shape[1] != len(fitted)
    ):
        return array
    import pyarrow as pa

    return pa.table({str(name): array[:, place] for place, name in enumerate(fitted)})


def _as_matrix(table: pa.Table, source: Source) -> NDArray[np.float64]:
    """Return the columns that are no ids as numbers, for a model of arrays."""
    beside = {*(source.ids or ()), source.time}
    columns = [name for name in table.column_names if name not in beside]
    return as_matrix(table.select(columns), source.path)


def as_matrix(table: pa.Table, path: str) -> NDArray[np.float64]:
    """Return a table of numbers as a matrix, NaN where a cell is missing."""
    import numpy as np
    import pyarrow as pa

    from latently.exceptions import DataError

    columns = []
    for name in table.column_names:
        try:
            numbers = table[name].cast(pa.float64())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise DataError(
                f"{path}: column {name!r} holds {table[name].type}, numbers are needed. "
                "Carry it along with --id, or drop it."
            ) from None
        columns.append(numbers.to_numpy(zero_copy_only=False))
    return np.column_stack(columns)


def _need_no_ids(source: Source) -> None:
    _need_no_columns("--id", source.ids or (), source.path)
    _need_no_columns("--color", [source.color] if source.color else (), source.path)


def _need_no_columns(option: str, names: Sequence[str], path: str) -> None:
    from latently.exceptions import ParameterError

    if names:
        raise ParameterError(f"{option} needs a table with column names, {path} has none. Drop it.")
