"""Tables of the API reference without the references of a summary line, which lead nowhere."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.ext.autosummary import autosummary_table

#: The name that numpydoc gives to a reference of a docstring.
_REFERENCE = re.compile(r"^\[R[0-9a-f]+-\d+\]$")


def _without_references(app: Any, doctree: nodes.document, name: str) -> None:
    for table in doctree.findall(autosummary_table):
        for link in list(table.findall(nodes.reference)):
            if _REFERENCE.match(link.astext()):
                paragraph = link.parent
                before = paragraph[paragraph.index(link) - 1]
                paragraph.replace(before, nodes.Text(before.astext().rstrip()))
                paragraph.remove(link)


def setup(app: Any) -> dict[str, bool]:
    """Connect the step to the end of reading."""
    app.connect("doctree-resolved", _without_references)
    return {"parallel_read_safe": True}
