"""Errors as ``application/problem+json``, with the catalogue's codes and in the caller's language."""

from __future__ import annotations

import json
import os
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mozhu.kernel.errors import (
    BodyTooLarge,
    InternalError,
    InvalidRequest,
    MozhuError,
    NoSuchPage,
    NotJson,
    WrongMethod,
)
from mozhu.kernel.texts import has_text, text
from mozhu.server.answers import encoded
from mozhu.specs.wire.problem import PROBLEM, Problem

ERROR_PAGE = "https://github.com/mozhu-ai/mozhu/blob/main/7_docs/errors.md"
# Seconds after which it is worth trying again.
_RETRY = {"API-009": "1", "API-012": "2", "REG-006": "1", "REG-016": "1"}


def problem_of(error: MozhuError, path: str, trace: str) -> Problem:
    told = error.to_json()
    return {
        "type": f"{ERROR_PAGE}#{error.code.lower()}",
        "title": error.what,
        "status": error.status,
        "detail": str(error),
        "code": error.code,
        "params": told["params"],  # type: ignore[typeddict-item]
        "expected": error.expected,
        "next": error.next,
        "instance": path,
        "trace": trace,
    }


def problem_response(error: MozhuError, path: str, trace: str) -> Response:
    headers = {"Cache-Control": "no-store"}
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="mozhu"'
    if error.code in _RETRY:
        headers["Retry-After"] = _RETRY[error.code]
    if isinstance(error, WrongMethod):
        headers["Allow"] = str(error.params["allowed"])
    return Response(encoded(problem_of(error, path, trace)), error.status, headers, media_type=PROBLEM)


def bug_of(error: BaseException, trace: str) -> InternalError:
    """The details of a fault of ours are in an incident file; the caller learns its name only."""
    folder = Path(tempfile.gettempdir()) / "mozhu-incidents"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}-{trace}.txt"
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    path.write_text(f"request: {trace}\n\n{lines}", encoding="utf-8")
    return InternalError(incident=path.name, reason=type(error).__name__)


def install(app: FastAPI) -> None:
    """Every error that ``app`` meets becomes a problem."""
    app.add_exception_handler(MozhuError, _mozhu)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


def _response(request: Request, error: MozhuError) -> Response:
    request.state.code = error.code
    return problem_response(error, request.url.path, request.state.id)


async def _mozhu(request: Request, error: Exception) -> Response:
    assert isinstance(error, MozhuError)
    return _response(request, error)


async def _invalid(request: Request, error: Exception) -> Response:
    """Every field that is wrong, in one answer."""
    assert isinstance(error, RequestValidationError)
    items = error.errors()
    broken = [item for item in items if item["type"] == "json_invalid"]
    if broken:
        return _response(request, NotJson(reason=str(broken[0].get("ctx", {}).get("error", ""))))
    lines = [problem_line(item["loc"], item) for item in items]
    problem = InvalidRequest(problems="\n  ".join(lines), count=len(lines), page=_template(request))
    return _response(request, problem)


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, method = request.url.path, request.method
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return _response(request, WrongMethod(path=path, method=method, allowed=allowed))
    if error.status_code == 413:
        return _response(request, BodyTooLarge(limit=error.detail))
    if error.status_code == 404:
        return _response(request, NoSuchPage(path=path, method=method))
    return _response(request, NotJson(reason=str(error.detail)))


def problem_line(place: Sequence[Any], item: dict[str, Any]) -> str:
    """One wrong field in one line: where it is, its value, what was expected."""
    kind, where = str(item["type"]), ".".join(map(str, place[1:])) or str(place[0])
    context = {name: _shown(value) for name, value in (item.get("ctx") or {}).items()}
    key = f"api.field.{kind}"
    words = text(key, **context) if has_text(key) else str(item.get("msg", kind))
    return text("api.field", where=where, place=str(place[0]), value=_shown(item.get("input")), words=words)


def _shown(value: Any) -> str:
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "…"


def _template(request: Request) -> str:
    route = request.scope.get("route")
    return f"{request.method} {getattr(route, 'path', request.url.path)}"
