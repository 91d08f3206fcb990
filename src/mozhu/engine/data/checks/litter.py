"""Litter in texts: HTML left over, open code fences, invisible characters, broken encodings."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mozhu.engine.data.checks.findings import Hit, around
from mozhu.engine.data.fixers.invisible import drop_invisible

_TAGS = (
    "div|span|p|br|hr|a|b|i|u|font|table|tbody|thead|tr|td|th|ul|ol|li|img|script|style|iframe|h[1-6]|em|strong"
    "|center|html|body|head|meta|link|input|button|form|section|article|nav|footer|sup|sub|pre"
)
_HTML = re.compile(
    rf"</?(?:{_TAGS})(?:\s+[a-z][\w:-]*(?:\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s\"'<>]+))?){{0,20}}\s*/?>"
    r"|&(?:nbsp|lt|gt|amp|quot|apos|ldquo|rdquo|mdash|#\d{2,6}|#x[0-9a-f]{2,6});",
    re.IGNORECASE,
)
# Rows that speak of markup hold it on purpose.
_ABOUT_MARKUP = re.compile(
    r"html|xml|css|svg|javascript|jsx|react|vue|angular|classname|网页|標籤|标签|前端|markup", re.IGNORECASE
)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_FENCE = re.compile(r"^[ \t]{0,3}(?:[-*>] |\d+\. )?[ \t]*(```|~~~)", re.MULTILINE)
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u180e\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]"
    "|(?<=[A-Za-z0-9\u4e00-\u9fff])[\u200c\u200d]"
)
# UTF-8 that was read as Latin-1 or Windows-1252.
_LATIN = re.compile(
    "[\u00c2-\u00f4][\u0080-\u00ff\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013\u2014\u2018-\u201a\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]+"
)
# UTF-8 that was read as GBK.
_CHINESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff\ue000-\uf8ff\uff00-\uffef]{3,}")
_LIKELY = re.compile("[\u00a0-\u017f\u2010-\u2044\u20ac\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")
# A line break as two characters; \\n before a small letter may be LaTeX (\\nu) or a path.
_ESCAPED = re.compile(r"(?<![\\:])\\n(?![a-z\\'\"`)\]，,；;/]|$)|(?:\\n){2,}(?![a-z'\"`)\]])")
_LEAST_ESCAPED = 2
_CODE_LIKE = re.compile(
    r"```|printf|print\(|regex|正则|转义|换行符|console\.|split\(|join\(|\\t|\\d|\\w|\\\(|\$\$|C:\\",
    re.IGNORECASE,
)
_FAMOUS = "锟斤拷"


def find_litter(content: str) -> Iterator[Hit]:
    """HTML left over (DATA-303), an open code fence (304), invisible characters (305), lost ones (306), wrongly
    decoded ones (307), line breaks written as two characters (326).
    """
    if ("<" in content or "&" in content) and (hit := _html(content)):
        yield hit
    if "```" in content or "~~~" in content:
        fences = list(_FENCE.finditer(content))
        if any(sum(m.group(1) == kind for m in fences) % 2 for kind in ("```", "~~~")):
            last = fences[-1]
            yield Hit(
                "DATA-304", "warning", around(content, last.start(1), last.end()), {"count": len(fences)}
            )
    if "\ufffd" in content:
        place = content.index("\ufffd")
        params = {"count": content.count("\ufffd")}
        yield Hit("DATA-306", "error", around(content, place, place + 1), params)
    if "\\n" in content and (hit := _escaped(content)):
        yield hit
    hit = None if content.isascii() else _mojibake(content)
    if hit:
        yield hit
    elif (hidden := _INVISIBLE.search(content)) and drop_invisible(content) != content:
        names = sorted({f"U+{ord(char):04X}" for char in _INVISIBLE.findall(content)})
        shown = _INVISIBLE.sub(
            lambda m: f"<U+{ord(m.group()):04X}>", content[max(0, hidden.start() - 20) :][:60]
        )
        yield Hit("DATA-305", "warning", around(shown, 0, len(shown)), {"characters": ", ".join(names[:8])})


def _escaped(content: str) -> Hit | None:
    """DATA-326 for a text all of whose line breaks are written as a backslash and an n, and that shows no code."""
    if "\n" in content.strip() or _CODE_LIKE.search(content):
        return None
    found = list(_ESCAPED.finditer(content))
    if not found or sum(match.group().count("\\n") for match in found) < _LEAST_ESCAPED:
        return None
    return Hit("DATA-326", "warning", around(content, *found[0].span()), {"count": content.count("\\n")})


def _html(content: str) -> Hit | None:
    if not _HTML.search(content) or _ABOUT_MARKUP.search(_HTML.sub("", content)):
        return None
    plain = _CODE.sub(" ", content)
    found = [match.group() for match in _HTML.finditer(plain)]
    if not found:
        return None
    first = _HTML.search(plain)
    assert first is not None
    shown = ", ".join(dict.fromkeys(tag[:20] for tag in found[:5]))
    return Hit("DATA-303", "warning", around(plain, first.start(), first.end()), {"tags": shown})


def _mojibake(content: str) -> Hit | None:
    """The first stretch that becomes sensible text when it is decoded as what it once was."""
    if _FAMOUS in content:
        place = content.index(_FAMOUS)
        return Hit("DATA-307", "error", around(content, place, place + 3), {"meant": "\ufffd"})
    for match in _LATIN.finditer(content):
        if meant := _decoded(b"".join(_byte(char) for char in match.group())):
            return Hit("DATA-307", "error", around(content, *match.span()), {"meant": meant[:20]})
    for match in _CHINESE.finditer(content):
        first = match.group()[:3].encode("gb18030")
        if not (0xE3 <= first[0] < 0xF0 and 0x80 <= first[1] < 0xC0):
            continue
        if (meant := _decoded(first)) and _is_common(meant):
            return Hit("DATA-307", "error", around(content, *match.span()), {"meant": meant})
    return None


def _is_common(content: str) -> bool:
    """Whether GB 2312 or the common half of Big5 holds all of ``content``."""
    try:
        content.encode("gb2312")
        return True
    except UnicodeEncodeError:
        return all(char.encode("big5", "replace")[0] in range(0xA1, 0xC7) for char in content)


def _byte(char: str) -> bytes:
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        return char.encode("latin-1", "replace")


def _decoded(content: bytes) -> str:
    try:
        meant = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return meant if _LIKELY.fullmatch(meant) else ""
