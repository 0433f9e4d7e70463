"""Read and write npy and npz files without pickle."""

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from latently.exceptions import DataError
from latently.io._bytes import DEFAULT_MAX_BYTES, load_bytes, too_large
from latently.io._formats import looks_like
from latently.io._messages import clip, listing, refuse

__all__ = ["fill_npy", "fill_npz", "read_npy", "read_npz"]

_HEADERS = {
    (1, 0): npy_format.read_array_header_1_0,
    (2, 0): npy_format.read_array_header_2_0,
}
# An encrypted member raises RuntimeError, an unknown compression NotImplementedError.
_ZIP_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    RuntimeError,
    NotImplementedError,
)


def read_npy(source: str | Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> NDArray[Any]:
    """Read one array from a ``.npy`` file.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    max_bytes : int, default=1 GiB
        Largest size of the file.

    Returns
    -------
    ndarray
        Booleans, integers or floating-point numbers.

    Raises
    ------
    DataError
        If the file is damaged, or holds objects, text, records or complex numbers.
    """
    return _parse(source, load_bytes(source, max_bytes))


def read_npz(
    source: str | Path, *, key: str | None = None, max_bytes: int = DEFAULT_MAX_BYTES
) -> NDArray[Any]:
    """Read one array from a ``.npz`` file.

    Parameters
    ----------
    source : str or Path
        The file, or ``"-"``.
    key : str, optional
        Name of the array, required if the file holds several.
    max_bytes : int, default=1 GiB
        Largest size of the file and of the unpacked array.

    Returns
    -------
    ndarray
        Booleans, integers or floating-point numbers.

    Raises
    ------
    DataError
        If the file is damaged, the key is missing or unknown, or the array cannot be used.
    """
    raw = load_bytes(source, max_bytes)
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            member = _choose(source, archive, key)
            if member.file_size > max_bytes:
                raise too_large(source, member.file_size, max_bytes)
            content = archive.read(member)
    except DataError:
        raise
    except _ZIP_DAMAGE:
        raise _damaged(source, raw, "NumPy .npz") from None
    return _parse(source, content)


def fill_npy(array: NDArray[Any], sink: BinaryIO) -> None:
    """Write one array as ``.npy``."""
    # Not np.save: it bypasses the buffer of the file and reports a full disk without an errno.
    values = np.asarray(array, order="C")
    npy_format.write_array_header_1_0(sink, npy_format.header_data_from_array_1_0(values))
    sink.write(values.reshape(-1).view(np.uint8).data)


def fill_npz(array: NDArray[Any], sink: BinaryIO) -> None:
    """Write one array as ``.npz``, compressed, under the key ``X``."""
    np.savez_compressed(sink, allow_pickle=False, X=array)


def _choose(source: str | Path, archive: zipfile.ZipFile, key: str | None) -> zipfile.ZipInfo:
    members = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
    if not members:
        raise refuse(source, "the archive holds no array", "Give a file with data")
    if key is None and len(members) > 1:
        wrong = f"it holds {len(members)} arrays: {listing(members)}"
        raise refuse(source, wrong, "Name one with key (--key)")
    if key is not None and key not in members:
        wrong = f"it holds no array {clip(key)}, only {listing(members)}"
        raise refuse(source, wrong, "Choose one of these with key (--key)")
    return next(iter(members.values())) if key is None else members[key]


def _parse(source: str | Path, raw: bytes) -> NDArray[Any]:
    stream = io.BytesIO(raw)
    try:
        shape, fortran, dtype = _HEADERS[npy_format.read_magic(stream)](stream)
    except Exception:
        # NumPy parses the header as Python literals, which can raise any kind of error.
        raise _damaged(source, raw, "NumPy .npy") from None
    _check_dtype(source, dtype)
    # Compared before any allocation: the header may claim any shape.
    count = _product(shape)
    if count * dtype.itemsize != len(raw) - stream.tell():
        raise _damaged(source, raw, "NumPy .npy")
    if count == 0:
        raise refuse(source, f"the array is empty, of shape {shape}"[:90], "Give one with data")
    flat = np.frombuffer(raw, dtype, offset=stream.tell())
    return np.array(flat.reshape(shape, order="F" if fortran else "C"), dtype.newbyteorder("="))


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _check_dtype(source: str | Path, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "biuf":
        remedy = "Save numbers, or text in a CSV or Parquet file"
        raise refuse(source, f"the array holds {clip(dtype)}, not plain numbers", remedy)


def _damaged(source: str | Path, raw: bytes, name: str) -> DataError:
    kind = looks_like(raw[:64])
    if kind is not None and name not in kind and "npz" not in kind:
        return refuse(source, f"this looks like {kind}, not {name}", "Name the right format")
    return refuse(source, f"it is not {name}, or is damaged or cut short", "Copy it again")
