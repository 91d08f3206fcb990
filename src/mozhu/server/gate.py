"""What every request passes: its id, its language, the name of this service, limits, headers, one line of the log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mozhu.kernel.errors import BodyTooLarge, MozhuError, UnknownHost
from mozhu.kernel.texts import speaking
from mozhu.server.logs import log
from mozhu.server.metrics import Metrics
from mozhu.server.problems import bug_of, problem_response

BODY_LIMIT_BYTES = 1024 * 1024
# The list of an upload's files, of which there may be 10,000.
_LIST, _LIST_LIMIT_BYTES = "/api/v1/uploads", 16 * 1024 * 1024
_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
# Bodies of files: their own limits hold, checked while they are written.
_PARTS = re.compile(r"^/api/v1/uploads/[^/]+/(parts|files)/")
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Stopping:
    """Whether the service is on its way out: it answers what comes, and asks nobody to stay."""

    is_set = False


class Gate:
    """The outermost layer of the service.

    Args:
        hosts: Names under which the service is reached, without ports; others are refused, so that no page in a
            browser reaches it under a name of its own (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], metrics: Metrics, stopping: Stopping) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._metrics = metrics
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        trace = given if _ID.fullmatch(given) else secrets.token_hex(8)
        scope.setdefault("state", {})["id"] = trace
        with speaking(language_of(headers.get("accept-language", ""))):
            await self._timed(scope, receive, send, headers, trace)

    async def _timed(self, scope: Scope, receive: Receive, send: Send, headers: Headers, trace: str) -> None:
        started = time.perf_counter()
        sent: dict[str, Any] = {"status": 499}

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent["status"] = message["status"]
                self._add_headers(MutableHeaders(scope=message), trace)
            await send(message)

        self._metrics.begin()
        try:
            await self._carried_out(scope, receive, sending, headers, trace, sent)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "-")
            self._metrics.end(scope["method"], route, sent["status"], seconds)
            self._log(scope, sent["status"], seconds, trace)

    async def _carried_out(
        self, scope: Scope, receive: Receive, send: Send, headers: Headers, trace: str, sent: dict[str, Any]
    ) -> None:
        try:
            self._check(scope, headers)
            await self._app(scope, _limited(scope, receive), send)
        except MozhuError as error:
            scope["state"]["code"] = error.code
            await problem_response(error, scope["path"], trace)(scope, receive, send)
        except ClientDisconnect:
            return  # nobody is there to be answered; no fault of ours
        except Exception as error:
            bug = bug_of(error, trace)
            scope["state"]["code"] = bug.code
            log("bug", 40, id=trace, reason=repr(error), incident=str(bug.params["incident"]))
            if sent["status"] != 499:
                raise
            await problem_response(bug, scope["path"], trace)(scope, receive, send)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = _without_port(headers.get("host", ""))
        if host.lower() not in self._hosts:
            raise UnknownHost(host=host, known=sorted(self._hosts))
        length = headers.get("content-length", "")
        most = _most_bytes(scope)
        if length.isdigit() and int(length) > most and not _PARTS.match(scope["path"]):
            raise BodyTooLarge(limit=most)

    def _add_headers(self, headers: MutableHeaders, trace: str) -> None:
        headers["X-Request-Id"] = trace
        for name, value in _SECURITY.items():
            headers.setdefault(name, value)
        if self._stopping.is_set:
            headers["Connection"] = "close"

    def _log(self, scope: Scope, status: int, seconds: float, trace: str) -> None:
        state = scope["state"]
        log(
            "request",
            level=40 if status >= 500 else 20,
            id=trace,
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 2),
            user=state.get("user"),
            code=state.get("code"),
            client=(scope.get("client") or ("-",))[0],
        )


def language_of(header: str) -> str | None:
    """The first language of ``Accept-Language`` that the catalogue has; ``None`` leaves the service's own."""
    wanted: list[tuple[float, str]] = []
    for part in header.split(","):
        name, _, quality = part.strip().partition(";q=")
        weight = 1.0
        with suppress(ValueError):
            weight = float(quality) if quality else 1.0
        if name[:2].lower() in ("zh", "en"):
            wanted.append((-weight, name[:2].lower()))
    return min(wanted, key=lambda item: item[0])[1] if wanted else None


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0]


def _most_bytes(scope: Scope) -> int:
    return _LIST_LIMIT_BYTES if scope["path"] == _LIST else BODY_LIMIT_BYTES


def _limited(scope: Scope, receive: Receive) -> Receive:
    """``receive``, which breaks off a body that is longer than it may be, whatever its head said."""
    if _PARTS.match(scope["path"]):
        return receive
    size, most = 0, _most_bytes(scope)

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise HTTPException(413, str(most))
        return message

    return receiving
