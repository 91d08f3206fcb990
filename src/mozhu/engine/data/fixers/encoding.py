"""``encoding``: text that was decoded in the wrong encoding is decoded anew, where that can be proved.

UTF-8 read as Windows-1252 or Latin-1, and UTF-8 read as GBK. A stretch is mended only when its bytes are whole
UTF-8, the result is plain text of a usual kind, and encoding it wrongly again gives the stretch as it was.
"""

from __future__ import annotations

import re

from mozhu.engine.data.fixers.base import TextFixer, settled

_CP1252 = (
    "\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc\u2013\u2014"
    "\u2018-\u201a\u201c-\u201e\u2020-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122"
)
_LATIN = re.compile(f"(?:[\u00c2-\u00f4][\u0080-\u00bf{_CP1252}]{{1,3}})+")
_GBK = re.compile(
    "[\u00a4-\u00f7\u2010-\u2642\u20ac\u3000-\u312f\u4e00-\u9fff\ue000-\uf8ff\uff00-\uffef]{2,}"
)
_HAN = re.compile("[\u4e00-\u9fff\ue000-\uf8ff]{2,}")
_FROM_LATIN = re.compile(
    "[\u00a0-\u024f\u0370-\u052f\u2010-\u2044\u20ac\u2122\u2190-\u21ff\u2200-\u22ff\u3000-\u30ff\u4e00-\u9fff"
    "\uac00-\ud7a3\uff00-\uffef\U0001f300-\U0001faff\ufe0f]+"
)
_FROM_GBK = re.compile("[\u2018-\u201f\u2026\u2014\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]+")


def decode_anew(content: str) -> str:
    """``content`` with its wrongly decoded stretches as they were meant."""
    if content.isascii():
        return content
    return _GBK.sub(_from_gbk, _LATIN.sub(_from_latin, content))


def _from_latin(match: re.Match[str]) -> str:
    found = match.group()
    meant = _decoded(b"".join(_byte(char) for char in found))
    return meant if meant and _FROM_LATIN.fullmatch(meant) and _shown_as_latin(meant, found) else found


def _from_gbk(match: re.Match[str]) -> str:
    """The stretch as it was meant, or each run of Chinese characters in it, where ASCII or new text stands between."""
    return _meant_by_gbk(match.group()) or _HAN.sub(
        lambda inner: _meant_by_gbk(inner.group()) or inner.group(), match.group()
    )


def _meant_by_gbk(found: str) -> str:
    """What a stretch that GB 2312 has not all of means, where GB 2312 or Big5 has all of that; else nothing."""
    try:
        if _is_usual(found):
            return ""
        raw = found.encode("gb18030")
    except UnicodeEncodeError:
        return ""
    meant = _decoded(raw)
    usual = meant and len(meant) > 1 and _FROM_GBK.fullmatch(meant) and _is_usual(meant)
    return meant if usual and raw.decode("gb18030") == found else ""


def _is_usual(content: str) -> bool:
    for name in ("gb2312", "big5"):
        try:
            content.encode(name)
            return True
        except UnicodeEncodeError:
            continue
    return False


def _byte(char: str) -> bytes:
    try:
        return char.encode("cp1252")
    except UnicodeEncodeError:
        return char.encode("latin-1", "replace")


def _shown_as_latin(meant: str, found: str) -> bool:
    shown = ""
    for byte in meant.encode("utf-8"):
        one = bytes([byte])
        shown += one.decode("cp1252", "replace").replace("\ufffd", one.decode("latin-1"))
    return shown == found or meant.encode("utf-8").decode("latin-1") == found


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return ""


ENCODING = TextFixer("encoding", 1, settled(decode_anew))
