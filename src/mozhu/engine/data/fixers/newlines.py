"""``newlines``: line breaks that were escaped twice, and stand as a backslash and an n, become line breaks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mozhu.engine.data.fixers.base import TextFixer, settled

_ESCAPED = re.compile(r"(?<!\\)(?:\\r)?\\n(?![A-Za-z])|(?<=[^\x00-\x7f.:;,!?])\\n(?=[A-Za-z])")
# Where a backslash is meant: code, formulas, paths, and rows that speak of such things.
_MEANT = re.compile(
    r"`|\$|[A-Za-z]:\\|\\[a-mo-qs-zA-Z]{2,}|[\"'](?:[^\"'\n]{0,20})\\n|printf?\s*\(|换行符|換行符|转义|轉義|正则|正則|regex|escape"
)
_LEAST = 2


def unescape_newlines(content: str) -> str:
    """``content`` with real line breaks, where all of them are escaped and nothing in it is code or a formula."""
    if "\\n" not in content or "\n" in content.strip() or _MEANT.search(content):
        return content
    if len(_ESCAPED.findall(content)) < _LEAST:
        return content
    return _ESCAPED.sub("\n", content).replace("\\t", "\t")


def means_escapes(texts: Sequence[str]) -> bool:
    """Whether a row speaks of code, formulas or escapes."""
    return any(_MEANT.search(text) for text in texts)


NEWLINES = TextFixer("newlines", 1, settled(unescape_newlines), leaves_alone=means_escapes)
