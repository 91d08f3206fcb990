"""Which step of the tables is the newest, told by the names of the files, without loading Alembic.

``versions/s0007_what_it_does.py`` holds ``revision = "0007"`` and ``down_revision = "0006"``: one line of steps.
Who adds one takes the next number; of two that were made apart the later to land takes a new number.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

_STEPS = Path(__file__).parent / "versions"


@cache
def newest_step() -> str:
    """The number of the newest step, for example ``0007``."""
    return max(path.name[1:5] for path in _STEPS.glob("s[0-9]*.py"))
