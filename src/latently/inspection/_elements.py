"""Names and units of the elements of an encoded row."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from latently.preprocessing import ImagePreprocessor, Preprocessor

_DAY = 86_400.0


class Elements(NamedTuple):
    """Meaning of each element of an encoded row.

    Attributes
    ----------
    names : tuple of str
        Names such as ``amount`` and ``kind = book``. Pixels are named by row and column.
    columns : tuple of str
        Column of each element.
    scale : ndarray of shape (width,)
        Size of one encoded unit in the unit of the user: days for dates, fractions for categories.
    center : ndarray of shape (width,)
        Value of an encoded 0 in the unit of the user. It is 0 for dates.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    scale: np.ndarray
    center: np.ndarray


def elements_of(preprocessor: Preprocessor) -> Elements:
    """Name the elements of encoded rows."""
    if isinstance(preprocessor, ImagePreprocessor):
        spec = preprocessor.spec
        channels, height, width = spec.shape
        names = [
            f"pixel {y},{x}" if channels == 1 else f"pixel {y},{x} of channel {c}"
            for c in range(channels) for y in range(height) for x in range(width)
        ]  # fmt: skip
        span = np.full(len(names), spec.high - spec.low)
        return Elements(tuple(names), tuple(names), span, np.full(len(names), spec.low))
    by_place = [preprocessor.column_names[position] for position in preprocessor.order]
    n_numbers = len(preprocessor.positions)
    names, columns = by_place[:n_numbers], by_place[:n_numbers]
    scale, center = list(preprocessor.scale), list(preprocessor.center)
    for codec in preprocessor.codecs:
        names.extend(_names(codec))
        columns.extend([codec.name] * codec.width)
        is_date = codec.likelihood == "gaussian"
        scale.extend([codec.scale / _DAY if is_date else 1.0, *[1.0] * (codec.width - 1)])
        center.extend([0.0] * codec.width)
    return Elements(tuple(names), tuple(columns), np.array(scale), np.array(center))


def _names(codec: Any) -> list[str]:
    categories = getattr(codec, "categories", ())
    if codec.width == len(categories) + 1:
        return [*(f"{codec.name} = {value}" for value in categories), f"{codec.name} = unknown"]
    if len(categories) > 1 and codec.width == len(categories) - 1:
        return [f"{codec.name} above {value}" for value in categories[:-1]]
    if codec.width == 1:
        return [codec.name if codec.likelihood == "gaussian" else f"{codec.name} = True"]
    return [codec.name, *(f"{codec.name}, part {place}" for place in range(2, codec.width + 1))]
