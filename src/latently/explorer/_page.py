"""The page: one self-contained file, or the frame of a notebook."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any

from latently._notices import each_once
from latently._sklearn import Interval, check_parameters
from latently.explorer._payload import Beside, Payload, gather
from latently.io._atomic import atomic_path

#: Height of the frame in a notebook, in CSS pixels.
_FRAME_HEIGHT = 720
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>{style}</style>
</head>
<body>
<div id="app"><noscript>This page needs JavaScript.</noscript></div>
<script type="application/json" id="header">{header}</script>
<script type="application/octet-stream" id="blob">{blob}</script>
<script>{script}</script>
</body>
</html>
"""


class Explorer:
    """An interactive map as one self-contained page.

    A notebook shows it in a frame. The page makes no request.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    payload : Payload
        Contents of the page.

    Attributes
    ----------
    header : dict
        Contents of the page, without the arrays.
    rows : array, DataFrame, Table or image stack
        Rows that are shown.
    """

    def __init__(self, model: Any, payload: Payload) -> None:
        self.model = model
        self.header = payload.header
        self.rows = payload.rows
        self._blob = payload.blob

    @property
    def html(self) -> str:
        """The page as text."""
        return self.page(None)

    def page(self, server: Mapping[str, str] | None) -> str:
        """Return the page, with the address of the server that decodes codes if there is one."""
        script, style = asset("explorer.js"), asset("explorer.css")
        return _PAGE.format(
            policy=policy(script, style, served=server is not None),
            title=escape(f"{self.header['title']}: explorer"),
            style=style,
            header=as_script(json.dumps({**self.header, "server": server}, allow_nan=False)),
            blob=self._blob,
            script=script,
        )

    def save(self, path: str | Path, *, overwrite: bool = True) -> None:
        """Write the page.

        Parameters
        ----------
        path : str or Path
            Output file. It is replaced atomically.
        overwrite : bool, default=True
            False refuses to replace a file.

        Raises
        ------
        OutputExistsError
            If the file exists and may not be replaced.
        """
        with atomic_path(path, overwrite) as temporary:
            Path(temporary).write_text(self.html, encoding="utf-8")

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{escape(self.html)}" title="explorer" width="100%" '
            f'height="{_FRAME_HEIGHT}" sandbox="allow-scripts allow-downloads" '
            'style="border: 0"></iframe>'
        )

    def __repr__(self) -> str:
        return f"{self.header['title']} explorer of {self.header['about']}"


@each_once()
def explore(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    ids: Mapping[str, Any] | None = None,
    label: str = "label",
    max_rows: int = 20_000,
) -> Explorer:
    """Return an interactive map of rows, in which any place can be decoded.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    y : array-like of shape (n_samples,) or None, default=None
        A label or an amount of each row, which colours the map. None colours by the score.
    ids : mapping of str to array-like of shape (n_samples,), or None, default=None
        Further columns that identify the rows. They are searched, listed and exported.
    label : str, default="label"
        Name of ``y``.
    max_rows : int, default=20_000
        Largest number of rows in the page. If there are more, they are drawn at random. The page
        grows by about 100 bytes a row.

    Returns
    -------
    Explorer
        The page. A notebook shows it, ``save`` writes it to a file.

    Raises
    ------
    DataError
        If the rows cannot be used, or ``y`` or ``ids`` have another length.

    Examples
    --------
    >>> import numpy as np
    >>> from latently import Autoencoder, explore
    >>> rows = np.random.default_rng(0).normal(size=(50, 4))
    >>> model = Autoencoder(2, max_epochs=1, random_state=0).fit(rows)
    >>> explore(model, rows)
    Autoencoder explorer of 50 rows, 2 components
    """
    limits = {"max_rows": [Interval(Integral, 2, None, closed="left")]}
    check_parameters(limits, {"max_rows": max_rows}, "explore")
    return Explorer(model, gather(model, X, Beside(y, label, dict(ids or {})), max_rows))


def asset(name: str) -> str:
    """Return a file of the bundle as text."""
    return files("latently.explorer").joinpath("assets", name).read_text(encoding="utf-8")


def as_script(text: str) -> str:
    """Return JSON without characters that would end a script element."""
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def policy(script: str, style: str, *, served: bool) -> str:
    """Return the content security policy: the bundle only, and no request but to the server."""
    parts = [
        "default-src 'none'",
        f"script-src '{_hash_of(script)}'",
        f"style-src '{_hash_of(style)}'",
        "img-src data:",
        f"connect-src {chr(39)}{'self' if served else 'none'}{chr(39)}",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(parts)


def _hash_of(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
