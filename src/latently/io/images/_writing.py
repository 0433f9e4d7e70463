"""Write stacks of pixels as PNG, or each image in the format of its source file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latently.exceptions import DataError, ParameterError
from latently.io._atomic import check_output, sync, sync_folder, temporary_name
from latently.io._messages import listing, refuse
from latently.io.images._folder import ImageFolder
from latently.io.images._restore import restored, warn_of_losses

__all__ = ["write_images"]

Save = Callable[[Path], None]


def write_images(
    stack: Any,
    folder: str | Path,
    names: Sequence[str] | None = None,
    overwrite: bool = False,
    *,
    like: ImageFolder | None = None,
) -> None:
    """Write a stack of images as PNG files, or in the formats of their source files.

    Either all images are written, or none.

    Parameters
    ----------
    stack : ndarray of shape (n, height, width) or (n, height, width, channels), or list of images
        Pixels as uint8, uint16 (grey only), or floats in [0, 1], which become 8 bits. Images of a
        list may differ in size.
    folder : str or Path
        Folder to write to. It may exist if it is empty.
    names : sequence of str, optional
        Relative paths, whose ending becomes ``.png``. By default they are ``image_000000.png``
        and so on. ``names`` and ``like`` exclude each other.
    overwrite : bool, default=False
        If True, write into a folder that has files. Files of the same name are replaced once all
        images are written.
    like : ImageFolder or None, default=None
        The images as ``read_images`` returned them. Each is written under its name, in its
        format, bit depth and mode, with the transparency of the file. A warning counts the images
        that are not stored exactly, such as JPEG. None writes PNG.

    Raises
    ------
    DataError
        If the stack cannot be written as PNG.
    ParameterError
        If the names do not fit the stack, repeat, or lead out of the folder.
    OutputExistsError
        If the folder has files and ``overwrite`` is False.
    """
    check_output(folder, overwrite, folder=True)
    if like is not None and like.files:
        if names is not None:
            raise ParameterError("names and like exclude each other. Leave names out.")
        targets, saves = _as_they_were(stack, like)
    else:
        targets, saves = _as_png(stack, names if like is None else like.names)
    root = Path(folder)
    # In the parent, or within an existing folder, which may be a mount point.
    stage = (root if root.is_dir() else root.parent) / temporary_name()
    try:
        for target, save in zip(targets, saves, strict=True):
            (stage / target).parent.mkdir(parents=True, exist_ok=True)
            save(stage / target)
            sync(stage / target)
        _put_in_place(stage, root, targets)
        sync_folder(root)
    except OSError as error:
        raise refuse(folder, f"it cannot be written ({error.strerror})", "Check it") from None
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _put_in_place(stage: Path, root: Path, targets: Sequence[PurePosixPath]) -> None:
    """Move the written images from the temporary folder to the final one."""
    if not root.is_dir():
        stage.rename(root)
        return
    for target in targets:
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        (stage / target).replace(root / target)


def _as_png(stack: Any, names: Sequence[str] | None) -> tuple[list[PurePosixPath], Iterator[Save]]:
    ready = _each(stack, _to_png_pixels)

    def save(pixels: NDArray[Any], path: Path) -> None:
        Image.fromarray(pixels).save(path, "PNG")

    return _targets(names, len(ready)), (partial(save, pixels) for pixels in ready)


def _as_they_were(stack: Any, like: ImageFolder) -> tuple[list[PurePosixPath], Iterator[Save]]:
    ready = _each(stack, _grey_or_colour)
    if len(ready) != len(like.files):
        raise ParameterError(
            f"like must have one file per image, got {len(like.files)} for {len(ready)}. Match the "
            "two."
        )
    warn_of_losses(like.files)

    def save(place: int, path: Path) -> None:
        image, options = restored(ready[place], like.files[place])
        image.save(path, **options)

    targets = _within([PurePosixPath(file.name) for file in like.files])
    return targets, (partial(save, place) for place in range(len(ready)))


def _each(
    stack: Any, check: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any] | list[NDArray[Any]]:
    """Return the checked images of a stack, or of a list of several sizes."""
    return [check(one[None])[0] for one in stack] if isinstance(stack, list) else check(stack)


def _grey_or_colour(stack: NDArray[Any]) -> NDArray[Any]:
    """Return grey images without a channel axis, and colour images with 3 or 4 channels."""
    grey = stack.ndim == 3 or (stack.ndim == 4 and stack.shape[3] == 1)
    if stack.size == 0 or not (grey or (stack.ndim == 4 and stack.shape[3] in (3, 4))):
        raise DataError(
            f"Images must have the shape (n, height, width[, 1, 3 or 4]), got {stack.shape}. "
            "Reshape the array."
        )
    flat: NDArray[Any] = stack[..., 0] if stack.ndim == 4 and grey else stack
    return flat


def _to_png_pixels(stack: NDArray[Any]) -> NDArray[Any]:
    flat = _grey_or_colour(stack)
    if flat.dtype == np.uint8 or (flat.dtype == np.uint16 and flat.ndim == 3):
        return flat
    # NaN fails both comparisons and is refused as well.
    if flat.dtype.kind == "f" and flat.min() >= 0 and flat.max() <= 1:
        return np.rint(flat * 255.0).astype(np.uint8)
    raise DataError(
        f"Images of type {flat.dtype} from {flat.min()} to {flat.max()} cannot become PNG. "
        "Use uint8, grey uint16, or floats in [0, 1]."
    )


def _targets(names: Sequence[str] | None, count: int) -> list[PurePosixPath]:
    if names is None:
        return [PurePosixPath(f"image_{place:06d}.png") for place in range(count)]
    if len(names) != count:
        raise ParameterError(
            f"names must have one entry per image, got {len(names)} for {count}. Match the two."
        )
    return _distinct(_within([PurePosixPath(name) for name in names]))


def _within(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    astray = [path for path in paths if path.is_absolute() or ".." in path.parts or not path.name]
    if astray:
        wrong = listing([str(path) for path in astray])
        raise ParameterError(f"names must stay within the folder, got {wrong}. Use relative paths.")
    return paths


def _distinct(paths: list[PurePosixPath]) -> list[PurePosixPath]:
    short = [path.with_suffix(".png") for path in paths]
    if len(set(short)) == len(short):
        return short
    # a.jpg and a.bmp: keep the old endings, so that the names differ.
    long = [path.with_name(f"{path.name}.png") for path in paths]
    if len(set(long)) < len(long):
        raise ParameterError("names must differ, got repeated ones. Give each image its own name.")
    return long
