"""``html``: tags, comments and entities that a web page left behind become plain text; code stays."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

from mozhu.engine.data.fixers.base import TextFixer, outside_code, settled

_ATTRIBUTE = r"\s+[a-z][\w:-]*\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+)"
_INSIDE = rf"(?:{_ATTRIBUTE}){{0,20}}\s*/?"
_LINES = "br|hr|p|div|tr|table|ul|ol|h[1-6]|section|article|blockquote|dl|dt|dd|center|header|footer|nav"
_PLAIN = (
    "span|font|tbody|thead|tfoot|colgroup|col|td|th|img|iframe|em|strong|html|body|head|meta|link|form|input"
    "|button|sup|sub|small|strike|figure|figcaption|main|aside|label|video|audio|source|pre|code|title|o:p"
)
# One letter may also be a placeholder or a type: it is a tag when it has its end.
_LETTERS = "a|b|i|u|s|q"
_WITH_CONTENT = re.compile(
    rf"<(script|style){_INSIDE}>.*?</\1\s*>|<!--.*?-->|<!doctype\b[^<>]*>", re.DOTALL | re.I
)
_ITEM = re.compile(rf"[ \t]*\n?[ \t]*<li{_INSIDE}>[ \t]*", re.I)
_ITEM_END = re.compile(r"</li\s*>", re.I)
_CELL = re.compile(rf"</t[dh]\s*>\s*<t[dh]{_INSIDE}>", re.I)
_LINE = re.compile(rf"[ \t]*\n?[ \t]*</?(?:{_LINES})\b{_INSIDE}>[ \t]*\n?", re.I)
_TAG = re.compile(rf"</?(?:{_PLAIN}){_INSIDE}>", re.I)
_LETTER = re.compile(rf"<({_LETTERS}){_INSIDE}>(.*?)</\1\s*>", re.DOTALL | re.I)
_ANY = re.compile(rf"</?(?:{_LINES}|{_PLAIN}|li|{_LETTERS}|script|style)\b{_INSIDE}>|<!--|<!doctype\b", re.I)
_ENTITY = re.compile(r"&(?:[a-z][a-z0-9]{1,30}|#\d{1,7}|#x[0-9a-f]{1,6});", re.I)
_EMPTY_LINES = re.compile(r"\n{3,}")
# Rows that speak of markup or of programs hold it on purpose.
_ON_PURPOSE = re.compile(
    r"html|xml|css|svg|javascript|jsx|vue|react|webpage|web page|markup|regex|xpath|selenium|beautifulsoup|latex"
    r"|网页|網頁|标签|標籤|前端|爬虫|爬蟲|代码|代碼|转义|轉義|正则|正則",
    re.I,
)


def strip_html(content: str) -> str:
    """``content`` without tags, their meaning as lines, list marks and tabs, and entities as characters."""
    if "<" not in content and "&" not in content:
        return content
    return outside_code(content, _plain)


def means_markup(texts: Sequence[str]) -> bool:
    """Whether a row speaks of markup or programs."""
    return any(_ON_PURPOSE.search(_without_tags(text)) for text in texts)


def _plain(content: str) -> str:
    content = _ENTITY.sub(_character, content)
    if not _ANY.search(content):
        return content
    content = _WITH_CONTENT.sub("", content)
    content = _ITEM_END.sub("", _ITEM.sub("\n- ", content))
    content = _LINE.sub("\n", _CELL.sub("\t", content))
    content = _LETTER.sub(r"\2", _TAG.sub("", content))
    return _EMPTY_LINES.sub("\n\n", content).strip("\n")


def _character(match: re.Match[str]) -> str:
    """The character that an entity names; one that is none, or that no text may hold, stays as written."""
    found = html.unescape(match.group())
    if (
        found == match.group()
        or "\ufffd" in found
        or any(char < " " and char not in "\n\t" for char in found)
    ):
        return match.group()
    return found.replace("\xa0", " ")


def _without_tags(content: str) -> str:
    return re.sub(r"<[^<>]*>", "", content)


HTML = TextFixer("html", 1, settled(strip_html), leaves_alone=means_markup)
