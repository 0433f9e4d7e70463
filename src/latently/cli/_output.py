"""Answers on their way out: tables with ids in front, arrays, folders of images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from latently.cli._data import Rows, autoencoder_of
from latently.cli._guard import echo

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure

_PICTURES = (".png", ".pdf", ".svg")
_PAGES = (".html", ".jpg", ".jpeg", ".json", ".yaml", ".zip", ".gz")


class Target(NamedTuple):
    """Where an answer goes."""

    path: str
    format: str | None = None
    overwrite: bool = False

    @property
    def format_name(self) -> str:
        """The requested format, or the format of the file's suffix, or images without a suffix."""
        from pathlib import Path

        from latently.io._formats import find_format

        folder = self.format is None and self.path != "-" and not Path(self.path).suffix
        return "images" if folder else find_format(self.path, self.format).name


def check_target(target: Target, *, images: bool) -> None:
    """Refuse, before any work, an output that exists or cannot hold the answer.

    Parameters
    ----------
    target : Target
        Where the answer goes.
    images : bool
        True if the answer is a stack of images.
    """
    from latently.exceptions import ParameterError
    from latently.io._atomic import check_output
    from latently.io._formats import find_format

    kind = find_format(target.path, target.format_name).kind
    if images and (kind == "table" or (kind == "images" and target.path == "-")):
        raise ParameterError(
            "The answer is a stack of images. Give -o FOLDER, or -o FILE.npy for an array."
        )
    if not images and kind == "images":
        raise ParameterError(
            f"The answer is a table, {target.path} names no table format. "
            "Give for example -o FILE.csv, or --output-format csv."
        )
    check_output(target.path, target.overwrite, folder=kind == "images")


def check_model_path(path: str, overwrite: bool) -> None:
    """Refuse, before any work, a model file that exists or has the name of something else."""
    from pathlib import Path

    from latently.exceptions import ParameterError
    from latently.io._atomic import check_output
    from latently.io._formats import FORMATS

    endings = {*_PICTURES, *_PAGES, *(end for entry in FORMATS.values() for end in entry.suffixes)}
    suffix = Path(path).suffix.lower()
    if path.endswith("/") or Path(path).is_dir() or suffix in endings or path == "-":
        raise ParameterError(
            f"A model must be written to a file such as model.safetensors, got {path!r:.80}. Name "
            "another file."
        )
    check_output(path, overwrite)


def answers_images(model: Any) -> bool:
    """Return True if the model's rows are images."""
    return hasattr(autoencoder_of(model).preprocessor_.spec, "axes")


def check_picture(path: str | None, overwrite: bool) -> None:
    """Refuse, before any work, a picture that exists or has a name of no known kind."""
    from pathlib import Path

    from latently.exceptions import ParameterError
    from latently.io._atomic import check_output

    if path is None:
        return
    if Path(path).suffix.lower() not in _PICTURES:
        raise ParameterError(
            f"--plot must name a {', '.join(_PICTURES)} file, got {path!r:.60}. Try picture.png."
        )
    check_output(path, overwrite)


def write_picture(figure: Figure, path: str, overwrite: bool) -> None:
    """Write a figure in the format of the file's suffix."""
    from pathlib import Path

    from latently.io._atomic import atomic_path

    with atomic_path(path, overwrite) as temporary:
        figure.savefig(temporary, format=Path(path).suffix[1:].lower())
    echo(f"drew {path}")


def write_table(columns: dict[str, Any] | pa.Table, rows: Rows, target: Target) -> None:
    """Write columns with the ids in front."""
    import pyarrow as pa

    from latently.io import write

    table = with_ids(pa.table(columns) if isinstance(columns, dict) else columns, rows)
    write(table, target.path, target.format_name, overwrite=target.overwrite)
    announce(target, f"{table.num_rows:,} rows")


def write_piece(columns: dict[str, Any], rows: Rows, *, header: bool) -> None:
    """Write some rows to stdout as delimited text, at once."""
    import pyarrow as pa

    from latently.io._atomic import standard_output
    from latently.io.text._writing import header_line, row_lines

    table = with_ids(pa.table(columns), rows)
    start = header_line(table.schema) if header else b""
    with standard_output() as stream:
        stream.write(start + row_lines(table))


def write_rows(answer: Any, rows: Rows, model: Any, target: Target) -> None:
    """Write rows of the kind that the model was fitted on: a table, an array or images."""
    from latently.io import write

    if answers_images(model):
        _write_images(answer, rows, model, target)
        return
    write(
        with_ids(as_table(answer, model), rows),
        target.path,
        target.format_name,
        overwrite=target.overwrite,
    )
    announce(target, f"{len(answer):,} rows")


def write_text(text: str) -> None:
    """Write a text and a line end to stdout."""
    import sys

    from latently.io._atomic import standard_output

    with standard_output() as stream:
        stream.write(f"{text}\n".encode(sys.stdout.encoding or "utf-8", "backslashreplace"))


def write_json(document: dict[str, Any]) -> None:
    """Write one JSON document to stdout, with null for NaN and infinities."""
    write_text(json.dumps(_as_json(document), indent=2, default=str, allow_nan=False))


def _as_json(value: Any) -> Any:
    """Return a value without NaN, infinities and the types of NumPy."""
    import math

    import numpy as np

    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, np.generic | np.ndarray):
        return _as_json(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def announce(target: Target, what: str) -> None:
    """Report the path of the output, unless it is stdout."""
    if target.path != "-":
        echo(f"wrote {what} to {target.path}")


def with_ids(table: pa.Table, rows: Rows) -> pa.Table:
    """Put the id columns in front of a table."""
    import pyarrow as pa

    from latently.exceptions import ParameterError

    if rows.ids is None:
        return table
    both = [name for name in rows.ids.column_names if name in table.column_names]
    if both:
        raise ParameterError(
            f"--id {both[0]!r} is also a column of the answer. Rename it, or leave --id out."
        )
    schema = pa.schema([*rows.ids.schema, *table.schema])
    return pa.table([*rows.ids.columns, *table.columns], schema=schema)


def as_table(answer: Any, model: Any) -> pa.Table:
    """Return rows of the model's kind as a table."""
    import pyarrow as pa

    if isinstance(answer, pa.Table):
        return answer
    names = autoencoder_of(model).preprocessor_.column_names
    if hasattr(answer, "columns"):
        import narwhals as nw

        return nw.from_native(answer, eager_only=True).to_arrow()
    return pa.table({str(name): answer[:, place] for place, name in enumerate(names)})


def _write_images(stack: Any, rows: Rows, model: Any, target: Target) -> None:
    from latently.io import write, write_images

    spec = autoencoder_of(model).preprocessor_.spec
    if target.format_name != "images":
        write(stack, target.path, target.format_name, overwrite=target.overwrite)
    elif rows.folder is not None:
        files = _as_read(stack, rows.values, spec)
        write_images(files, target.path, overwrite=target.overwrite, like=rows.folder)
    else:
        write_images(_for_png(stack, spec), target.path, overwrite=target.overwrite)
    announce(target, f"{len(stack):,} images")


def _as_read(stack: Any, given: Any, spec: Any) -> Any:
    """Return answers on the scale of the images that were read, channels last."""
    import numpy as np

    from latently.schema import factor_to, rounded

    if isinstance(stack, list):
        pairs = zip(stack, given, strict=True)
        return [_as_read(one[None], other[None], spec)[0] for one, other in pairs]
    given = np.asarray(given)  # images of one size may be a list, too
    images, factor = _channels_last(stack, spec), factor_to(spec, given)
    if factor == 1 and images.dtype == given.dtype:
        return images
    if images.dtype.itemsize < given.dtype.itemsize:
        echo(f"warning: {given.dtype} images have the grey levels of the model, {images.dtype}.")
    scaled = images / factor
    return rounded(scaled, given.dtype) if given.dtype.kind == "u" else scaled.astype(given.dtype)


def _for_png(stack: Any, spec: Any) -> Any:
    """Return images with channels last, as floats from 0 to 1 or as unchanged integers."""
    import numpy as np

    if isinstance(stack, list):
        return [_for_png(image[None], spec)[0] for image in stack]
    images = _channels_last(stack, spec)
    if images.dtype in (np.uint8, np.uint16):
        return images
    echo("warning: images are written with 8 bits a channel. -o FILE.npy keeps their values.")
    low, high = (0.0, 1.0) if spec.white == 1 else spec.support
    return np.clip((images - low) / (high - low), 0.0, 1.0)


def _channels_last(stack: Any, spec: Any) -> Any:
    import numpy as np

    return np.moveaxis(stack, 1, -1) if spec.axes == "chw" else stack
