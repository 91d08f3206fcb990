"""``numbers``: a number where a text is expected becomes the text of the same digits."""

from __future__ import annotations

import math
import re
from typing import Any

from mozhu.engine.data.fixers.base import RowFixer
from mozhu.engine.data.rows import RowProblem

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def numbers_as_text(value: dict[str, Any], problem: RowProblem) -> dict[str, Any] | None:
    """``value`` with the number that ``problem`` names as text, and those beside it in the same list.

    True, false and what is no number (NaN) stay: nobody can tell what they were to say.
    """
    if problem.code != "DATA-104" or problem.params.get("wanted") not in {"string", "[…, …]"}:
        return None
    steps: list[str | int] = [name if name else int(number) for name, number in _STEP.findall(problem.field)]
    return _mended(value, steps)


def _mended(value: Any, steps: list[str | int]) -> Any:
    """A copy of ``value`` with numbers at ``steps`` as text, or ``None`` where there is none."""
    if not steps:
        return _text(value)
    step, rest = steps[0], steps[1:]
    if isinstance(value, dict) and step in value:
        inner = _mended(value[step], rest)
        return None if inner is None else {**value, step: inner}
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        inside = [_mended(item, rest) for item in value]
        if inside[step] is None:
            return None
        return [old if new is None else new for old, new in zip(value, inside)]
    return None


def _text(value: Any) -> Any:
    if isinstance(value, list):  # a pair of alpaca's history
        texts = [_text(item) for item in value]
        is_pair = (
            len(value) == 2
            and any(texts)
            and all(isinstance(new or old, str) for new, old in zip(texts, value))
        )
        return [new or old for new, old in zip(texts, value)] if is_pair else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return str(value) if isinstance(value, int) or math.isfinite(value) else None


NUMBERS = RowFixer("numbers", 1, numbers_as_text)
