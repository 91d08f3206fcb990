"""An error as the service tells it: RFC 9457, ``application/problem+json``."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict

PROBLEM = "application/problem+json"


class Problem(TypedDict):
    """``code`` and ``params`` are those of the error catalogue; the words are in the caller's language."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    params: dict[str, Any]
    expected: str
    next: str
    instance: str
    trace: str
