"""The application: its commands and its own options."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from latently.cli import (
    compare,
    demo,
    denoise,
    detect,
    drift,
    explain,
    export,
    fit,
    impute,
    inspect,
    inverse_transform,
    label,
    reconstruct,
    report,
    sample,
    score,
    transform,
    tune,
    watch,
)
from latently.cli._examples import epilog
from latently.cli._guard import BROKEN_PIPE, ending, guarded, refuse
from latently.cli._streams import lost_reader, prepare_streams

app = typer.Typer(
    name="latently",
    help="Autoencoders for tables and images: compress, map, flag anomalies, fill gaps, "
    "denoise, generate.",
    epilog="Data goes to stdout, words go to stderr. Exit codes: 0 ok, 1 bug, 2 usage, 3 data, "
    "4 model file, 5 diverged or out of resources, 6 missing package, 10 anomalies found, "
    "11 drift, 129/130/143 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, Callable[..., None]] = {
    "fit": fit.fit,
    "tune": tune.tune,
    "detect": detect.detect,
    "transform": transform.transform,
    "inverse-transform": inverse_transform.inverse_transform,
    "reconstruct": reconstruct.reconstruct,
    "score": score.score,
    "explain": explain.explain,
    "drift": drift.drift,
    "report": report.report,
    "impute": impute.impute,
    "denoise": denoise.denoise,
    "sample": sample.sample,
    "compare": compare.compare,
    "inspect": inspect.inspect,
    "export": export.export,
    "watch": watch.watch,
    "label": label.label,
    "demo": demo.demo,
}
for _name, _command in _COMMANDS.items():
    app.command(_name, epilog=epilog(_name))(guarded(_command, in_several=_name == "fit"))


def _show_version(wanted: bool) -> None:
    if wanted:
        from latently import __version__

        typer.echo(f"latently {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    prepare_streams()
    try:
        app()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
    except OSError as error:
        code = refuse(error)  # help on a full disk
    code = ending(code)
    # Typer and Rich have exit codes of their own for a closed pipe.
    sys.exit(BROKEN_PIPE if lost_reader() else code)
