"""Keyset cursors: where a page ended, bound to the question that it answers."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from mozhu.kernel.errors import BadCursor
from mozhu.kernel.files import sha256_json
from mozhu.kernel.texts import is_plain, text

# Numbers of rows are below this.
_MOST = 2**62


def cursor_after(key: list[Any], question: Any) -> str:
    """A cursor behind the row with the sort key ``key``, for the same ``question`` only."""
    content = json.dumps([key, _mark(question)], ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode("utf-8")).decode("ascii").rstrip("=")


def key_of(cursor: str | None, question: Any, kinds: tuple[type, ...]) -> list[Any] | None:
    """The sort key in ``cursor``, its parts of these ``kinds``; ``None`` for the first page.

    Raises:
        BadCursor: API-010.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key, mark = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, TypeError, RecursionError) as error:
        raise BadCursor(cursor=cursor[:80], reason=text("api.cursor.unreadable")) from error
    if not isinstance(key, list) or tuple(type(part) for part in key) != kinds or not _can_be(key):
        raise BadCursor(cursor=cursor[:80], reason=text("api.cursor.unreadable"))
    if mark != _mark(question):
        raise BadCursor(cursor=cursor[:80], reason=text("api.cursor.other"))
    return list(key)


def _can_be(key: list[Any]) -> bool:
    """Whether a database can be asked with ``key``, which anybody may have written."""
    return all(is_plain(part) if isinstance(part, str) else abs(part) < _MOST for part in key)


def _mark(question: Any) -> str:
    return sha256_json(question).removeprefix("sha256:")[:12]
