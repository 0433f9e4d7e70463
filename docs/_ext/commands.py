"""The page of the command line: the help of every command, as it is printed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from latently.cli import app as commands


def write(app: Any) -> None:
    """Write the help of every command below ``generated/``, before the pages are read."""
    names = [command.name for command in commands.registered_commands]
    parts = [f"## {name}\n\n```text\n{_help(name)}\n```\n" for name in names]
    target = Path(app.srcdir) / "generated" / "commands.md"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(parts))


def _help(name: str | None) -> str:
    environment = {"COLUMNS": "92", "TERMINAL_WIDTH": "92", "NO_COLOR": "1"}
    result = CliRunner().invoke(commands, [str(name), "--help"], "latently", env=environment)
    lines = [line.rstrip() for line in result.output.splitlines()]
    return "\n".join(lines).strip("\n")


def setup(app: Any) -> dict[str, bool]:
    """Connect the step to the start of a build."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
