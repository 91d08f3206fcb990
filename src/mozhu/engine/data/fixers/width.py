"""``width``: full-width Latin letters and digits become the usual ones; Chinese punctuation stays."""

from __future__ import annotations

from mozhu.engine.data.fixers.base import TextFixer

_USUAL = {
    code: code - 0xFEE0
    for first, last in (("０", "９"), ("Ａ", "Ｚ"), ("ａ", "ｚ"))
    for code in range(ord(first), ord(last) + 1)
}


def usual_width(content: str) -> str:
    """``content`` with ``ＡＢＣ１２３`` as ``ABC123``."""
    return content if content.isascii() else content.translate(_USUAL)


WIDTH = TextFixer("width", 1, usual_width)
