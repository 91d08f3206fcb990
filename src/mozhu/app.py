"""The composition root: settings in, the services of one installation out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.paths import Workspace
from mozhu.platform.accounts.local_token import LocalToken, local_token
from mozhu.platform.catalog.access import may_read_content
from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.events import known_events
from mozhu.platform.catalog.models import Models
from mozhu.platform.catalog.reports import Reports
from mozhu.platform.catalog.room import database_of
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.engine import Database, open_database
from mozhu.platform.imports.service import Imports
from mozhu.platform.jobs.executor import Executor
from mozhu.platform.jobs.executors.process import ProcessExecutor
from mozhu.platform.replays.service import Replays
from mozhu.platform.storage.addresses import open_store
from mozhu.platform.uploads.rooms import part_room
from mozhu.platform.uploads.service import Uploads
from mozhu.platform.uploads.views import limits_of
from mozhu.platform.webhooks.service import Webhooks
from mozhu.specs.service import ServiceSpec


@dataclass(frozen=True)
class Composition:
    """Every service of one workspace, made once a process and shared by its threads."""

    workspace: Workspace
    settings: ServiceSpec
    token: LocalToken
    database: Database
    registry: Registry
    datasets: Datasets
    models: Models
    reports: Reports
    replays: Replays
    webhooks: Webhooks
    uploads: Uploads
    imports: Imports

    def close(self) -> None:
        self.database.close()


def compose(root: Path, settings: ServiceSpec, *, executor: Executor | None = None) -> Composition:
    """The services of the workspace ``root``, with its database made where it is missing.

    Args:
        executor: Carries out runs; without it processes of this machine.
    """
    workspace = Workspace(Path(root).absolute())
    token = local_token(workspace.models)
    database = open_database(settings.database or database_of(workspace.models))
    store = open_store(settings.blobs, workspace.models, endpoint=settings.blobs_endpoint)
    return Composition(
        workspace=workspace,
        settings=settings,
        token=token,
        database=database,
        registry=Registry(workspace.root, database=database, store=store),
        datasets=Datasets(workspace.root, database=database, store=store),
        models=Models(workspace.root, database=database, store=store),
        reports=Reports(workspace.root, database=database, store=store),
        replays=Replays(database),
        webhooks=Webhooks(database, known_events(), private=settings.webhook_private_addresses),
        uploads=Uploads(
            database,
            store,
            part_room(store, workspace.models),
            limits=limits_of(settings),
            may_read=may_read_content,
        ),
        imports=Imports(
            workspace.root,
            database,
            store,
            executor or ProcessExecutor(workspace.root),
            at_once=settings.imports_at_once,
        ),
    )


@contextmanager
def composed(root: Path, settings: ServiceSpec) -> Iterator[Composition]:
    composition = compose(root, settings)
    try:
        yield composition
    finally:
        composition.close()
