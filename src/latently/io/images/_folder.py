"""Read a folder of images into one stack of pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from latently.exceptions import DataError, ParameterError
from latently.io._bytes import DEFAULT_MAX_BYTES, is_folder, too_large
from latently.io._messages import clip, counted, listing, refuse, warn
from latently.io.images._header import (
    WHITE,
    ImageHeader,
    Plan,
    find_images,
    make_plans,
    open_image,
    over,
    read_header,
)

__all__ = ["ImageFolder", "read_images"]


@dataclass(frozen=True, eq=False)
class ImageFolder:
    """Images of a folder, converted to one size and type.

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width) or (n, height, width, 3), or a list
        Pixels as uint8, or as uint16 or float32 if all files have that type. They are a list if
        each image keeps its own size.
    names : tuple of str
        Path of each image relative to the folder, with forward slashes, sorted.
    files : tuple of ImageHeader, default=()
        Path, format and mode of each image, by which ``write`` restores them.
    """

    pixels: Any
    names: tuple[str, ...]
    files: tuple[ImageHeader, ...] = ()


def read_images(
    folder: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    own_sizes: bool = False,
    skip_bad: bool = False,
    max_pixels: int = 50_000_000,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> ImageFolder:
    """Read all PNG, JPEG, WEBP, TIFF, BMP, GIF and PPM images below a folder.

    The EXIF orientation is applied, transparency is composited over white, and CMYK becomes RGB.
    Images of 16 bits or of floats keep their type if all images have it. Otherwise they are
    scaled to 8 bits by the range of their type. Warnings count the changed images.

    Parameters
    ----------
    folder : str or Path
        The folder. Sub-folders are read as well, hidden files are not.
    size : int or (int, int), optional
        Height and width to which images are resized, by default the most common size.
    own_sizes : bool, default=False
        If True, every image keeps its size, and ``pixels`` is a list.
    skip_bad : bool, default=False
        If True, skip files that cannot be read, with a warning. If False, they raise an error.
    max_pixels : int, default=50_000_000
        Images with more pixels count as unreadable. The size is checked before decoding.
    max_bytes : int, default=1 GiB
        Largest size of the stack in memory.

    Returns
    -------
    ImageFolder
        Pixels and names, in the same order.

    Raises
    ------
    DataError
        If there is no image, one cannot be read, or the stack is too large.
    ParameterError
        If ``size`` is not positive.
    """
    root = Path(folder)
    paths = _find(root)
    headers, bad = _read_headers(root, paths, skip_bad, max_pixels)
    if not headers:
        raise refuse(folder, f"none of its {len(paths)} images can be read", "Check the files")
    plans = make_plans(headers, _checked_size(size), own_sizes)
    needed = sum(plan.nbytes(1) for plan in plans)
    if needed > max_bytes:
        raise too_large(folder, needed, max_bytes)
    images, kept, broken = _decode_all(headers, plans, skip_bad)
    _warn_of_skipped(folder, [*bad, *broken], len(kept))
    pixels = images if own_sizes else np.stack(images)
    return ImageFolder(pixels, tuple(header.name for header in kept), tuple(kept))


def _find(root: Path) -> list[Path]:
    if not is_folder(root):
        raise refuse(root, "there is no such folder", "Give a folder of images")
    paths, others = find_images(root)
    if not paths:
        wrong = f"the folder holds no image, only {counted(others, 'other file')}"
        raise refuse(root, wrong, "Give a folder with PNG, JPEG, WEBP, TIFF, BMP, GIF or PPM")
    if others:
        warn(f"{counted(others, 'file')} in the folder ignored: not images by their names.")
    return paths


def _checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ParameterError(f"size must be positive, got {clip(size)}. Use for example (28, 28).")
    return height, width


def _read_headers(
    root: Path, paths: list[Path], skip_bad: bool, max_pixels: int
) -> tuple[list[ImageHeader], list[str]]:
    headers, bad = [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            headers.append(read_header(path, name, max_pixels))
        except DataError:
            if not skip_bad:
                raise
            bad.append(name)
    return headers, bad


def _decode_all(
    headers: list[ImageHeader], plans: list[Plan], skip_bad: bool
) -> tuple[list[NDArray[Any]], list[ImageHeader], list[str]]:
    images, kept, broken = [], [], []
    for header, plan in zip(headers, plans, strict=True):
        try:
            images.append(_decode(header, plan))
            kept.append(header)
        except DataError:
            if not skip_bad:
                raise
            broken.append(header.name)
    return images, kept, broken


def _warn_of_skipped(folder: str | Path, names: list[str], kept: int) -> None:
    if not kept:
        raise refuse(folder, f"none of its {len(names)} images can be read", "Check the files")
    if names:
        warn(f"{counted(len(names), 'unreadable image')} skipped: {listing(sorted(names))}.")


def _decode(header: ImageHeader, plan: Plan) -> NDArray[Any]:
    """Return the pixels of one file in the size, type and channels of the plan."""
    with open_image(header.path) as image:
        upright = ImageOps.exif_transpose(image)
        values = np.asarray(_plain_mode(upright))
    values = _to_dtype(header, values, plan.dtype)
    values = _resize(values, plan.size)
    if plan.is_colour and values.ndim == 2:
        return np.repeat(values[:, :, None], 3, axis=2)
    return values


def _plain_mode(image: Image.Image) -> Image.Image:
    """Return an image in mode L, RGB, I;16, I or F."""
    if image.mode in ("L", "RGB", "I", "F") or image.mode.startswith("I;16"):
        transparent = image.mode in ("L", "RGB") and "transparency" in image.info
        return _over_white(image) if transparent else image
    if image.mode == "1":
        return image.convert("L")
    if image.has_transparency_data:
        return _over_white(image)
    return image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    flat = over(image.convert("RGBA"), WHITE)
    return flat.convert("L" if image.mode in ("L", "LA", "La") else "RGB")


def _to_dtype(header: ImageHeader, values: NDArray[Any], dtype: str) -> NDArray[Any]:
    _check_values(header, values)
    if dtype == header.dtype:
        return values.astype(dtype)
    if header.dtype == "uint16":
        return np.rint(values / 257.0).astype(np.uint8)
    if values.min() < 0 or values.max() > 1:
        wrong = "it holds floats outside [0, 1] among images of 8 bits"
        raise refuse(header.path, wrong, "Convert all images to one type")
    return np.rint(values * 255.0).astype(np.uint8)


def _check_values(header: ImageHeader, values: NDArray[Any]) -> None:
    if header.dtype == "float32" and not np.isfinite(values).all():
        raise refuse(
            header.path,
            "it holds NaN or infinity",
            "Correct or remove it, or skip it with skip_bad",
        )
    if header.dtype == "uint16" and (values.min() < 0 or values.max() > 65535):
        raise refuse(header.path, "it holds integers beyond 16 bits", "Save it with 16 bits")


def _resize(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if values.shape[:2] == size:
        return values
    height, width = size
    if values.dtype == np.uint8:
        small = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(small)
    # Pillow resizes 16-bit channels only as floats.
    decimals = Image.fromarray(values.astype(np.float32))
    resized = np.asarray(decimals.resize((width, height), Image.Resampling.BILINEAR))
    return resized if values.dtype == np.float32 else np.rint(resized).astype(values.dtype)
