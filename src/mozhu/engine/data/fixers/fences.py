"""``fences``: a code block that is opened and never closed gets its end."""

from __future__ import annotations

import re

from mozhu.engine.data.fixers.base import TextFixer

_FENCE = re.compile(r"^[ \t]{0,3}(?:[-*>] |\d+\. )?[ \t]*(?P<mark>```|~~~)(?P<rest>.*)$", re.MULTILINE)


def close_fences(content: str) -> str:
    """``content`` with every fence in a pair: the last is closed, or deleted where nothing follows it."""
    for mark in ("```", "~~~"):
        fences = [match for match in _FENCE.finditer(content) if match["mark"] == mark]
        if len(fences) % 2 == 0:
            continue
        last = fences[-1]
        if content[last.end() :].strip() or last["rest"].strip():
            content = f"{content.rstrip()}\n{mark}"
        else:
            content = content[: last.start()].rstrip()
    return content


FENCES = TextFixer("fences", 1, close_fences)
