"""``invisible``: characters that nobody sees and every tokenizer does are taken out, where they carry no meaning."""

from __future__ import annotations

import re

from mozhu.engine.data.fixers.base import TextFixer

_LINE_ENDS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_NEVER = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb]"
)
# Scripts in which a character without width says how letters join, where words end, or which way they run.
_JOINING = (
    "\u0600-\u08ff\u0900-\u0dff\u0e00-\u109f\u1780-\u18af\u1980-\u1cff\ufb50-\ufdff\ufe70-\ufefc\ua980-\uaadf"
)
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_DIRECTIONS = re.compile("[\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069]")
# U+200C and U+200D also stand in pictures made of several (families, professions) and after U+FE0F.
_PICTURES = "\u2190-\u2bff\ufe0f\u20e3\U0001f000-\U0001faff"
_JOINERS = re.compile(
    f"(?<![{_JOINING}{_PICTURES}])[\u200b-\u200d\u180e]|[\u200b-\u200d\u180e](?![{_JOINING}{_PICTURES}])"
)
# Tag characters hide ASCII text; only flags of regions are made with them.
_TAGS = re.compile("(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f]+")


def drop_invisible(content: str) -> str:
    """``content`` without control characters, byte order marks and characters without width.

    Joiners stay in emoji and between letters of scripts that need them, marks of direction where there are
    letters that run from right to left; rare line ends become line breaks.
    """
    if content.isascii() and content.isprintable():
        return content
    content = _TAGS.sub("", _NEVER.sub("", _LINE_ENDS.sub("\n", content)))
    if not _RIGHT_TO_LEFT.search(content):
        content = _DIRECTIONS.sub("", content)
    while (shorter := _JOINERS.sub("", content)) != content:
        content = shorter
    return content


INVISIBLE = TextFixer("invisible", 1, drop_invisible, shown=lambda content: show_invisible(content))


def show_invisible(content: str) -> str:
    """``content`` with every invisible character written as its number."""
    hidden = re.compile(
        "|".join(f"(?:{some.pattern})" for some in (_LINE_ENDS, _NEVER, _DIRECTIONS))
        + "|[\u180e\u200b-\u200d]|[\U000e0000-\U000e007f]"
    )
    return hidden.sub(lambda match: f"<U+{ord(match.group()):04X}>", content)
