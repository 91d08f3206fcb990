"""Texts that say the same thing over and over."""

from __future__ import annotations

import re
from collections import Counter

from mozhu.engine.data.checks.findings import Hit, around

_GRAM = 8
_FEWEST = 40
_LEAST_NEW = 0.5
_NO_WORDS = re.compile(r"[\W_]+")


def find_repeats(content: str) -> Hit | None:
    """DATA-310 where less than half of the stretches of eight letters are new; rules and tables do not count."""
    if len(content) < _FEWEST:
        return None
    words = _NO_WORDS.sub("", content)
    count = len(words) - _GRAM + 1
    if count < _FEWEST - _GRAM:
        return None
    grams = [words[place : place + _GRAM] for place in range(count)]
    new = len(set(grams))
    if new >= _LEAST_NEW * count:
        return None
    often, times = Counter(grams).most_common(1)[0]
    shown = f"{1 - new / count:.0%}"
    return Hit(
        "DATA-310", "warning", around(content, 0, 50), {"share": shown, "often": often, "times": times}
    )
