"""``latently export``."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from latently.cli import _options as options
from latently.cli._guard import echo


class OutputName(StrEnum):
    """Results that an exported file computes."""

    score = "score"
    code = "code"
    reconstruction = "reconstruction"
    reconstruction_error = "reconstruction_error"


def export(
    model: options.Model,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="ONNX file to write or check.")
    ],
    results: Annotated[
        list[OutputName] | None,
        typer.Option(
            "--result",
            help="Result that the file computes; repeatable. Default: all, but only the score "
            "for a detector that stores rows.",
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Compare an existing FILE with MODEL, and write nothing."),
    ] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Write MODEL as an ONNX file, which computes its results without torch.

    The file takes the columns in their own units. It is compared with MODEL on rows that are
    stored in it, and the largest difference is printed.
    """
    from latently.exceptions import ParameterError
    from latently.export import check_onnx, export_onnx
    from latently.io._atomic import check_output
    from latently.persistence import load

    if check:
        if results or overwrite:
            raise ParameterError(
                "--check must be given without --result and --overwrite, got both. It writes no "
                "file."
            )
        echo(f"{output}: {check_onnx(output, load(model))}")
        return
    check_output(output, overwrite)
    names = None if not results else [result.value for result in results]
    found = export_onnx(load(model), output, outputs=names, overwrite=overwrite)
    echo(f"wrote {output}: {found}")
