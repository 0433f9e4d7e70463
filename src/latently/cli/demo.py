"""``latently demo``."""

from __future__ import annotations

from typing import Annotated

import typer

from latently.cli import _options as options
from latently.cli._guard import echo
from latently.cli._output import write_text


def demo(
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write to.")
    ] = "demo-output",
    overwrite: options.Overwrite = False,
) -> None:
    """Show the main jobs on synthetic and built-in data, without a download."""
    from latently.io._atomic import check_output
    from latently.report import render_demo, run_demo

    check_output(output, overwrite, folder=True)
    figures = run_demo(output, echo)
    write_text(render_demo(figures))
