"""What a service refuses, as the catalogue's own errors: the same codes, texts and exit codes as at home."""

from __future__ import annotations

import json
from typing import Any

from mozhu.kernel.errors import MozhuError, StrangeAnswer, error_class


def error_of(server: str, status: int, content: bytes) -> MozhuError:
    """The error that an answer with ``status`` tells."""
    try:
        problem = json.loads(content)
        code, params = str(problem["code"]), dict(problem["params"])
    except (ValueError, KeyError, TypeError):
        return StrangeAnswer(server=server, reason=f"HTTP {status}")
    kind = error_class(code)
    if kind is None:
        return StrangeAnswer(server=server, reason=str(problem.get("title", code)))
    return _told(kind, params, problem, server)


def _told(kind: type[MozhuError], params: dict[str, Any], problem: dict[str, Any], server: str) -> MozhuError:
    error = kind(**params)
    try:
        str(error)
    except (KeyError, IndexError):  # another release knows other places in the text
        return StrangeAnswer(server=server, reason=str(problem.get("title", kind.code)))
    return error
