"""``simplified`` and ``traditional``: Chinese text in one script, by OpenCC (needs the extra ``[data]``)."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from mozhu.engine.data.fixers.base import TextFixer, outside_code, settled
from mozhu.kernel import slots

_HAN = re.compile("[\u3400-\u9fff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3040-\u30ff\u31f0-\u31ff]")


def to_simplified(content: str) -> str:
    """``content`` in simplified characters; Japanese stays."""
    return _converted(content, "t2s")


def to_traditional(content: str) -> str:
    """``content`` in traditional characters; Japanese stays."""
    return _converted(content, "s2t")


def _converted(content: str, way: str) -> str:
    if content.isascii() or not _HAN.search(content) or _KANA.search(content):
        return content
    return outside_code(content, _opencc(way).convert)


@cache
def _opencc(way: str) -> Any:
    """Raises MissingExtra: ENV-001."""
    return slots.load("mozhu.rooms", "open_opencc")(way)


SIMPLIFIED = TextFixer("simplified", 1, settled(to_simplified), only_named=True)
TRADITIONAL = TextFixer("traditional", 1, settled(to_traditional), only_named=True)
