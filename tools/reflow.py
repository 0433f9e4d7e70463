"""Break the lines of Markdown pages at 100 characters, and change nothing else.

``python tools/reflow.py docs/*.md`` writes the files that have longer lines. Only paragraphs and
list items with a longer line are broken anew. Code, tables, headings, directives and lines that
hold one long word, such as an address, stay as they are. Words and blank lines never change, so
that the page shows the same.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

WIDTH = 100
#: First lines that belong to no paragraph: tables, headings, pictures, rules, markup, definitions.
_FIXED = re.compile(r"\s*(\||#|!\[|<|---|:::|\(\w+\)=|: )|\s{4,}\S")
_ITEM = re.compile(r"(\s*)([-*+]|\d+[.)])(\s+)")


def main(paths: list[str]) -> None:
    """Reflow the files given; print those that changed."""
    for path in map(Path, paths):
        before = path.read_text()
        after = reflowed(before)
        if after.split() != before.split():
            raise ValueError(f"{path} would change more than its line breaks")
        if after != before:
            path.write_text(after)
            print(path)


def reflowed(text: str) -> str:
    """Return a page with its long lines broken."""
    out: list[str] = []
    block: list[str] = []
    fence = ""
    for line in [*text.split("\n"), ""]:
        opening = re.match(r"\s*(`{3,}|~{3,}|:{3,})", line)
        if fence or opening or not line.strip() or _ITEM.match(line) or _FIXED.match(line):
            out += _broken(block)
            block = []
        if fence:
            fence = "" if line.strip() == fence else fence
            out.append(line)
        elif opening:
            fence = opening.group(1) if opening.group(1)[0] != ":" else ""
            out.append(line)
        elif not line.strip() or (_FIXED.match(line) and not _ITEM.match(line)):
            out.append(line)
        else:
            block.append(line)
    return "\n".join(out[:-1])


def _broken(block: list[str]) -> list[str]:
    """Return the lines of a paragraph or list item, broken if one of them is too long."""
    if all(len(line) <= WIDTH for line in block):
        return block
    item = _ITEM.match(block[0])
    indent = " " * (len(block[0]) - len(block[0].lstrip()))
    first = item.group(0) if item else indent
    later = " " * len(first)
    words = " ".join([block[0][len(first) :], *(line.strip() for line in block[1:])])
    lines = textwrap.wrap(
        words,
        WIDTH,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return _safe(lines)


def _safe(lines: list[str]) -> list[str]:
    """Join what a line break would turn into a list item, a heading or a quotation."""
    out = lines[:1]
    for line in lines[1:]:
        if re.match(r"\s*([-*+#>|]|\d+[.)]|=+|-+)(\s|$)", line):
            kept, _, moved = out.pop().rpartition(" ")
            indent = " " * (len(line) - len(line.lstrip()))
            line = f"{indent}{moved} {line.lstrip()}"
            out += [kept] if kept.strip() else []
        out.append(line)
    return out


if __name__ == "__main__":
    main(sys.argv[1:])
