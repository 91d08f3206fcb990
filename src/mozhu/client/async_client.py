"""``AsyncClient``: what ``Client`` does, for programs with an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from mozhu.client import downloads, uploads
from mozhu.client.asking import AGAIN, TRIES, Ask, answer_of, headers_for, is_here, unreachable, wait_s
from mozhu.client.client import Client
from mozhu.client.stream import EventLines
from mozhu.client.table import Requests
from mozhu.client.upload_progress import OnProgress
from mozhu.kernel.errors import ServiceUnreachable
from mozhu.specs.wire.datasets import DatasetWire
from mozhu.specs.wire.events import EventWire
from mozhu.specs.wire.models import ModelWire

T = TypeVar("T")
R = TypeVar("R")


class AsyncClient(Requests):
    """Speaks to the service at ``server``; an async context manager. See :class:`mozhu.client.client.Client`."""

    def __init__(self, server: str, token: str | None = None, *, timeout_s: float = 30.0) -> None:
        self.server = server.rstrip("/")
        self._token, self._timeout_s = token, timeout_s
        self.http = httpx2.AsyncClient(
            base_url=self.server,
            headers=headers_for(token),
            timeout=timeout_s,
            trust_env=not is_here(server),
            follow_redirects=False,
        )

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.http.aclose()

    async def send(self, ask: Ask[T]) -> T:
        """The answer to ``ask``.

        Raises:
            ServiceUnreachable: API-020. StrangeAnswer: API-021. MozhuError: what the service said.
        """
        headers = ask.all_headers()
        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                response = await self.http.request(
                    ask.method, ask.url, params=ask.query(), json=ask.body, headers=headers
                )
            except httpx2.TransportError as error:
                if is_last or isinstance(error, (httpx2.UnsupportedProtocol, httpx2.ConnectTimeout)):
                    raise unreachable(self.server, error) from error
                await asyncio.sleep(wait_s(attempt, None))
                continue
            if response.status_code in AGAIN and not is_last:
                await asyncio.sleep(wait_s(attempt, response.headers.get("retry-after")))
                continue
            answer: T = answer_of(self.server, response.status_code, response.content)
            return answer
        raise ServiceUnreachable(server=self.server, reason="")

    async def upload(
        self,
        path: Path | str,
        *,
        team: str | None = None,
        purpose: dict[str, Any] | None = None,
        threads: int = uploads.THREADS,
        patience_s: float = uploads.PATIENCE_S,
        records: Path | None = None,
        on_begun: uploads.OnBegun = lambda upload: None,
        on_progress: OnProgress = lambda progress: None,
    ) -> uploads.Uploaded:
        """See :func:`mozhu.client.uploads.upload`. Cancelled, it pauses: the same call goes on later.

        Files are read and hashed in threads; ``on_progress`` is called there.
        """
        pause = threading.Event()
        send = partial(
            uploads.upload,
            path=Path(path),
            team=team,
            purpose=purpose,
            threads=threads,
            patience_s=patience_s,
            records=records,
            pause=pause,
            on_begun=on_begun,
            on_progress=on_progress,
        )
        try:
            return await asyncio.to_thread(self._beside, send)
        finally:
            pause.set()

    async def download(
        self,
        reference: str,
        folder: Path | str,
        *,
        on_progress: downloads.Progress = lambda done, total, path: None,
    ) -> str:
        """See :func:`mozhu.client.downloads.download`; ``on_progress`` is called in another thread."""
        fetch = partial(downloads.download, reference=reference, folder=Path(folder), on_progress=on_progress)
        return await asyncio.to_thread(self._beside, fetch)

    def _beside(self, act: Callable[[Client], R]) -> R:
        """What ``act`` does with a client of its own, for work that reads and writes files."""
        with Client(self.server, self._token, timeout_s=self._timeout_s) as client:
            return act(client)

    async def all_models(self, search: str | None = None) -> AsyncIterator[ModelWire]:
        """Every model, page after page."""
        cursor = None
        while True:
            page = await self.models(search=search, limit=200, cursor=cursor)
            for model in page["items"]:
                yield model
            cursor = page["next"]
            if cursor is None:
                return

    async def all_datasets(
        self, search: str | None = None, state: str | None = None, **filters: Any
    ) -> AsyncIterator[DatasetWire]:
        """Every data set, page after page; ``filters`` as for :meth:`datasets`."""
        cursor = None
        while True:
            page = await self.datasets(search=search, state=state, limit=200, cursor=cursor, **filters)
            for dataset in page["items"]:
                yield dataset
            cursor = page["next"]
            if cursor is None:
                return

    async def watch(self, after: int | None = None) -> AsyncIterator[EventWire]:
        """Events as they happen, each once; a broken stream is taken up where it broke."""
        lines = EventLines(after)
        attempt = 0
        while True:
            try:
                stream = self.http.stream("GET", lines.url, headers=lines.headers(), timeout=60)
                async with stream as response:
                    if response.status_code >= 400:
                        answer_of(self.server, response.status_code, await response.aread())
                    attempt = 0
                    async for line in response.aiter_lines():
                        event = lines.feed(line)
                        if event is not None:
                            yield event
            except httpx2.TransportError as error:
                attempt += 1
                if attempt >= TRIES:
                    raise unreachable(self.server, error) from error
            await asyncio.sleep(wait_s(attempt, None))
