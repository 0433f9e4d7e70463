"""Convert pixels to the format, mode and bit depth of the file that they were read from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from latently.io._messages import counted, refuse, warn
from latently.io.images._header import WHITE, ImageHeader, open_image, over

__all__ = ["restored", "warn_of_losses"]

#: Value of white by type of pixel.
_WHITE = {"u1": 255.0, "u2": 65_535.0, "f": 1.0}
#: Lossless compressions of TIFF.
_PACKED = ("tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "group3", "group4")
_QUALITY = 95
_GREY = ("1", "L", "LA", "La", "F")
_PALETTE = ("P", "PA")
#: Modes that are written unchanged. Other colour modes are written as RGB.
_KEPT = (*_GREY, *_PALETTE, "RGB", "RGBA", "RGBa", "I")


def restored(pixels: NDArray[Any], header: ImageHeader) -> tuple[Image.Image, dict[str, Any]]:
    """Return an image in the mode of its file, and the options to save it.

    Parameters
    ----------
    pixels : ndarray of shape (height, width) or (height, width, channels)
        Pixels of any type. They are scaled so that white is white in the type of the file.
    header : ImageHeader
        Header of the file.

    Returns
    -------
    image : Image
        The image to save.
    options : dict
        Arguments of ``Image.save``.
    """
    is_grey = not header.is_colour
    if pixels.ndim == 3 and is_grey:
        pixels = pixels[..., :3].mean(2) if pixels.dtype.kind == "f" else _mean(pixels)
    values = _typed(pixels, header)
    with open_image(header.path) as source:
        options = _options(source, header)
        if header.is_transparent:
            image = _with_transparency(values, ImageOps.exif_transpose(source))
        else:
            image = Image.fromarray(values)
    return _in_mode(image, header), options


def warn_of_losses(headers: Sequence[ImageHeader]) -> None:
    """Warn of images whose format or mode cannot store all pixels exactly.

    Parameters
    ----------
    headers : sequence of ImageHeader
        Headers of the images that are written.
    """
    jpeg = sum(header.format == "JPEG" for header in headers)
    if jpeg:
        warn(f"{counted(jpeg, 'JPEG image')} written again as JPEG, which changes pixels a little.")
    palette = sum(header.mode in _PALETTE for header in headers)
    if palette:
        warn(f"{counted(palette, 'image')} with a palette written in at most 256 new colours.")
    other = sum(not _is_kept(header.mode) for header in headers)
    if other:
        warn(f"{counted(other, 'image')} in CMYK or another colour space written as RGB.")


def _is_kept(mode: str) -> bool:
    return mode in _KEPT or mode.startswith("I;16")


def _mean(pixels: NDArray[Any]) -> NDArray[Any]:
    grey: NDArray[Any] = np.rint(pixels[..., :3].mean(2)).astype(pixels.dtype)
    return grey


def _typed(pixels: NDArray[Any], header: ImageHeader) -> NDArray[Any]:
    """Return pixels in the type of the file, scaled from black to white."""
    wanted = np.dtype(header.dtype)
    if pixels.dtype == wanted:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind == "f" and wanted.kind == "f":
        return pixels.astype(wanted)
    white = _WHITE.get(pixels.dtype.kind + str(pixels.dtype.itemsize) * (pixels.dtype.kind == "u"))
    outside = pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1)
    if white is None or outside:
        wrong = f"pixels of {pixels.dtype} from {pixels.min()} to {pixels.max()} do not fit into"
        raise refuse(header.path, f"{wrong} {header.dtype}", f"Give {header.dtype}, or 0 to 1")
    scaled = pixels / white * _WHITE["f" if wanted.kind == "f" else f"u{wanted.itemsize}"]
    return scaled.astype(wanted) if wanted.kind == "f" else np.rint(scaled).astype(wanted)


def _with_transparency(values: NDArray[Any], source: Image.Image) -> Image.Image:
    """Return an image with the transparency of a file that shows the pixels over white."""
    height, width = values.shape[:2]
    layer = source.convert("RGBA")
    if layer.size != (width, height):
        layer = layer.resize((width, height), Image.Resampling.BILINEAR)
    before, over_white = np.asarray(layer), np.asarray(over(layer, WHITE))
    colours, alpha = before[..., :3], before[..., 3:]
    shown = values[..., None] if values.ndim == 2 else values[..., :3]
    change = (shown - over_white[..., :3].astype(np.float64)) * 255 / np.maximum(alpha, 1)
    # Fully transparent pixels keep their colour.
    changed = np.where(alpha == 0, colours, np.clip(np.rint(colours + change), 0, 255))
    return Image.fromarray(np.concatenate([changed.astype(np.uint8), alpha], axis=2))


def _in_mode(image: Image.Image, header: ImageHeader) -> Image.Image:
    mode = header.mode
    if mode == "1":
        return image.point([255 * (level >= 128) for level in range(256)]).convert("1")
    if mode in _PALETTE and header.format != "GIF":  # Pillow makes the palette of a GIF itself
        is_clear = image.mode == "RGBA"
        return image.quantize(256, Image.Quantize.FASTOCTREE if is_clear else None)
    if image.mode == "RGBA" and mode in ("L", "LA", "La"):
        return image.convert("LA")
    if mode == "I" and header.format != "PNG":
        return Image.fromarray(np.asarray(image).astype(np.int32))
    return image


def _options(source: Image.Image, header: ImageHeader) -> dict[str, Any]:
    """Return the format, colour profile, resolution and compression of an image."""
    options: dict[str, Any] = {"format": header.format}
    space = source.info.get("icc_profile")
    if space and _is_kept(header.mode):
        options["icc_profile"] = space
    if "dpi" in source.info and header.format in ("PNG", "JPEG", "TIFF", "BMP"):
        options["dpi"] = source.info["dpi"]
    if header.format == "JPEG":
        options |= {"quality": _QUALITY, "subsampling": 0}
    if header.format == "WEBP":
        options["lossless"] = True
    packed = source.info.get("compression")
    if header.format == "TIFF" and packed in _PACKED:
        options["compression"] = packed
    return options
