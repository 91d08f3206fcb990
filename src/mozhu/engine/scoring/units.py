"""What a text metric counts: each Chinese, Japanese or Korean character, and each other word."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# The name that stands in every signature; change it when the rule below changes.
TOKENISER = "cjk-char+word.1"
CJK = (
    "\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U000323af"
)
_UNIT = re.compile(rf"[{CJK}]|[^\W_{CJK}]+")
_HAS_CJK = re.compile(rf"[{CJK}]")


def plain(text: str) -> str:
    """``text`` in Unicode form NFKC (full-width letters become ordinary ones), without blanks at its ends."""
    return unicodedata.normalize("NFKC", text).strip()


@lru_cache(maxsize=4096)
def units(text: str) -> tuple[str, ...]:
    """The units of ``text`` in lower case; punctuation and blanks separate words and are not counted."""
    return tuple(_UNIT.findall(plain(text).lower()))


def has_cjk(text: str) -> bool:
    return _HAS_CJK.search(text) is not None
