"""The service as a process: listens, serves, and stops without losing a request."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from mozhu.app import compose
from mozhu.kernel.errors import AddressTaken, OpenToNetwork, WorkersNeedPostgres
from mozhu.server.logs import log, set_up_logs
from mozhu.server.make import make_app, stop
from mozhu.server.metrics import FOLDER_VARIABLE
from mozhu.specs.service import ServiceSpec

# Between saying that it stops and closing the door: whoever sends requests here learns it.
DRAIN_S = 0.5
# Connections that are kept are told with their next answer; those that ask nothing for so long are closed.
QUIET_S = 1.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_RESTART_S = 1.0
_LOOK_S = 0.05


class Service(uvicorn.Server):
    """A server that tells its application first, so that streams end and connections are not kept."""

    def __init__(
        self, config: uvicorn.Config, app: FastAPI, drain_s: float = DRAIN_S, quiet_s: float = QUIET_S
    ) -> None:
        super().__init__(config)
        self._app = app
        self._drain_s = drain_s
        self._quiet_s = quiet_s

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """A stop that went well is no death by a signal."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            log("started", addresses=[each.getsockname()[:2] for each in sockets or ()], pid=os.getpid())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        stop(self._app)
        await asyncio.sleep(self._drain_s)
        for listening in sockets or ():
            await self._close_door(listening)
        await self._say_goodbye()
        await super().shutdown(sockets)

    async def _close_door(self, listening: socket.socket) -> None:
        """Nobody comes in any more; who is through the door already, and not taken in yet, is."""
        with socket.socket(fileno=os.dup(listening.fileno())) as door:
            for server in self.servers:
                server.close()
            listening.close()
            door.setblocking(False)
            waiting = []
            with suppress(OSError):
                while True:
                    waiting.append(door.accept()[0])
        loop = asyncio.get_running_loop()
        for connection in waiting:
            connection.setblocking(False)
            with suppress(OSError):
                await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        made = self.config.http_protocol_class
        return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]

    async def _say_goodbye(self) -> None:
        """Until every connection has had its last answer, or asks nothing."""
        state, quiet, seen = self.server_state, 0.0, -1
        deadline = asyncio.get_running_loop().time() + (self.config.timeout_graceful_shutdown or 0)
        while state.connections and quiet < self._quiet_s and asyncio.get_running_loop().time() < deadline:
            is_quiet = not state.tasks and state.total_requests == seen
            quiet, seen = (quiet + _LOOK_S if is_quiet else 0.0), state.total_requests
            await asyncio.sleep(_LOOK_S)


def check(settings: ServiceSpec) -> None:
    """The settings can be run.

    Raises:
        OpenToNetwork: API-032. WorkersNeedPostgres: API-031.
    """
    if settings.host not in _LOOPBACK and not settings.behind_proxy:
        raise OpenToNetwork(host=settings.host)
    if settings.workers > 1 and not (settings.database or "").startswith("postgresql"):
        raise WorkersNeedPostgres(workers=settings.workers)


def serve(root: Path, settings: ServiceSpec, started: Callable[[str], None]) -> int:
    """Serve the workspace ``root`` until SIGTERM or Ctrl-C; ``started`` gets the address once it listens.

    Raises:
        AddressTaken: API-030, and what :func:`check` raises.
    """
    check(settings)
    listening = listen(settings)
    address = address_of(settings.host, listening.getsockname()[1])
    if settings.workers == 1:
        started(address)
        work(root, settings, listening)
        return 0
    with tempfile.TemporaryDirectory(prefix="mozhu-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        started(address)
        return _Workers(root, settings, listening).run()


def work(root: Path, settings: ServiceSpec, listening: socket.socket) -> None:
    """One worker: serves on ``listening`` until it is told to stop."""
    set_up_logs(settings.log_level)
    app = make_app(compose(root, settings))
    Service(config_of(app, settings), app).run(sockets=[listening])
    log("stopped", pid=os.getpid())


def config_of(app: FastAPI, settings: ServiceSpec) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=settings.behind_proxy,
        timeout_graceful_shutdown=settings.grace_s,
        timeout_keep_alive=30,
        lifespan="on",
    )


def address_of(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listen(settings: ServiceSpec) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # Named TCP, so that asyncio sends at once what it is given: else every answer waits 40 ms for the one before.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
        listening.listen(2048)
    except OSError as error:
        listening.close()
        reason = error.strerror or str(error)
        raise AddressTaken(host=settings.host, port=settings.port, reason=reason) from error
    listening.set_inheritable(True)
    return listening


class _Workers:
    """Several workers on one socket; one that dies is replaced, and all stop together."""

    def __init__(self, root: Path, settings: ServiceSpec, listening: socket.socket) -> None:
        self._target = (root, settings, listening)
        self._context = multiprocessing.get_context("spawn")
        self._is_stopping = False
        self._processes: list[BaseProcess] = []
        self._count = settings.workers

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._is_stopping:
            self._processes = [process for process in self._processes if process.is_alive()]
            while len(self._processes) < self._count and not self._is_stopping:
                self._processes.append(self._started())
            self._processes[0].join(_RESTART_S)
        for process in self._processes:
            process.join()
        return 0

    def _started(self) -> BaseProcess:
        process = self._context.Process(target=work, args=self._target)
        process.start()
        return process

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True
        # The workers have the door: the last of them closes it.
        self._target[2].close()
        for process in self._processes:
            if process.pid is not None and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)


def open_document() -> dict[str, Any]:
    """The OpenAPI document of this release."""
    with tempfile.TemporaryDirectory() as folder:
        composition = compose(Path(folder), ServiceSpec())
        try:
            return make_app(composition).openapi()
        finally:
            composition.close()
