"""The user's own list of words that a data set must not hold: refusals, advertisements, insults."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mozhu.engine.data.encodings import find_encoding
from mozhu.kernel.files import reading


@dataclass(frozen=True)
class WordList:
    """All words as one pattern, without regard to case; the empty list finds nothing."""

    pattern: re.Pattern[str] | None = None

    def first_in(self, content: str) -> str:
        match = self.pattern.search(content) if self.pattern else None
        return match.group() if match else ""


def read_words(paths: Sequence[str]) -> WordList:
    """The lists in files: a word or phrase a line; empty lines and those that begin with ``#`` are left out.

    Raises:
        MissingFile: FILE-001.
    """
    lines: list[str] = []
    for path in paths:
        with reading(path):
            lines += Path(path).expanduser().read_text(encoding=find_encoding(Path(path))).splitlines()
    words = sorted(
        {line.strip() for line in lines if line.strip() and not line.startswith("#")}, key=len, reverse=True
    )
    return WordList(re.compile("|".join(map(_phrase, words)), re.IGNORECASE) if words else None)


def _phrase(word: str) -> str:
    """Latin words stand alone: ``ass`` is not in ``class``."""
    edge = [r"\b" if re.match(r"[A-Za-z0-9]", char) else "" for char in (word[0], word[-1])]
    return edge[0] + re.escape(word) + edge[1]
