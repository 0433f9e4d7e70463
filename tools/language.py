"""Count the words that make docstrings hard to read, as `python tools/language.py [-v]` prints."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
#: What is counted, per 10,000 words of docstrings.
PATTERNS = {
    "what": r"\bwhat\b",
    "semicolons": r";",
    "tell, say, hear": r"\b(tells?|told|says?|said|hears?|heard)\b",
    "judge": r"\bjudge[sd]?\b",
}
#: Most of each, per 10,000 words.
LIMITS = {"what": 5.0, "semicolons": 30.0, "tell, say, hear": 5.0, "judge": 5.0}
#: Words with which no docstring begins.
BEGINNINGS = re.compile(r"(What|How|Whether)\b")
LONGEST_LINE = 100


class Docstring(NamedTuple):
    """A docstring without its examples, and its place."""

    place: str
    text: str


def docstrings(folder: Path = ROOT / "src") -> Iterator[Docstring]:
    """Yield every docstring of the modules below a folder."""
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            text = ast.get_docstring(node) or ""
            lines = [
                line for line in text.splitlines() if not line.lstrip().startswith((">>>", "..."))
            ]
            if lines:
                place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"
                yield Docstring(place, "\n".join(lines))


def rates(found: list[Docstring]) -> dict[str, float]:
    """Return how often each pattern occurs per 10,000 words."""
    n_words = sum(len(one.text.split()) for one in found)
    return {
        name: 1e4 * sum(len(re.findall(pattern, one.text, re.I)) for one in found) / n_words
        for name, pattern in PATTERNS.items()
    }


def riddles(found: list[Docstring]) -> list[str]:
    """Return the places of docstrings that begin with What, How or Whether."""
    return [one.place for one in found if BEGINNINGS.match(one.text)]


def long_lines() -> list[str]:
    """Return the places of lines of the pages over 100 characters, but for tables and links."""
    pages = [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]
    return [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if len(line) > LONGEST_LINE and not line.startswith("|") and " " in line.strip()
    ]


def main() -> None:
    """Print the figures, with ``-v`` also the places."""
    found = list(docstrings())
    for name, rate in rates(found).items():
        print(f"{name:16} {rate:6.1f} per 10,000 words (most {LIMITS[name]:g})")
    places = {"What, How, Whether at the beginning": riddles(found), "long lines": long_lines()}
    for name, where in places.items():
        print(f"{name}: {len(where)}")
        if "-v" in sys.argv:
            print("".join(f"  {place}\n" for place in where), end="")


if __name__ == "__main__":
    main()
