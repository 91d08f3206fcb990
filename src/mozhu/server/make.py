"""The web application over one composition."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from mozhu import __version__
from mozhu.app import Composition
from mozhu.server import problems
from mozhu.server.documents import document
from mozhu.server.feed import Feed
from mozhu.server.gate import Gate, Stopping
from mozhu.server.metrics import Metrics
from mozhu.server.plain import only_plain_texts
from mozhu.server.rounds import Rounds
from mozhu.server.routes import (
    aliases,
    datasets,
    datasets_kept,
    editing,
    events,
    files,
    health,
    imports,
    lineage,
    models,
    reports,
    sharing,
    uploads,
    webhooks,
)
from mozhu.specs.wire.place import PREFIX

_ROOMS = (
    *(health, models, editing, aliases, sharing, lineage),
    *(datasets, datasets_kept, reports, events, files, uploads, imports, webhooks),
)
_STEPS_EVERY_S, _STEP_GRACE_S = 0.5, 5.0
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_app(composition: Composition) -> FastAPI:
    """The service: REST under ``/api/v1``, health and metrics beside it."""
    app = FastAPI(
        title="Mozhu",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
        lifespan=_running,
        dependencies=[Depends(only_plain_texts)],
    )
    app.state.composition = composition
    app.state.metrics = Metrics()
    app.state.feed = Feed(composition)
    app.state.stopping = Stopping()
    app.add_middleware(
        Gate, hosts=_hosts(composition), metrics=app.state.metrics, stopping=app.state.stopping
    )
    problems.install(app)
    for room in _ROOMS:
        app.include_router(room.router)
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    return app


def stop(app: FastAPI) -> None:
    """From now on streams end, answers close their connections, and ``/readyz`` says no."""
    app.state.stopping.is_set = True
    app.state.feed.stop()


@asynccontextmanager
async def _running(app: FastAPI) -> AsyncIterator[None]:
    composition: Composition = app.state.composition
    rounds = Rounds([("webhooks", composition.webhooks.deliver), ("uploads", composition.uploads.expire)])
    # Steps of imports take their time, so they have a thread of their own.
    steps = Rounds([("imports", composition.imports.advance)], every_s=_STEPS_EVERY_S)
    app.state.feed.start()
    rounds.start()
    steps.start()
    yield
    app.state.feed.stop()
    composition.imports.stop()
    await run_in_threadpool(rounds.stop)
    # A step that takes longer is cut off with the process, as by a kill, and done again.
    await run_in_threadpool(steps.stop, _STEP_GRACE_S)
    composition.close()


def _hosts(composition: Composition) -> tuple[str, ...]:
    settings = composition.settings
    own = () if settings.host in ("0.0.0.0", "::") else (settings.host,)
    return (*_LOOPBACK, *own, *settings.allowed_hosts)


def _operation_id(route: APIRoute) -> str:
    return route.name
