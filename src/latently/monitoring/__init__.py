"""Watching of sources that grow, and verdicts of analysts.

``Watch`` scores new rows, each once, and writes alerts. ``Verdicts`` keeps the answers of analysts
about alerts beside the model. Modules here import tasks and all below.
"""

from latently.monitoring._rules import AlertRules, parse_duration, parse_hours
from latently.monitoring._run import BatchReport, WatchReport
from latently.monitoring._verdicts import Precision, Verdicts
from latently.monitoring._watch import Watch
from latently.monitoring._webhook import Webhook
from latently.monitoring.sources._file import FileSource
from latently.monitoring.sources._folder import FolderSource
from latently.monitoring.sources._pipe import PipeSource
from latently.monitoring.sources._query import QuerySource

__all__ = [
    "AlertRules",
    "BatchReport",
    "FileSource",
    "FolderSource",
    "PipeSource",
    "Precision",
    "QuerySource",
    "Verdicts",
    "Watch",
    "WatchReport",
    "Webhook",
    "parse_duration",
    "parse_hours",
]
