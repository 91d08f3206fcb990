"""Answers: JSON straight from a view, with an ETag, and 304 where the caller has it already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response

from mozhu.kernel.errors import ChangedMeanwhile
from mozhu.kernel.files import finite

_JSON = "application/json"


def encoded(value: Any) -> bytes:
    """``value`` as compact UTF-8 JSON; NaN and infinities, which JSON lacks, as strings."""
    try:
        quick = to_json(value, inf_nan_mode="constants")
    except ValueError:  # half of a character
        return _slowly(value)
    # The words may stand in a text as well; then nothing is lost but time.
    return _slowly(value) if b"NaN" in quick or b"Infinity" in quick else quick


def _slowly(value: Any) -> bytes:
    try:
        content = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        content = json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return content.encode("utf-8", "backslashreplace")


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``value`` as JSON."""
    return Response(encoded(value), status, headers, media_type=_JSON)


def found(request: Request, value: Any) -> Response:
    """``value`` with its ETag; only 304 when ``If-None-Match`` names it."""
    content = encoded(value)
    tag = _tag(content)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Language, Authorization"}
    if _names(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type=_JSON)


def check_unchanged(request: Request, subject: str, value: Any) -> None:
    """``value`` is what the caller saw last, where they say so by ``If-Match``.

    Raises:
        ChangedMeanwhile: API-007.
    """
    wanted = request.headers.get("if-match")
    tag = _tag(encoded(value))
    if wanted is not None and not _names(wanted, tag):
        raise ChangedMeanwhile(subject=subject, found=tag)


def _tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def _names(header: str | None, tag: str) -> bool:
    if header is None:
        return False
    named = [part.strip().removeprefix("W/") for part in header.split(",")]
    return "*" in named or tag in named
