"""Figures that a notebook shows."""

from __future__ import annotations

import io

from matplotlib.figure import Figure
from PIL import Image

#: Dots an inch in a notebook, 800 pixels wide; and colours, for a third of the bytes.
_DPI, _N_COLOURS = 100, 256


class ShownFigure(Figure):
    """A figure that a notebook shows as an image of 256 colours, so that its file stays small.

    matplotlib shows figures in notebooks once ``pyplot`` is imported. These figures belong to no
    global state, and are shown without it. ``savefig`` writes all colours.
    """

    def _repr_png_(self) -> bytes:
        drawn, small = io.BytesIO(), io.BytesIO()
        self.savefig(drawn, format="png", dpi=_DPI)
        with Image.open(drawn) as image:
            colours = image.convert("RGB").quantize(_N_COLOURS, dither=Image.Dither.NONE)
        colours.save(small, format="png", optimize=True)
        return small.getvalue()
