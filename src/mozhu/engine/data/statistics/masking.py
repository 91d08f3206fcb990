"""Texts for people to look at: private data hidden, shortened."""

from __future__ import annotations

import re

from mozhu.engine.data.checks.pii import masked, private_places

_KEY_BODY = re.compile(
    r"(-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----).*?(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\Z)", re.DOTALL
)


def without_private(content: str) -> str:
    """``content`` with every number, address and key hidden that a check would report, a private key with its body."""
    content = _KEY_BODY.sub(r"\1***", content)
    done: list[str] = []
    end = 0
    for start, stop, code in private_places(content):
        done += (content[end:start], _hidden(content[start:stop], code))
        end = stop
    return "".join(done) + content[end:]


def shortened(content: str, most: int) -> str:
    """``content`` with private data hidden, and its end left out where it is longer than ``most``."""
    shown = without_private(content)
    return shown if len(shown) <= most else f"{shown[:most].rstrip()} …"


def _hidden(found: str, code: str) -> str:
    if code == "DATA-314":
        name, _, host = found.partition("@")
        return f"{name[:2]}***@{host}"
    if code == "DATA-315":
        return found if found.startswith("-") else f"{found[:6]}***"
    return masked(found)
