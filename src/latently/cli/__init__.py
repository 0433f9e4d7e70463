"""The command line: one file a command, each reads, calls and writes.

Nothing heavy is imported before a command runs, so that ``latently --help`` is quick.
"""

from latently.cli._app import app, main

__all__ = ["app", "main"]
