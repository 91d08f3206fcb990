"""``markdown``: what converters to Markdown leave behind: needless backslashes, empty links, marks around nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mozhu.engine.data.fixers.base import TextFixer, outside_code, settled

# Brackets and braces after a backslash are formulas; so is everything beside a dollar sign.
_ESCAPED = re.compile(r"(?<!\\)\\([_*#>+.!~-])(?![A-Za-z{])")
_EMPTY_LINK = re.compile(r"(?<![!\]\\])\[[ \t]*\]\([^()\s]*\)")
_NO_IMAGE = re.compile(r"!\[[^\[\]\n]*\]\([ \t]*\)")
_NOTHING = re.compile(r"(?<![*\w])(?:\*\*[ \t]+\*\*|\*{4})(?![*\w])")
_EMPTY_HEADING = re.compile(r"^[ ]{0,3}#{1,6}[ \t]*$\n?", re.MULTILINE)
_FORMULA = re.compile(r"\$|\\[a-zA-Z]{2,}|\\[\[({]")
_ON_PURPOSE = re.compile(r"markdown|latex|regex|\btex\b|正则|正則|转义|轉義|脚本|shell|bash|代码|代碼", re.I)


def tidy_markdown(content: str) -> str:
    """``content`` without Markdown that shows nothing; texts with formulas keep their backslashes."""
    return outside_code(content, _tidy)


def means_markdown(texts: Sequence[str]) -> bool:
    """Whether a row speaks of Markdown, formulas or programs."""
    return any(_ON_PURPOSE.search(text) for text in texts)


def _tidy(content: str) -> str:
    if "\\" in content and not _FORMULA.search(content):
        content = _ESCAPED.sub(r"\1", content)
    for empty in (_NO_IMAGE, _EMPTY_LINK, _NOTHING, _EMPTY_HEADING):
        content = empty.sub("", content)
    return content


MARKDOWN = TextFixer("markdown", 1, settled(tidy_markdown), leaves_alone=means_markdown)
