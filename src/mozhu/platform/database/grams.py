"""Words cut so that a part of them is found through an index: one design for both engines, Chinese included.

Every pair of neighbouring characters is a gram; of Chinese, Japanese and Korean every single character too.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

_LONGEST = 20_000
# From here on a single character may be a word: the scripts of East Asia.
_FIRST_WIDE = "⺀"


def plain(value: str) -> str:
    """``value`` as it is searched: one width, one case."""
    return unicodedata.normalize("NFKC", value).casefold().replace("\0", " ")


def search_text(values: Iterable[str]) -> str:
    """Everything that is searched of one thing, each value a line, each once; the first 20,000 characters."""
    return "\n".join(dict.fromkeys(plain(value) for value in values if value))[:_LONGEST]


def grams_of(searched: str) -> set[str]:
    """The grams of what ``plain`` or ``search_text`` gave; none of them spans two lines."""
    found: set[str] = set()
    for line in searched.split("\n"):
        found.update(line[at : at + 2] for at in range(len(line) - 1))
        found.update(character for character in line if character >= _FIRST_WIDE)
    return found
