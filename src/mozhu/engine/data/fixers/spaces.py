"""``spaces``: line ends, trailing blanks, rows of blanks and of empty lines in order; code and tables stay."""

from __future__ import annotations

import re

from mozhu.engine.data.fixers.base import TextFixer, outside_code

_ODD = re.compile("[\u00a0\u2000-\u200a\u202f\u205f]")
_TRAILING = re.compile(r"[ \t\u3000]+(?=\n)")
_EMPTY = re.compile(r"\n{3,}")
_BETWEEN = re.compile(r"(?<=\S)[ ]{2,}(?=\S)")


def tidy_spaces(content: str) -> str:
    """``content`` with ``\\n`` as its line end, no blanks before one, never two blanks or two empty lines."""
    content = content.replace("\r\n", "\n").replace("\r", "\n")
    content = outside_code(content, _tidy)
    return content.strip("\n").rstrip() if content.strip() else ""


def _tidy(content: str) -> str:
    content = _EMPTY.sub("\n\n", _TRAILING.sub("", _ODD.sub(" ", content)))
    return "\n".join(_line(line) for line in content.split("\n"))


def _line(line: str) -> str:
    """Lines that are set out in columns, or indented as code is, keep their blanks."""
    is_set_out = "|" in line or "\t" in line or line.startswith("    ")
    return line if is_set_out else _BETWEEN.sub(" ", line)


SPACES = TextFixer("spaces", 1, tidy_spaces)
