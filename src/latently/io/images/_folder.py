"""Folders of images into one stack of pixels and back."""

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
    """The images of a folder, brought to one size and type.

    Parameters
    ----------
    pixels : ndarray of shape (n, height, width) or (n, height, width, 3), or a list
        Of uint8; of uint16 or float32 when all files are of that type. A list where each image
        has kept its size.
    names : tuple of str
        The path of each image below the folder, with forward slashes, sorted.
    files : tuple of ImageHeader, default=()
        Where each image comes from, and its format and mode, so that it is written as it was.
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

    The orientation noted by a camera is applied, transparency is laid over white, CMYK
    becomes RGB. Images of 16 bits or of decimals keep their type when all agree, and are
    scaled by the range of their type otherwise. What was changed is counted in warnings.

    Parameters
    ----------
    folder : str or Path
        The folder; its sub-folders are read as well, hidden files are not.
    size : int or (int, int), optional
        Height and width of every image; by default the most common size in the folder.
    own_sizes : bool, default=False
        True leaves every image its size; ``pixels`` is then a list.
    skip_bad : bool, default=False
        Pass over files that cannot be read, with a warning; by default they are an error.
    max_pixels : int, default=50_000_000
        Larger images are bad files; judged before they are decoded.
    max_bytes : int, default=1 GiB
        Cap on the memory of the stack.

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
    """The pixels of one file, in the size, type and channels of the plan."""
    with open_image(header.path) as image:
        upright = ImageOps.exif_transpose(image)
        values = np.asarray(_plain_mode(upright))
    values = _to_dtype(header, values, plan.dtype)
    values = _resize(values, plan.size)
    if plan.is_colour and values.ndim == 2:
        return np.repeat(values[:, :, None], 3, axis=2)
    return values


def _plain_mode(image: Image.Image) -> Image.Image:
    """The image as L, RGB, I;16, I or F."""
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
        wrong = "it holds decimals outside 0 to 1 among images of 8 bits"
        raise refuse(header.path, wrong, "Bring all images to one type")
    return np.rint(values * 255.0).astype(np.uint8)


def _check_values(header: ImageHeader, values: NDArray[Any]) -> None:
    if header.dtype == "float32" and not np.isfinite(values).all():
        raise refuse(header.path, "it holds NaN or infinity", "Mend or remove it, or skip_bad")
    if header.dtype == "uint16" and (values.min() < 0 or values.max() > 65535):
        raise refuse(header.path, "it holds integers beyond 16 bits", "Save it with 16 bits")


def _resize(values: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if values.shape[:2] == size:
        return values
    height, width = size
    if values.dtype == np.uint8:
        small = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(small)
    # Pillow resizes 16 bits a channel only by way of decimals.
    decimals = Image.fromarray(values.astype(np.float32))
    resized = np.asarray(decimals.resize((width, height), Image.Resampling.BILINEAR))
    return resized if values.dtype == np.float32 else np.rint(resized).astype(values.dtype)
