"""``Client``: a service's models, data sets and files, asked from a program."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import httpx2

from mozhu.client import downloads, uploads
from mozhu.client.asking import (
    AGAIN,
    TRIES,
    Ask,
    answer_of,
    headers_for,
    is_here,
    unreachable,
    wait_s,
)
from mozhu.client.stream import EventLines
from mozhu.client.table import Requests
from mozhu.client.upload_progress import OnProgress
from mozhu.kernel.errors import ServiceUnreachable
from mozhu.specs.wire.datasets import DatasetWire
from mozhu.specs.wire.events import EventWire
from mozhu.specs.wire.models import ModelWire

T = TypeVar("T")


class Client(Requests):
    """Speaks to the service at ``server``; a context manager, safe in several threads.

    A request that can be repeated is sent again when the connection breaks or the service is busy. What the
    service refuses comes as the catalogue's error, with the same code as on the service's own machine.

    Args:
        token: The bearer token; without it that of ``MOZHU_TOKEN``.
    """

    def __init__(self, server: str, token: str | None = None, *, timeout_s: float = 30.0) -> None:
        self.server = server.rstrip("/")
        self.http = httpx2.Client(
            base_url=self.server,
            headers=headers_for(token),
            timeout=timeout_s,
            trust_env=not is_here(server),
            follow_redirects=False,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    def send(self, ask: Ask[T]) -> T:
        """The answer to ``ask``.

        Raises:
            ServiceUnreachable: API-020. StrangeAnswer: API-021. MozhuError: what the service said.
        """
        headers = ask.all_headers()
        for attempt in range(TRIES):
            is_last = attempt == TRIES - 1
            try:
                response = self.http.request(
                    ask.method, ask.url, params=ask.query(), json=ask.body, headers=headers
                )
            except httpx2.TransportError as error:
                if is_last or isinstance(error, (httpx2.UnsupportedProtocol, httpx2.ConnectTimeout)):
                    raise unreachable(self.server, error) from error
                time.sleep(wait_s(attempt, None))
                continue
            if response.status_code in AGAIN and not is_last:
                time.sleep(wait_s(attempt, response.headers.get("retry-after")))
                continue
            answer: T = answer_of(self.server, response.status_code, response.content)
            return answer
        raise ServiceUnreachable(server=self.server, reason="")

    def upload(
        self,
        path: Path | str,
        *,
        team: str | None = None,
        purpose: dict[str, Any] | None = None,
        threads: int = uploads.THREADS,
        patience_s: float = uploads.PATIENCE_S,
        records: Path | None = None,
        pause: threading.Event | None = None,
        on_begun: uploads.OnBegun = lambda upload: None,
        on_progress: OnProgress = lambda progress: None,
    ) -> uploads.Uploaded:
        """See :func:`mozhu.client.uploads.upload`."""
        return uploads.upload(
            self,
            Path(path),
            team=team,
            purpose=purpose,
            threads=threads,
            patience_s=patience_s,
            records=records,
            pause=pause,
            on_begun=on_begun,
            on_progress=on_progress,
        )

    def download(
        self,
        reference: str,
        folder: Path | str,
        *,
        on_progress: downloads.Progress = lambda done, total, path: None,
    ) -> str:
        """See :func:`mozhu.client.downloads.download`."""
        return downloads.download(self, reference, Path(folder), on_progress=on_progress)

    def all_models(self, search: str | None = None) -> Iterator[ModelWire]:
        """Every model, page after page."""
        cursor = None
        while True:
            page = self.models(search=search, limit=200, cursor=cursor)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def all_datasets(
        self, search: str | None = None, state: str | None = None, **filters: Any
    ) -> Iterator[DatasetWire]:
        """Every data set, page after page; ``filters`` as for :meth:`datasets`."""
        cursor = None
        while True:
            page = self.datasets(search=search, state=state, limit=200, cursor=cursor, **filters)
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    def watch(self, after: int | None = None) -> Iterator[EventWire]:
        """Events as they happen, each once; a broken stream is taken up where it broke."""
        lines = EventLines(after)
        attempt = 0
        while True:
            try:
                with self.http.stream("GET", lines.url, headers=lines.headers(), timeout=60) as response:
                    if response.status_code >= 400:
                        answer_of(self.server, response.status_code, response.read())
                    attempt = 0
                    for line in response.iter_lines():
                        event = lines.feed(line)
                        if event is not None:
                            yield event
            except httpx2.TransportError as error:
                attempt += 1
                if attempt >= TRIES:
                    raise unreachable(self.server, error) from error
            time.sleep(wait_s(attempt, None))
