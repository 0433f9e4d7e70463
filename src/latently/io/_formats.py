"""Supported file formats, found by the ending of a file name or by its first bytes."""

from pathlib import Path
from typing import Literal, NamedTuple

from latently.exceptions import DataError, ParameterError
from latently.io._messages import clip, refuse

__all__ = ["FORMATS", "IMAGE_SUFFIXES", "Format", "find_format", "looks_like", "suffix_of"]

Kind = Literal["table", "array", "images"]


class Format(NamedTuple):
    """Name, file name endings and kind of content of a format.

    Parameters
    ----------
    name : str
        Value of the parameter ``format``.
    suffixes : tuple of str
        Endings of file names.
    kind : {"table", "array", "images"}
        Kind of content.
    """

    name: str
    suffixes: tuple[str, ...]
    kind: Kind


FORMATS: dict[str, Format] = {
    entry.name: entry
    for entry in (
        Format("csv", (".csv", ".txt"), "table"),
        Format("tsv", (".tsv", ".tab"), "table"),
        Format("parquet", (".parquet", ".pq"), "table"),
        Format("arrow", (".arrow", ".ipc"), "table"),
        Format("feather", (".feather",), "table"),
        Format("npy", (".npy",), "array"),
        Format("npz", (".npz",), "array"),
        Format("images", (), "images"),
    )
}

IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm")
)

_BY_SUFFIX = {suffix: entry for entry in FORMATS.values() for suffix in entry.suffixes}

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive (or .npz, .xlsx, .pt, .keras)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"FEA1", "a Feather file"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"SQLite format 3", "an SQLite database"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word document"),
    (b"{\\rtf", "an RTF document"),
    (b"version https://git-lfs", "a Git LFS pointer (run git lfs pull)"),
    *((b"\x80" + bytes([protocol]), "a Python pickle") for protocol in range(2, 6)),
)

_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML document"),
)


def looks_like(start: bytes) -> str | None:
    """Return a description of a file type by its first bytes, or None if they are unknown.

    Parameters
    ----------
    start : bytes
        The first bytes of the file; 64 are enough.

    Returns
    -------
    str or None
        For example ``"a PNG image"``.
    """
    text = start[:64].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = [words for magic, words in _MAGIC if start.startswith(magic)]
    found += [words for magic, words in _MARKUP if text.startswith(magic)]
    return found[0] if found else None


def find_format(path: str | Path, format: str | None = None) -> Format:
    """Return the format that was asked for, or the one that the file name shows.

    Parameters
    ----------
    path : str or Path
        A file, a folder of images, or ``"-"`` for standard input or output.
    format : str, optional
        A name in ``FORMATS``; by default the file name decides.

    Returns
    -------
    Format
        The entry of ``FORMATS``.

    Raises
    ------
    ParameterError
        If ``format`` is not a known name.
    DataError
        If the ending of the file name is unknown.
    """
    if format is not None:
        return _named(format)
    if str(path) == "-":
        return FORMATS["csv"]
    suffix = suffix_of(Path(path))
    if suffix not in _BY_SUFFIX:
        raise _unknown(path, suffix)
    return _BY_SUFFIX[suffix]


def _named(format: str) -> Format:
    if format not in FORMATS:
        raise ParameterError(
            f"format must be one of {', '.join(FORMATS)}, got {clip(format)}. Use one of these."
        )
    return FORMATS[format]


def suffix_of(path: Path) -> str:
    """Return the ending of a file name in lower case, without a final ``.gz``."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".gz"]:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _unknown(path: str | Path, suffix: str) -> DataError:
    if suffix in IMAGE_SUFFIXES:
        return refuse(path, "this is one image, not a data set", "Give the folder that holds it")
    known = " ".join(_BY_SUFFIX)
    return refuse(
        path, f"the file name ends in {clip(suffix)}, not in {known}", "Name the format with format"
    )
