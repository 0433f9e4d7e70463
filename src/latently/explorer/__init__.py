"""The explorer: an interactive map of the rows of a model, as one page or served locally.

The page is written in TypeScript in ``web/explorer``. Its bundle is in ``assets``.
"""

from latently.explorer._page import Explorer, explore

__all__ = ["Explorer", "explore"]
