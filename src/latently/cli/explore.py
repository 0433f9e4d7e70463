"""``latently explore``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from latently.cli import _options as options
from latently.cli._data import Marks, Source, as_colors, read_matched_rows
from latently.cli._guard import echo

if TYPE_CHECKING:
    from latently.explorer import Explorer


def explore(
    model: options.Model,
    data: options.Data,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Write the map to this HTML file. Default: serve it on this machine.",
        ),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option("--color", metavar="COL", help="Column of DATA that colours the map."),
    ] = None,
    ids: options.Ids = None,
    max_rows: Annotated[
        int, typer.Option(metavar="N", min=2, help="Largest number of rows shown, drawn at random.")
    ] = 20_000,
    port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT", min=0, max=65_535, help="Port to serve on. Default: any free."
        ),
    ] = None,
    open_browser: Annotated[
        bool | None,
        typer.Option(
            "--open/--no-open", help="Open the map in a browser. Default: if it is served."
        ),
    ] = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    key: options.Key = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Explore the rows on a map: decode any place, compare groups, move the threshold.

    With --output the map is one HTML file, which makes no request. Without it the map is served
    on this machine until Ctrl-C, and decoders of images and changed rows are computed, too.
    """
    from latently.explorer import explore as make
    from latently.io._atomic import check_output
    from latently.persistence import load

    if output is None:
        _check_server()
    else:
        _refuse_port(port)
        check_output(output, overwrite)
    loaded = load(model)
    marks = Marks(missing, decimal, dates)
    rows = read_matched_rows(
        Source(data, format, key, skip_bad, ids, color=color, marks=marks), loaded
    )
    colors = None if rows.colors is None else as_colors(rows.colors)
    beside = {} if rows.ids is None else {name: rows.ids[name] for name in rows.ids.column_names}
    made = make(loaded, rows.values, colors, ids=beside, label=color or "label", max_rows=max_rows)
    if output is None:
        _serve(made, port or 0, open_browser is not False)
        return
    made.save(output, overwrite=overwrite)
    echo(f"{made!r}\nwrote {output}")
    if open_browser:
        _open(output)


def _refuse_port(port: int | None) -> None:
    from latently.exceptions import ParameterError

    if port is not None:
        raise ParameterError(
            f"--port must be left out with --output, got {port}. A file is not served."
        )


def _check_server() -> None:
    from latently.explorer._server import import_fastapi

    import_fastapi()


def _serve(made: Explorer, port: int, open_browser: bool) -> None:
    from latently.explorer._server import HOST, listening, new_token, serve

    server, token = listening(port), new_token()
    url = f"http://{HOST}:{server.getsockname()[1]}/?token={token}"
    echo(f"{made!r}\n{url}\nCtrl-C ends it.")
    if open_browser:
        _open(url)
    serve(made, server, token)


def _open(place: str) -> None:
    import webbrowser
    from pathlib import Path

    webbrowser.open(place if place.startswith("http://") else Path(place).resolve().as_uri())
