"""A service that runs, and a client that bears its token."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from mozhu.app import Composition, compose
from mozhu.server.make import make_app
from mozhu.server.run import Service, config_of, listen
from mozhu.specs.service import ServiceSpec


@dataclass
class Running:
    """``http`` bears the token."""

    address: str
    composition: Composition
    http: httpx2.Client

    def get(self, path: str, **given: Any) -> httpx2.Response:
        return self.http.get(path, **given)

    def post(self, path: str, **given: Any) -> httpx2.Response:
        return self.http.post(path, **given)


@contextmanager
def running(workspace: Path, **settings: Any) -> Iterator[Running]:
    """A service with these settings in this process, until the block ends."""
    spec = ServiceSpec(port=0, grace_s=5, **settings)
    composition = compose(workspace, spec)
    app = make_app(composition)
    listening = listen(spec)
    service = Service(config_of(app, spec), app, drain_s=0.0, quiet_s=0.0)
    thread = threading.Thread(target=service.run, kwargs={"sockets": [listening]})
    thread.start()
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    headers = {"Authorization": f"Bearer {composition.token.token}", "Accept-Language": "en"}
    http = httpx2.Client(base_url=address, headers=headers, timeout=30)
    try:
        yield Running(address, composition, http)
    finally:
        http.close()
        service.should_exit = True
        thread.join(20)
        assert not thread.is_alive(), "the service did not stop"
