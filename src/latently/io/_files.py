"""Read and write single files of every format."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from latently.exceptions import ParameterError
from latently.io._atomic import check_output, write_bytes
from latently.io._bytes import DEFAULT_MAX_BYTES
from latently.io._formats import find_format
from latently.io._messages import listing, refuse
from latently.io.images._folder import ImageFolder, read_images
from latently.io.images._writing import write_images
from latently.io.tables._arrow import fill_arrow, fill_parquet, read_arrow, read_parquet
from latently.io.tables._numpy import fill_npy, fill_npz, read_npy, read_npz
from latently.io.text._csv import ReadTable, read_csv, read_table
from latently.io.text._decoding import load_text
from latently.io.text._gap_words import mark_array, mark_table
from latently.io.text._options import TextOptions
from latently.io.text._writing import fill_csv

__all__ = ["Data", "read_file", "read_text", "text_options", "write"]

Data: TypeAlias = "pa.Table | NDArray[Any] | ImageFolder"

_TABLE_FILLERS: dict[str, Callable[[Any, BinaryIO], None]] = {
    "csv": fill_csv,
    "tsv": partial(fill_csv, delimiter="\t"),
    "parquet": fill_parquet,
    "arrow": fill_arrow,
    "feather": fill_arrow,
}
_ARRAY_FILLERS: dict[str, Callable[[Any, BinaryIO], None]] = {"npy": fill_npy, "npz": fill_npz}


def read_file(
    source: str | Path,
    format: str | None = None,
    options: TextOptions | None = None,
    *,
    key: str | None = None,
    skip_bad: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Data:
    """Read one file, or standard input. Parameters are as in ``read``."""
    options, name = options or TextOptions(), find_format(source, format).name
    if name in _TEXTS:
        return read_csv(source, **vars(text_options(name, options)), max_bytes=max_bytes)
    options.refuse_for(f"{name} data")
    readers: dict[str, Callable[[], Data]] = {
        "parquet": lambda: read_parquet(source, max_bytes=max_bytes),
        "arrow": lambda: read_arrow(source, max_bytes=max_bytes),
        "feather": lambda: read_arrow(source, max_bytes=max_bytes),
        "npy": lambda: read_npy(source, max_bytes=max_bytes),
        "npz": lambda: read_npz(source, key=key, max_bytes=max_bytes),
        "images": lambda: read_images(source, skip_bad=skip_bad, max_bytes=max_bytes),
    }
    return _marked(readers[name](), options)


def read_text(source: str | Path, options: TextOptions, max_bytes: int) -> ReadTable:
    """Read a delimited file, and keep the errors of columns with ambiguous notation."""
    return read_table(source, load_text(source, max_bytes), options)


def text_options(name: str, options: TextOptions) -> TextOptions:
    """Return the options of a text format, with the tab as default delimiter of tsv files."""
    return replace(options, delimiter=options.delimiter or _DELIMITERS[name])


_DELIMITERS = {"csv": None, "tsv": "\t"}
_TEXTS = frozenset(_DELIMITERS)


def _marked(data: Data, options: TextOptions) -> Data:
    """Return typed data in which gap words are missing cells, with the texts asked for."""
    if isinstance(data, ImageFolder):
        options.refuse_for_images()
        return data
    if isinstance(data, np.ndarray):
        return mark_array(data, options.missing or ())
    return mark_table(data, options)


def write(
    data: Data, target: str | Path, format: str | None = None, *, overwrite: bool = False
) -> None:
    """Write a table, an array or a stack of images. It is written completely or not at all.

    Parameters
    ----------
    data : pyarrow.Table, ndarray or ImageFolder
        The data. A table of numbers can be written as npy or npz, with NaN for missing cells. An
        array of one or two dimensions can be written as a table, with columns ``x0``, ``x1`` and
        so on. The images of an ImageFolder are written in the formats of their files.
    target : str or Path
        The file, the folder for images, or ``"-"`` for standard output.
    format : str, optional
        As in ``read``.
    overwrite : bool, default=False
        If True, replace an existing file.

    Raises
    ------
    OutputExistsError
        If the target exists and ``overwrite`` is False.
    DataError
        If the data do not fit the format, or the system refuses to write.
    ParameterError
        If ``format`` is wrong.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "codes.csv"
    >>> write(np.eye(2), path)
    >>> path.read_text().split()
    ['"x0","x1"', '1,0', '0,1']
    """
    if isinstance(data, ImageFolder):
        write_images(data.pixels, target, overwrite=overwrite, like=data)
        return
    name = find_format(target, format).name
    if name == "images":
        write_images(_as_array(data, target), target, overwrite=overwrite)
        return
    check_output(target, overwrite)
    if name in _ARRAY_FILLERS:
        fill = partial(_ARRAY_FILLERS[name], _as_array(data, target))
    else:
        fill = partial(_TABLE_FILLERS[name], _as_table(data, target))
    write_bytes(target, fill, overwrite)


def _shown(target: str | Path) -> str | Path:
    return "standard output" if str(target) == "-" else target


def _as_array(data: Data, target: str | Path) -> NDArray[Any]:
    if isinstance(data, np.ndarray):
        return data
    table = _known(data)
    other = [field.name for field in table.schema if not _is_numeric(field.type)]
    if other:
        wrong = f"these columns are not numbers: {listing(other)}"
        raise refuse(_shown(target), wrong, "Write a CSV or Parquet file, or drop them")
    columns = [_as_floats(column) for column in table.columns]
    return np.column_stack(columns) if columns else np.empty((table.num_rows, 0))


def _as_floats(column: Any) -> NDArray[np.float64]:
    numbers = pc.cast(column, pa.uint8()) if pa.types.is_boolean(column.type) else column
    floats = pc.cast(numbers, pa.float64(), safe=False)
    return np.asarray(pc.fill_null(floats, np.nan))


def _as_table(data: Data, target: str | Path) -> pa.Table:
    if not isinstance(data, np.ndarray):
        return _known(data)
    if data.ndim not in (1, 2) or data.dtype.kind not in "biuf":
        wrong = f"an array of {data.ndim} dimensions of {data.dtype} is no table"
        raise refuse(_shown(target), wrong, "Write an npy file, or reshape it to rows and columns")
    columns = np.atleast_2d(data.T)
    return pa.table({f"x{place}": pa.array(column) for place, column in enumerate(columns)})


def _known(data: object) -> Any:
    if isinstance(data, pa.Table):
        return data
    raise ParameterError(
        f"data must be a pyarrow Table, an array or an ImageFolder, got {type(data).__name__}. "
        "Convert it first."
    )


def _is_numeric(kind: Any) -> bool:
    tests = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return any(test(kind) for test in tests)
