"""An example to copy: a metric of this workspace. ``mozhu evaluate --metrics length_ratio`` then counts it.

示例：工作区自己的指标。复制本文件、改函数、改名称即可；不需要时把文件名改成以 `_` 开头。
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mozhu.kernel.slots import load, register


def length_ratio(answer: str, reference: str) -> float:
    """Characters of the shorter text over the longer's, without blanks: 1 equally long, 0 no answer."""
    shorter, longer = sorted((_characters(answer), _characters(reference)))
    return shorter / longer if longer else 0.0


class LengthRatio:
    """What the slot ``mozhu.metrics`` takes: ``name``, ``better`` and ``score(pairs)``."""

    name = "length_ratio"
    better = "higher"

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        """One value a pair of (answer, reference), their mean, and a signature that says what was counted."""
        mean = load("mozhu.rooms", "mean_metric")
        return mean(self.name, length_ratio, "characters|shorter/longer|scale:0-1", self.better).score(pairs)


def _characters(text: str) -> int:
    return len("".join(text.split()))


register("mozhu.metrics", LengthRatio.name, LengthRatio())
