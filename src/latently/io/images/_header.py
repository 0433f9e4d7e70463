"""Headers of image files: size, type and mode, read before the pixels are decoded."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from latently.exceptions import DataError
from latently.io._formats import IMAGE_SUFFIXES
from latently.io._messages import counted, refuse, warn

__all__ = [
    "WHITE",
    "ImageHeader",
    "Plan",
    "find_images",
    "make_plans",
    "open_image",
    "over",
    "read_header",
]

# EPS is excluded: Pillow reads it by Ghostscript, which executes the file.
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
#: Background of transparent pixels.
WHITE = (255, 255, 255, 255)
_BAD_REMEDY = "Correct or remove it, or skip it with skip_bad"
_IGNORED = frozenset(("thumbs.db", "desktop.ini"))
_ORIENTATION = 0x0112
_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F"))


class ImageHeader(NamedTuple):
    """Description of one image by its header."""

    path: Path
    name: str
    size: tuple[int, int]  # height, width, after the orientation is applied
    dtype: str  # "uint8", "uint16" or "float32"
    is_colour: bool
    is_animated: bool
    mode: str = "L"
    format: str = "PNG"
    is_transparent: bool = False
    is_cut_to_8_bits: bool = False  # Pillow reads 16-bit channels in grey images only


class Plan(NamedTuple):
    """Size and type to which the images of a folder are converted."""

    size: tuple[int, int]
    dtype: str
    is_colour: bool

    def nbytes(self, count: int) -> int:
        """Return the size of a stack of images in bytes."""
        channels = 3 if self.is_colour else 1
        return count * self.size[0] * self.size[1] * channels * np.dtype(self.dtype).itemsize


def find_images(folder: Path) -> tuple[list[Path], int]:
    """Return all images below a folder, sorted by relative path, and the number of other files.

    Hidden files and folders are skipped. Links are followed, and each real folder is read once.
    """
    images, others = [], 0
    for path in _walk(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images.append(path)
        else:
            others += 1
    return sorted(images, key=lambda path: path.relative_to(folder).as_posix()), others


def read_header(path: Path, name: str, max_pixels: int) -> ImageHeader:
    """Read the header of one image.

    Raises
    ------
    DataError
        If the file is not an image, or has more than ``max_pixels`` pixels.
    """
    with open_image(path) as image:
        _check_pixels(path, image.size, max_pixels)
        width, height = image.size
        if image.getexif().get(_ORIENTATION) in (5, 6, 7, 8):
            width, height = height, width
        return ImageHeader(
            path,
            name,
            (height, width),
            _dtype(image.mode),
            image.mode not in _GREY_MODES and not image.mode.startswith("I;16"),
            getattr(image, "n_frames", 1) > 1,
            image.mode,
            "JPEG" if image.format == "MPO" else str(image.format),
            image.has_transparency_data,
            _is_cut(image),
        )


def make_plans(
    headers: Sequence[ImageHeader], size: tuple[int, int] | None, own_sizes: bool
) -> list[Plan]:
    """Return the size, type and channels of each image in the stack.

    The size is the given one, or the most common one, or its own with ``own_sizes``.
    """
    dtypes = {header.dtype for header in headers}
    colours = sum(header.is_colour for header in headers)
    plan = Plan(
        size or _common_size(headers),
        dtypes.pop() if len(dtypes) == 1 else "uint8",
        colours > 0,
    )
    _warn_of_changes(headers, plan, is_asked=own_sizes or size is not None)
    return [plan._replace(size=header.size) if own_sizes else plan for header in headers]


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open one image. Any error of Pillow becomes a DataError that names the file."""
    try:
        if not path.is_file():
            raise refuse(path, "this is not a regular file", _BAD_REMEDY)
        with warnings.catch_warnings():
            # Pillow warns of odd metadata and of large images, which max_pixels checks.
            warnings.simplefilter("ignore")
            with path.open("rb") as file, Image.open(file, formats=_FORMATS) as image:
                yield image
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise refuse(path, "the image is far too large to decode", _BAD_REMEDY) from None
    except Exception as error:
        # Pillow's decoders raise many kinds of errors for damaged files.
        wrong = f"the image cannot be read ({_reason(error)})"
        raise refuse(path, wrong, _BAD_REMEDY) from None


def over(layer: Image.Image, colour: tuple[int, int, int, int]) -> Image.Image:
    """Return a transparent image composited over a colour."""
    return Image.alpha_composite(Image.new("RGBA", layer.size, colour), layer)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is no PNG, JPEG, WEBP, TIFF, BMP, GIF or PPM"
    return f"{type(error).__name__}: {error}"[:70]


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[tuple[int, int]] = set()
    for root, folders, files in os.walk(folder, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        # Sorted, so that the same one of two links to a folder is followed each time.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in files if not _is_ignored(name))


def _is_ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _IGNORED


def _check_pixels(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        wrong = f"the image has {width} x {height} pixels, over max_pixels={max_pixels}"
        raise refuse(path, wrong, "Make it smaller, raise max_pixels, or skip it with skip_bad")
    if width * height == 0:
        raise refuse(path, "the image has no pixels", _BAD_REMEDY)


def _dtype(mode: str) -> str:
    if mode == "F":
        return "float32"
    return "uint16" if mode.startswith("I") else "uint8"


def _is_cut(image: Image.Image) -> bool:
    """Return True if Pillow reads 16-bit channels with 8 bits. Its raw mode shows it."""
    if image.mode[:1] in ("I", "F"):
        return False
    unpacked = str(getattr(image, "tile", ""))
    return ";16" in unpacked or (image.format == "PPM" and "65535" in unpacked)


def _common_size(headers: Sequence[ImageHeader]) -> tuple[int, int]:
    counts = Counter(header.size for header in headers)
    return max(counts, key=lambda size: (counts[size], size[0] * size[1], size))


def _warn_of_changes(headers: Sequence[ImageHeader], plan: Plan, is_asked: bool) -> None:
    resized = sum(header.size != plan.size for header in headers)
    if resized and not is_asked:
        height, width = plan.size
        warn(
            f"{counted(resized, 'image')} of {len(headers)} resized to {height} x {width} "
            "(height x width), the most common size."
        )
    grey = sum(not header.is_colour for header in headers)
    if plan.is_colour and grey:
        warn(f"{counted(grey, 'grey image')} of {len(headers)} turned into colour.")
    deep = sum(header.dtype != plan.dtype for header in headers)
    if deep:
        warn(f"{counted(deep, 'image')} of {len(headers)} scaled to 8 bits a channel.")
    cut = sum(header.is_cut_to_8_bits for header in headers)
    if cut:
        warn(f"{counted(cut, 'image')} of {len(headers)} of 16 bits in colour read with 8.")
    animated = sum(header.is_animated for header in headers)
    if animated:
        warn(f"{counted(animated, 'image')} with several frames; only the first is used.")
