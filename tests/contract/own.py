"""The parts of the user's own that CONTRIBUTING.md shows, as they stand there."""

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
_NAMES: dict = {"__name__": __name__}
exec("\n".join(re.findall(r"```python\n(.*?)```", _PAGE.read_text(), re.DOTALL)), _NAMES)  # noqa: S102 - our own page

Rounded = _NAMES["Rounded"]
StudentT = _NAMES["StudentT"]
#: Handed to ``load``.
CLASSES = [Rounded, StudentT]
