"""``Idempotency-Key``: a POST that is sent twice is carried out once, and answered twice alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from mozhu.kernel.errors import InvalidRequest
from mozhu.kernel.texts import text
from mozhu.platform.replays.service import Replay
from mozhu.server.identity import bearer, composition_of, current_subject
from mozhu.specs.wire.place import IDEMPOTENCY_KEY, REPLAYED

_LONGEST = 200
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class KeyedRoute(APIRoute):
    """A route whose POST takes a key. What was refused, or failed, may be sent again under the same key."""

    def get_route_handler(self) -> Handler:
        handler = super().get_route_handler()

        async def keyed(request: Request) -> Response:
            key = request.headers.get(IDEMPOTENCY_KEY)
            if request.method != "POST" or key is None:
                return await handler(request)
            if not 0 < len(key) <= _LONGEST:
                words = text("api.key", most=_LONGEST)
                raise InvalidRequest(problems=words, count=1, page=self.path)
            return await _once(request, key, handler)

        return keyed


async def _once(request: Request, key: str, handler: Handler) -> Response:
    subject = await current_subject(request, await bearer(request))
    replays = composition_of(request).replays
    route = f"{request.method} {request.url.path}?{request.url.query}"[:300]
    content = hashlib.sha256(await request.body()).hexdigest()
    before = await run_in_threadpool(replays.begin, subject, key, route, content)
    if before is not None:
        headers = {"Content-Type": before.media_type, REPLAYED: "true"}
        return Response(before.body, before.status, headers)
    response = None
    try:
        response = await handler(request)
    finally:
        if response is None or response.status_code >= 300:
            await run_in_threadpool(replays.forget, subject, key)
    if response.status_code < 300:
        answer = Replay(response.status_code, bytes(response.body), response.headers.get("content-type", ""))
        await run_in_threadpool(replays.end, subject, key, answer)
    return response
