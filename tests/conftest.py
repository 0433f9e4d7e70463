"""What is set before anything else is imported, and the account of the lists of trust."""

import os
import signal
from collections import Counter

import pytest
from hypothesis import settings

# scikit-learn's array API checks are skipped without it.
os.environ.setdefault("SCIPY_ARRAY_API", "1")
# Two threads fighting over tiny matrices are three to ten times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell ignores SIGINT in the jobs that it starts in the background, and tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No example may fail because a machine is slow, and all machines try the same ones.
settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")


@pytest.fixture
def outcome(record_property):
    """Count what became of a case: refused, warned, worked or loaded."""
    counts = {}
    record_property("outcomes", counts)

    def count(word):
        counts[word] = counts.get(word, 0) + 1

    return count


def pytest_collection_modifyitems(items):
    for item in items:
        for mark in item.iter_markers("trust"):
            item.user_properties.append(("list", mark.args[0]))


def pytest_terminal_summary(terminalreporter):
    """Print, for each list, how many cases were run and what became of them."""
    lists = {}
    for word in ("passed", "failed"):
        for report in terminalreporter.stats.get(word, []):
            properties = dict(getattr(report, "user_properties", []))
            if getattr(report, "when", "") == "call" and "list" in properties:
                counts = lists.setdefault(properties["list"], Counter())
                counts.update(properties.get("outcomes", {"worked": 1}))
                counts[f"tests {word}"] += 1
    if lists:
        terminalreporter.section("trust")
    for name, counts in sorted(lists.items()):
        n_cases = sum(n for word, n in counts.items() if not word.startswith("tests"))
        words = ", ".join(f"{n:,} {word}" for word, n in sorted(counts.items()))
        terminalreporter.write_line(f"{name}: {n_cases:,} cases: {words}")
