"""One door in, whatever is behind it: a file, many files of one table, or a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from latently.io._bytes import DEFAULT_MAX_BYTES, is_folder
from latently.io._csv import DEFAULT_MISSING
from latently.io._dataset import TableDataset
from latently.io._files import Data, read_file
from latently.io._find_tables import is_pattern, is_table_folder, is_uri
from latently.io._images import read_images

__all__ = ["holds_tables", "read"]


def read(
    source: str | Path,
    format: str | None = None,
    *,
    missing: Sequence[str] = DEFAULT_MISSING,
    delimiter: str | None = None,
    key: str | None = None,
    skip_bad: bool = False,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> Data:
    """Read a table, an array or a folder of images.

    Parameters
    ----------
    source : str or Path
        A file, a folder of images, ``"-"`` for standard input; or a folder or a pattern of tables
        with the same columns, whose rows are put together.
    format : str, optional
        One of csv, tsv, parquet, arrow, feather, npy, npz and images. By default the file name
        decides; a folder holds images, and standard input csv.
    missing : sequence of str, default=DEFAULT_MISSING
        Cells of a csv or tsv file that count as missing.
    delimiter : str, optional
        What stands between the cells of a csv file; by default found from its header.
    key : str, optional
        Which array of an npz file; needed when it holds several.
    skip_bad : bool, default=False
        Pass over images that cannot be read, with a warning; no effect on tables.
    max_bytes : int, default=1 GiB
        Larger data are refused before they fill the memory.

    Returns
    -------
    pyarrow.Table, ndarray or ImageFolder
        What the format holds.

    Raises
    ------
    DataError
        If the data cannot be used; the message names file and place.
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
    if holds_tables(source, format):
        return TableDataset(source, format).to_table(max_bytes)
    if format in (None, "images") and is_folder(source):
        return read_images(source, skip_bad=skip_bad, max_bytes=max_bytes)
    return read_file(
        source, format, missing=missing, delimiter=delimiter, key=key, skip_bad=skip_bad,
        max_bytes=max_bytes,
    )  # fmt: skip


def holds_tables(source: str | Path, format: str | None = None) -> bool:
    """Return True for a folder of tables, a pattern, and what lies on another file system.

    Parameters
    ----------
    source : str or Path
        What ``read`` is given.
    format : str, optional
        As in ``read``.

    Returns
    -------
    bool
        False for a single file and for images.
    """
    many = is_uri(source) or is_pattern(source) or is_table_folder(source)
    return format != "images" and many
