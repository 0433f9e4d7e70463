"""The model file: one safetensors file that can be checked before anything is built from it.

The header holds five metadata entries besides the table of arrays:

============== =================================================================
format         ``latently/1``
config         JSON, classes and parameters of the model
created_with   JSON, versions of the programs that wrote the file
sha256         over name, dtype, shape and bytes of each array, sorted by name
config_sha256  over ``config``, a line end, and ``created_with``
============== =================================================================

The header must be written exactly as this module writes it, so every changed bit is detected.
A checksum is no signature. It detects damage, but not forgery.
"""

import hashlib
import json
import math
import os
import re
import stat
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from latently.exceptions import ModelFileError
from latently.io._atomic import atomic_path
from latently.io._formats import looks_like
from latently.io._messages import clip, show

__all__ = ["DEFAULT_MAX_MODEL_BYTES", "read_model", "write_model"]

DEFAULT_MAX_MODEL_BYTES = 2**32

_FORMAT = "latently/1"
_METADATA_KEYS = {"format", "config", "sha256", "config_sha256", "created_with"}
_DTYPES = {
    "BOOL": "|b1",
    "U8": "|u1",
    "I16": "<i2",
    "I32": "<i4",
    "I64": "<i8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}
_CODES = {np.dtype(kind): code for code, kind in _DTYPES.items()}

_MAX_HEADER = 4 * 2**20
_MAX_CONFIG = 2**20
_MAX_DEPTH = 32
_MAX_ARRAYS = 10_000
_MAX_RANK = 8
_MAX_LENGTH = 2**40
_NAME = re.compile(r"(?!.*(^|/)\.\.(/|$))[^\x00-\x1f\x7f]{1,256}")

_REMEDY = "Copy the file again, or save the model anew"


class _Entry(NamedTuple):
    """Description of one array in the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def write_model(
    path: str | Path,
    config: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    *,
    created_with: dict[str, str] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a model file atomically. The same input gives the same bytes.

    Parameters
    ----------
    path : str or Path
        The file to write.
    config : dict
        JSON values that ``read_model`` returns, at most 1 MiB as JSON.
    arrays : dict of str to ndarray
        Arrays of bool, uint8, int16, int32, int64, float16, float32 or float64.
    created_with : dict of str to str, optional
        Names and versions of the writing programs.
    overwrite : bool, default=True
        If True, replace an existing file.

    Raises
    ------
    ModelFileError
        If the config or an array cannot be written down.
    OutputExistsError
        If the file exists and ``overwrite`` is False.
    """
    header, body = _encode(path, config, arrays, created_with or {})
    with atomic_path(path, overwrite) as temporary, temporary.open("wb") as file:
        file.write(header)
        file.writelines(body)


def read_model(
    path: str | Path, *, max_bytes: int = DEFAULT_MAX_MODEL_BYTES
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Read a model file into memory, and check all that does not depend on the model.

    Parameters
    ----------
    path : str or Path
        The file.
    max_bytes : int, default=4 GiB
        Larger files are refused.

    Returns
    -------
    config : dict
        The configuration as written.
    arrays : dict of str to ndarray
        The arrays as written, bit for bit.

    Raises
    ------
    ModelFileError
        If the file is missing, damaged, not a model file, or of a newer format.
    """
    raw, start = _load(path, max_bytes)
    body = memoryview(raw)[start:]
    text = _header_text(path, raw[:start])
    table = _strict_json(path, text, "header")
    metadata = _check_metadata(path, table.pop("__metadata__", None))
    entries = _check_entries(path, table, len(body))
    _check_canonical(path, text, metadata, entries)
    config = _check_config(path, metadata)
    if _arrays_digest(entries, body) != metadata["sha256"]:
        raise _refusal(path, "its arrays do not match their checksum", "checksum")
    return config, safetensors.numpy.load(raw)


def _encode(
    path: str | Path,
    config: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
    created_with: dict[str, str],
) -> tuple[bytes, list[bytes]]:
    chunks = {name: _little(path, name, arrays[name]) for name in sorted(arrays)}
    body = [chunk.tobytes() for chunk in chunks.values()]
    ends = np.cumsum([0, *map(len, body)]).tolist()
    entries = [
        _Entry(name, _CODES[chunk.dtype], chunk.shape, start, end)
        for (name, chunk), (start, end) in zip(chunks.items(), pairwise(ends), strict=True)
    ]
    metadata = _metadata(path, config, created_with, _arrays_digest(entries, b"".join(body)))
    header = _canonical(metadata, entries)
    header += b" " * (-len(header) % 8)
    if len(header) > _MAX_HEADER or len(entries) > _MAX_ARRAYS:
        raise _refusal(path, "the model has too many arrays or too long a config", "too_large")
    return len(header).to_bytes(8, "little") + header, body


def _little(path: str | Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array in C order and little-endian, as the format requires."""
    kind = array.dtype.newbyteorder("<")
    if kind not in _CODES or array.ndim > _MAX_RANK or not _NAME.fullmatch(name):
        raise _refusal(path, f"array {clip(name)} of {array.dtype} cannot be written", "array")
    return np.asarray(array, dtype=kind, order="C")


def _metadata(
    path: str | Path, config: dict[str, Any], created_with: dict[str, str], digest: str
) -> dict[str, str]:
    try:
        text = _dump(config)
    except (TypeError, ValueError, RecursionError) as error:
        raise _refusal(path, f"the config is not JSON ({clip(error, 60)})", "config") from None
    if len(text) > _MAX_CONFIG or _depth(config) > _MAX_DEPTH:
        raise _refusal(path, "the config is longer than 1 MiB or nested too deep", "too_large")
    versions = _dump(created_with)
    return {
        "config": text,
        "config_sha256": _text_digest(text, versions),
        "created_with": versions,
        "format": _FORMAT,
        "sha256": digest,
    }


def _dump(value: object) -> str:
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _canonical(metadata: dict[str, str], entries: list[_Entry]) -> bytes:
    table: dict[str, object] = {"__metadata__": metadata}
    for entry in entries:
        table[entry.name] = {
            "data_offsets": [entry.start, entry.end],
            "dtype": entry.dtype,
            "shape": list(entry.shape),
        }
    return _dump(table).encode()


def _text_digest(config: str, created_with: str) -> str:
    return hashlib.sha256(f"{config}\n{created_with}".encode()).hexdigest()


def _arrays_digest(entries: list[_Entry], body: bytes | memoryview) -> str:
    digest = hashlib.sha256()
    view = memoryview(body)
    for entry in sorted(entries):
        digest.update(_dump([entry.name, entry.dtype, entry.shape]).encode())
        digest.update(view[entry.start : entry.end])
    return digest.hexdigest()


def _load(path: str | Path, max_bytes: int) -> tuple[bytes, int]:
    """Return the bytes of a file and the offset of its arrays. Sizes are checked before reading."""
    try:
        # stat before open: opening a FIFO blocks, opening a device may have effects.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # a str with NUL stays a str
            raise _refusal(path, "this is a folder or device, not a regular file", "not_a_file")
        with open(path, "rb") as file:  # noqa: PTH123
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise _refusal(path, f"it has {size} bytes, over {max_bytes}", "too_large")
            _header_length(path, file.read(8), size)
            file.seek(0)
            raw = file.read(size + 1)
            return raw, 8 + _header_length(path, raw[:8], len(raw))
    except ModelFileError:
        raise
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(path, f"it cannot be read ({reason.lower()[:60]})", "unreadable") from None


def _header_length(path: str | Path, prefix: bytes, size: int) -> int:
    if len(prefix) < 8:
        raise _refusal(path, f"it has only {size} bytes", "truncated")
    length = int.from_bytes(prefix, "little")
    if 2 <= length <= min(_MAX_HEADER, size - 8):
        return length
    if length <= _MAX_HEADER and length > size - 8:
        raise _refusal(path, "it is cut short within its header", "truncated")
    raise _refusal(path, _not_a_model(path), "not_a_model")


def _header_text(path: str | Path, header: bytes) -> str:
    try:
        text = header[8:].decode("ascii")
    except UnicodeDecodeError:
        raise _refusal(path, _not_a_model(path), "not_a_model") from None
    if not text.startswith("{"):
        raise _refusal(path, _not_a_model(path), "not_a_model")
    return text.rstrip(" ")


def _not_a_model(path: str | Path) -> str:
    with open(path, "rb") as file:  # noqa: PTH123
        kind = looks_like(file.read(64))
    return f"this looks like {kind}, not a model file" if kind else "this is not a model file"


def _strict_json(path: str | Path, text: str, what: str) -> dict[str, Any]:
    try:
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except (ValueError, RecursionError):
        raise _refusal(path, f"its {what} is not strict JSON", what) from None
    if not isinstance(value, dict) or _depth(value) > _MAX_DEPTH:
        raise _refusal(path, f"its {what} is not an object, or nested too deep", what)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError(f"{digits} is too large")
    return number


def _depth(value: object) -> int:
    """Return the nesting depth of lists and objects, computed without recursion."""
    level, depth = [value], 0
    while level and depth <= _MAX_DEPTH:
        inner = [item for item in level if isinstance(item, dict | list | tuple)]
        level = [
            child for item in inner for child in (item.values() if isinstance(item, dict) else item)
        ]
        depth += bool(inner)
        if not inner:
            break
    return depth


def _check_metadata(path: str | Path, metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise _refusal(path, "this is a safetensors file of another program", "not_a_model")
    _check_format(path, metadata["format"])
    if set(metadata) != _METADATA_KEYS:
        raise _refusal(path, f"its metadata keys are {clip(sorted(metadata), 60)}", "metadata")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise _refusal(path, "its metadata are not all text", "metadata")
    if len(metadata["config"]) > _MAX_CONFIG:
        raise _refusal(path, "its config is longer than 1 MiB", "too_large")
    return metadata


def _check_format(path: str | Path, value: object) -> None:
    if value == _FORMAT:
        return
    newer = re.fullmatch(r"latently/([1-9]\d{0,5})", value) if isinstance(value, str) else None
    if newer is None:
        raise _refusal(path, f"its format is {clip(value)}, not {_FORMAT}", "not_a_model")
    message = f"{show(path)}: its format is {clip(value)}, and this version reads {_FORMAT}."
    raise ModelFileError(
        f"{message} Install latently {newer[1]}.0 or newer to read it.", "newer_format"
    )


def _check_entries(path: str | Path, table: dict[str, Any], size: int) -> list[_Entry]:
    if len(table) > _MAX_ARRAYS:
        raise _refusal(path, f"it holds {len(table)} arrays, over {_MAX_ARRAYS}", "too_large")
    entries = [_check_entry(path, name, fields) for name, fields in table.items()]
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.start, entry.end)):
        if entry.start != position:
            wrong = f"array {clip(entry.name)} leaves a hole or overlaps another"
            raise _refusal(path, wrong, "layout")
        position = entry.end
    if position > size:
        raise _refusal(path, f"it is cut short: {size} of {position} bytes", "truncated")
    if position < size:
        raise _refusal(path, "bytes follow after the last array", "trailing_bytes")
    return entries


def _check_entry(path: str | Path, name: str, fields: object) -> _Entry:
    if not _NAME.fullmatch(name):
        raise _refusal(path, f"the array name {clip(name)} is not allowed", "name")
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise _refusal(path, f"array {clip(name)} is not described rightly", "header")
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _refusal(path, f"array {clip(name)} has the type {clip(dtype)}", "dtype")
    if not _are_lengths(shape) or len(shape) > _MAX_RANK:
        raise _refusal(path, f"array {clip(name)} has the shape {clip(shape)}", "shape")
    if not _are_lengths(offsets) or len(offsets) != 2:
        raise _refusal(path, f"array {clip(name)} lies at {clip(offsets)}", "layout")
    entry = _Entry(name, dtype, tuple(shape), *offsets)
    if entry.end - entry.start != _byte_length(entry):
        raise _refusal(path, f"the size of array {clip(name)} does not fit its shape", "shape")
    return entry


def _are_lengths(values: object) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value <= _MAX_LENGTH for value in values
    )


def _byte_length(entry: _Entry) -> int:
    size = np.dtype(_DTYPES[entry.dtype]).itemsize
    for length in entry.shape:
        size *= length
    return size


def _check_canonical(
    path: str | Path, text: str, metadata: dict[str, str], entries: list[_Entry]
) -> None:
    if _canonical(metadata, entries) != text.encode():
        raise _refusal(path, "its header is not written as latently writes it", "header")


def _check_config(path: str | Path, metadata: dict[str, str]) -> dict[str, Any]:
    digest = _text_digest(metadata["config"], metadata["created_with"])
    if digest != metadata["config_sha256"]:
        raise _refusal(path, "its config does not match its checksum", "checksum")
    _strict_json(path, metadata["created_with"], "created_with")
    return _strict_json(path, metadata["config"], "config")


def _refusal(path: str | Path, wrong: str, reason: str) -> ModelFileError:
    return ModelFileError(f"{show(path)}: {wrong}. {_REMEDY}.", reason)
