"""Pictures of the gallery: every matplotlib figure that a block of an example holds by name."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

#: Set on a figure once it was drawn.
_DRAWN = "_latently_drawn"


def scrape(
    block: tuple[Any, ...], block_vars: dict[str, Any], gallery_conf: dict[str, Any], **options: Any
) -> str:
    """Save the figures that are new since the last block, and return the text that shows them."""
    paths = []
    for thing in list(block_vars["example_globals"].values()):
        if isinstance(thing, Figure) and not hasattr(thing, _DRAWN):
            setattr(thing, _DRAWN, True)
            path = next(block_vars["image_path_iterator"])
            thing.savefig(path, dpi=120)
            paths.append(path)
    plt.close("all")
    return figure_rst(paths, gallery_conf["src_dir"])
