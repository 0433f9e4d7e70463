"""Write ``requirements/ci.lock``: every package that the tests need, pinned by its hash.

``make lock`` runs it after a change of ``constraints.txt``. The hashes are those of the files that
pip would install here (CPython and platform of the first line); torch is left out, for its build
differs between machines with and without a GPU: only its version is pinned.
"""

import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "requirements" / "ci.lock"
#: Installed before, from whatever build suits the machine.
_APART = {"torch", "latently"}


def main() -> None:
    """Ask pip what it would install, and write it down."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["install", "--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
        wanted = ["--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[dev]"]
        subprocess.run([sys.executable, "-m", "pip", *command, *wanted], check=True)
        found = json.loads(report.read_text())["install"]
    lines = sorted(filter(None, map(_line, found)), key=str.lower)
    system = f"CPython {platform.python_version_tuple()[0]}.{platform.python_version_tuple()[1]}"
    head = f"# {system}, {platform.system()} {platform.machine()}; written by tools/lock.py\n"
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(head + "".join(lines))


def _line(item: dict) -> str:
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    if name.lower() in _APART:
        return ""
    digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name}=={version} --hash=sha256:{digest}\n"


if __name__ == "__main__":
    main()
