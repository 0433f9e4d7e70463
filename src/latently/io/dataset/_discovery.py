"""Find and open the files of a table: one file, a folder, a pattern, a list or a URI."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pyarrow.fs as pa_fs

from latently.exceptions import DataError
from latently.io._bytes import DEFAULT_MAX_BYTES, check_regular, is_folder
from latently.io._files import read_file, read_text, text_options
from latently.io._formats import FORMATS, IMAGE_SUFFIXES, find_format, suffix_of
from latently.io._messages import listing, refuse, show
from latently.io.dataset._agreement import Agreement
from latently.io.dataset._staging import staged_csv
from latently.io.dataset._table_files import ArrowFile, MemoryTable, ParquetFile, TableFile
from latently.io.text._options import TextOptions

__all__ = ["TableFiles", "files_of", "find_files", "is_pattern", "is_table_folder", "is_uri"]

_ON_DISK: dict[str, Callable[[str, pa_fs.FileSystem], TableFile]] = {
    "parquet": ParquetFile,
    "arrow": ArrowFile,
    "feather": ArrowFile,
    "ipc": ArrowFile,
}
_ARROW_MAGIC = b"ARROW1"
#: Endings by which tables in a folder are recognized. A .txt file may be a note.
_SUFFIXES = {
    suffix: name
    for name, entry in FORMATS.items()
    if entry.kind == "table"
    for suffix in entry.suffixes
    if suffix != ".txt"
}


class TableFiles(NamedTuple):
    """Files of one table, and the values of columns given by the names of folders."""

    name: str
    files: tuple[TableFile, ...]
    keys: tuple[dict[str, Any], ...]


def find_files(
    source: str | Path | Sequence[str | Path], format: str | None, options: TextOptions
) -> TableFiles:
    """Find and open the files of a table."""
    if isinstance(source, str) and is_uri(source):
        options.refuse_for("files of other file systems")
        return _files_of_uri(source, format)
    name, paths, root = _paths(source)
    files = tuple(_opened_all(paths, format, options))
    return TableFiles(name, files, _keys(files, paths, root))


def files_of(dataset: pa_dataset.Dataset) -> TableFiles:
    """Open the files of a pyarrow dataset on its file system. In-memory tables stay in memory."""
    if not isinstance(dataset, pa_dataset.FileSystemDataset):
        return TableFiles("dataset", (MemoryTable("dataset", dataset.to_table()),), ({},))
    kind = dataset.format.default_extname
    if kind not in _ON_DISK:
        raise DataError(
            f"A dataset must be of Parquet or Arrow files, got {kind}. Write it as Parquet."
        )
    fragments = list(dataset.get_fragments())
    if not fragments:
        raise DataError("The dataset holds no file. Check its folder.")
    files = tuple(_ON_DISK[kind](part.path, part.filesystem) for part in fragments)
    keys = tuple(pa_dataset.get_partition_keys(part.partition_expression) for part in fragments)
    return TableFiles(show(fragments[0].path), files, keys)


def is_uri(source: str | Path) -> bool:
    """Return True for a URI of another file system, such as ``s3://bucket/rows``."""
    return isinstance(source, str) and re.match(r"[a-z][a-z0-9+.-]+://", source) is not None


def _files_of_uri(source: str, format: str | None) -> TableFiles:
    """Open Parquet or Arrow files on any file system that pyarrow supports."""
    kind = format or _SUFFIXES.get(suffix_of(Path(source)), "parquet")
    if kind not in _ON_DISK:
        wrong = f"{kind} is not supported on other file systems"
        raise refuse(source, wrong, "Write it as Parquet")
    try:
        filesystem, path = pa_fs.FileSystem.from_uri(source)
        found = pa_dataset.dataset(path, format=kind, filesystem=filesystem, partitioning="hive")
        return files_of(found)._replace(name=source)
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:80].rstrip(".")
        raise refuse(
            source, f"it cannot be read ({reason})", "Check the address and access"
        ) from None


def is_pattern(source: str | Path) -> bool:
    """Return True for a name with ``*``, ``?`` or ``[`` that is not an existing file."""
    exists = os.path.exists(source)  # noqa: PTH110  # Path.exists raises for names too long
    return glob.has_magic(str(source)) and not exists


def is_table_folder(source: str | Path) -> bool:
    """Return True for a folder with tables and without images."""
    try:
        if not is_folder(source):
            return False
        suffixes = {suffix_of(path) for path in _until_image(Path(source))}
    except (OSError, ValueError):
        return False
    return not suffixes & IMAGE_SUFFIXES and not suffixes.isdisjoint(_SUFFIXES)


def _paths(source: str | Path | Sequence[str | Path]) -> tuple[str, list[Path], Path | None]:
    """Return the name of the source in messages, its files, and the folder searched."""
    if not isinstance(source, str | Path):
        if not source:
            raise DataError("The list of files is empty. Name one at least.")
        return show(source[0]), [Path(path) for path in source], None
    if is_pattern(source):
        found = glob.glob(str(source), recursive=True)  # noqa: PTH207  # Path.glob takes no root
        matches = map(Path, found)
        paths = sorted(path for path in matches if path.is_file() and suffix_of(path) in _SUFFIXES)
        if not paths:
            raise refuse(source, "no table matches the pattern", "Check the pattern")
        return show(source), paths, None
    if is_folder(source):
        return show(source), _one_format(Path(source)), Path(source)
    return show(source), [Path(source)], None


def _until_image(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, up to the first image."""
    for path in folder.rglob("*"):
        yield path
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return


def _tables_in(folder: Path) -> list[Path]:
    """Return the tables below a folder, except for names that begin with . or _."""
    found = (path for path in folder.rglob("*") if suffix_of(path) in _SUFFIXES)
    return sorted(
        path
        for path in found
        if not any(part[0] in "._" for part in path.relative_to(folder).parts) and path.is_file()
    )


def _one_format(folder: Path) -> list[Path]:
    paths = _tables_in(folder)
    formats = {_SUFFIXES[suffix_of(path)] for path in paths}
    if not paths:
        raise refuse(folder, "there is no table in this folder", "Give a folder of Parquet files")
    if len(formats) > 1:
        wrong = f"the folder holds tables of several formats: {listing(sorted(formats))}"
        raise refuse(folder, wrong, "Choose one by a pattern, such as folder/*.parquet")
    return paths


def _opened_all(
    paths: Sequence[Path], format: str | None, options: TextOptions
) -> Iterator[TableFile]:
    """Open the files of one table. Text files are read in common types."""
    texts = [path for path in paths if _is_text(path, format)]
    if not texts:
        options.refuse_for("files that are not delimited text")
    small = [path for path in texts if str(path) == "-" or not _is_large(path)]
    found = _read_alike(small, format, options) if len(small) == len(texts) else {}
    for path in paths:
        yield found[path] if path in found else _opened(path, format, options)


def _read_alike(
    paths: Sequence[Path], format: str | None, options: TextOptions
) -> dict[Path, TableFile]:
    agreement = Agreement(options)
    found = {}
    for path in paths:
        own = text_options(_format_of(path, format), options)
        found[path] = read_text(path, own, DEFAULT_MAX_BYTES)
        agreement.add(found[path])
    if len(paths) == 1:
        return {path: MemoryTable(str(path), one.sound()) for path, one in found.items()}
    again = [path for path in paths if not agreement.holds(found[path])]
    if agreement.clashes:
        again = []  # the comparison of schemas raises the error
    shared = agreement.options() if again else options
    for path in again:
        own = text_options(_format_of(path, format), shared)
        found[path] = read_text(path, own, DEFAULT_MAX_BYTES)
    tables = {path: one.sound(quiet=True) for path, one in found.items()}
    agreement.notes.warn()
    if not agreement.clashes:
        tables = {p: agreement.cast(table, table.column_names) for p, table in tables.items()}
    return {path: MemoryTable(str(path), table) for path, table in tables.items()}


def _format_of(path: Path, format: str | None) -> str:
    return find_format(path, format).name if str(path) != "-" else format or "csv"


def _is_text(path: Path, format: str | None) -> bool:
    return _format_of(path, format) in ("csv", "tsv")


def _is_large(path: Path) -> bool:
    check_regular(path)
    return path.stat().st_size > DEFAULT_MAX_BYTES


def _opened(path: Path, format: str | None, options: TextOptions) -> TableFile:
    is_file, name = str(path) != "-", _format_of(path, format)
    if is_file:
        check_regular(path)
    if is_file and (name == "parquet" or (name in _ON_DISK and _has_random_access(path))):
        return _ON_DISK[name](str(path), pa_fs.LocalFileSystem())
    if is_file and _is_text(path, format) and _is_large(path):
        return staged_csv(path, text_options(name, options))
    data = read_file(path, format, options)
    if not isinstance(data, pa.Table):
        raise refuse(path, "this is not a table with named columns", "Give a table")
    return MemoryTable(str(path), data)


def _has_random_access(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_ARROW_MAGIC)) == _ARROW_MAGIC


def _keys(
    files: Sequence[TableFile], paths: Sequence[Path], root: Path | None
) -> tuple[dict[str, Any], ...]:
    """Return the column values of each file that folders named ``key=value`` give."""
    if root is None or not any("=" in str(path.relative_to(root).parent) for path in paths):
        return ({},) * len(files)
    dataset = pa_dataset.dataset(
        [str(path) for path in paths],
        format="parquet",
        partitioning="hive",
        partition_base_dir=str(root),
    )
    found = {part.path: part.partition_expression for part in dataset.get_fragments()}
    keys = [pa_dataset.get_partition_keys(found[str(path)]) for path in paths]
    for path, own in zip(paths, keys, strict=True):
        if own.keys() != keys[0].keys():
            raise refuse(path, f"its folders do not name {listing(keys[0])}", "Move the file")
    return tuple(keys)
