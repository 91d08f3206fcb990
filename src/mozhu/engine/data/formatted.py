"""A conversation as one formatted text, by a template file of ours; for people and older tools.

Training does not use it: there the model's own template decides (see ``engine/weights/template.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mozhu.kernel.files import read_json

_FOLDER = Path(__file__).with_name("templates")


def formatted_text(messages: Sequence[dict[str, Any]], template: str) -> str | None:
    """``messages`` in the format of ``templates/<template>.json``; ``None`` where it cannot hold them."""
    if any(message["role"] == "tool" or message.get("tool_calls") for message in messages):
        return None
    pieces = _pieces(template)
    opening = ""
    parts = []
    for message in messages:
        content = str(message["content"])
        if message["role"] == "system":
            opening = pieces["system"].format(content=content)
        elif message["role"] == "user":
            parts.append(pieces["user"].format(content=(opening + content).strip()))
            opening = ""
        else:
            parts.append(pieces["assistant"].format(content=content.strip()))
    return "".join(parts)


@cache
def _pieces(template: str) -> dict[str, str]:
    pieces: dict[str, str] = read_json(_FOLDER / f"{template}.json")
    return pieces
