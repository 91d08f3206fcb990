"""What a fixer is, and how one keeps out of code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mozhu.engine.data.rows import RowProblem

_CODE = re.compile(
    r"^[ \t]{0,3}(?P<fence>`{3,}|~{3,}).*?(?:^[ \t]{0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)",
    re.DOTALL | re.MULTILINE,
)
_MOST_ROUNDS = 16


def _never(texts: Sequence[str]) -> bool:
    return False


def _as_it_is(content: str) -> str:
    return content


@dataclass(frozen=True)
class TextFixer:
    """Mends one text at a time; ``change`` is pure and what it returns it leaves as it is.

    ``version`` goes up when the same text would be changed otherwise. ``leaves_alone`` is told all texts of a
    row and says whether the row means what would be mended. ``shown`` is how a text may be shown to people.
    ``in_json``: what tools are called with and what they say is mended too.
    """

    name: str
    version: int
    change: Callable[[str], str]
    leaves_alone: Callable[[Sequence[str]], bool] = _never
    shown: Callable[[str], str] = _as_it_is
    only_named: bool = False
    in_json: bool = False


@dataclass(frozen=True)
class RowFixer:
    """Mends a row that cannot be used: ``mend`` is told the problem and returns the row without it, or ``None``."""

    name: str
    version: int
    mend: Callable[[dict[str, Any], RowProblem], dict[str, Any] | None]
    only_named: bool = False


def outside_code(content: str, change: Callable[[str], str]) -> str:
    """``content`` with ``change`` made to what stands outside fenced blocks and code in backticks."""
    if "`" not in content and "~~~" not in content:
        return change(content)
    parts, end = [], 0
    for match in _CODE.finditer(content):
        parts += [change(content[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*parts, change(content[end:])])


def settled(change: Callable[[str], str]) -> Callable[[str], str]:
    """``change`` again and again until nothing changes; a text that never settles stays as it was."""

    def until_settled(content: str) -> str:
        before = content
        for _ in range(_MOST_ROUNDS):
            after = change(before)
            if after == before:
                return after
            before = after
        return content

    return until_settled
