"""Read a file, many files of one table, or a folder of images by one function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latently.io._bytes import DEFAULT_MAX_BYTES, is_folder
from latently.io._files import Data, read_file
from latently.io.dataset._dataset import TableDataset
from latently.io.dataset._discovery import is_pattern, is_table_folder, is_uri
from latently.io.images._folder import read_images
from latently.io.text._options import TextOptions
from latently.schema import DateOrder, TableSpec

__all__ = ["holds_tables", "read", "read_with"]


def read(
    source: str | Path,
    format: str | None = None,
    *,
    missing: Sequence[str] | None = (),
    delimiter: str | None = None,
    dates: DateOrder | None = None,
    decimal: str | None = None,
    like: TableSpec | None = None,
    key: str | None = None,
    skip_bad: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Data:
    """Read a table, an array or a folder of images.

    Parameters
    ----------
    source : str or Path
        A file, a folder of images, or ``"-"`` for standard input. A folder or a pattern of tables
        with the same columns is read as one table.
    format : str, optional
        One of csv, tsv, parquet, arrow, feather, npy, npz and images. By default the file name
        decides, a folder holds images, and standard input is csv.
    missing : sequence of str or None, default=()
        Gap words in tables of every format and, as numbers, in arrays. In delimited text they add
        to ``DEFAULT_MISSING``. With None only empty cells are missing.
    delimiter : str, optional
        The character between the cells of a csv file, by default found from its first lines.
    dates : {"day-first", "month-first", "year-first"}, optional
        The order of ambiguous dates in delimited text.
    decimal : {".", ","}, optional
        The decimal sign of ambiguous numbers in delimited text.
    like : TableSpec, optional
        The table that a model was fitted on, ``model.preprocessor_.spec``. Its columns are read
        from delimited text in their types and notation, with the gap words of ``fit``.
    key : str, optional
        Name of the array in an npz file, required if the file holds several.
    skip_bad : bool, default=False
        If True, skip images that cannot be read, with a warning. It has no effect on tables.
    max_bytes : int, default=1 GiB
        Larger data are refused before they fill the memory.

    Returns
    -------
    pyarrow.Table, ndarray or ImageFolder
        A table, an array or images, by the format.

    Raises
    ------
    DataError
        If the data cannot be used. The message names the file and the place.
    ParameterError
        If ``format`` or ``delimiter`` is wrong.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "cities.csv"
    >>> _ = path.write_text("city,people\\nOslo,709037\\nBergen,NA\\n")
    >>> read(path).to_pydict()
    {'city': ['Oslo', 'Bergen'], 'people': [709037, None]}
    """
    options = TextOptions(missing, delimiter, dates, decimal, like)
    return read_with(options, source, format, key=key, skip_bad=skip_bad, max_bytes=max_bytes)


def read_with(
    options: TextOptions,
    source: str | Path,
    format: str | None = None,
    *,
    key: str | None = None,
    skip_bad: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Data:
    """Read data, with the options of text as one object.

    Parameters
    ----------
    options : TextOptions
        The options of ``read`` that apply to text, and the columns that are kept as text.
    source : str or Path
        As in ``read``.
    format : str, optional
        As in ``read``.
    key : str, optional
        As in ``read``.
    skip_bad : bool, default=False
        As in ``read``.
    max_bytes : int, default=1 GiB
        As in ``read``.

    Returns
    -------
    pyarrow.Table, ndarray or ImageFolder
        As in ``read``.
    """
    options = options.check()
    if holds_tables(source, format):
        return TableDataset(source, format, options).to_table(max_bytes)
    if format in (None, "images") and is_folder(source):
        options.refuse_for_images()
        return read_images(source, skip_bad=skip_bad, max_bytes=max_bytes)
    return read_file(source, format, options, key=key, skip_bad=skip_bad, max_bytes=max_bytes)


def holds_tables(source: str | Path, format: str | None = None) -> bool:
    """Return True for a folder of tables, a pattern, and a URI of another file system.

    Parameters
    ----------
    source : str or Path
        As in ``read``.
    format : str, optional
        As in ``read``.

    Returns
    -------
    bool
        False for a single file and for images.
    """
    many = is_uri(source) or is_pattern(source) or is_table_folder(source)
    return format != "images" and many
