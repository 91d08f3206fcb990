"""The catalogue's database as its services hold it: opened when it is first needed, closed with the service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from mozhu.kernel.paths import Workspace
from mozhu.kernel.progress import utc_now
from mozhu.platform.database.address import is_address
from mozhu.platform.database.engine import CATALOG, Database, open_database
from mozhu.platform.storage.addresses import open_store
from mozhu.platform.storage.blobs import BlobStore
from mozhu.specs.layers import Layers, resolve
from mozhu.specs.service import ServiceSpec

R = TypeVar("R", bound="CatalogueRoom")


class CatalogueRoom:
    """A service of one workspace's catalogue; a context manager.

    Args:
        root: The workspace; what is registered lies under ``5_models``.
        database: An open one, which stays open, or its address; without one that of the workspace.
        store: Where the contents of versions lie; without one the folder of the workspace.
        clock: The time, injected in tests.
    """

    def __init__(
        self,
        root: Path,
        *,
        database: Database | Path | str | None = None,
        store: BlobStore | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.models = Workspace(Path(root).absolute()).models
        self._store = store
        self._clock = clock
        self._lent = isinstance(database, Database)
        self._database: Database | None = database if isinstance(database, Database) else None
        self._where = database if isinstance(database, (Path, str)) else database_of(self.models)

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._database is not None and not self._lent:
            self._database.close()
            self._database = None

    @property
    def database(self) -> Database:
        return self._opened()

    @property
    def store(self) -> BlobStore:
        """Where the contents of versions lie, opened when it is first needed."""
        if self._store is None:
            settings = settings_of(self.models)
            self._store = open_store(settings.blobs, self.models, endpoint=settings.blobs_endpoint)
        return self._store

    def _opened(self) -> Database:
        """The database, made where it is missing."""
        if self._database is None:
            self._database = open_database(self._where)
        return self._database

    def _existing(self) -> Database | None:
        """The database, where there is one: reading makes nothing."""
        there = self._database or is_address(self._where) or Path(self._where).is_file()
        return self._opened() if there else None


def database_of(models: Path) -> Path | str:
    """Where the catalogue of a workspace is: what the service's settings say, else its own file."""
    return settings_of(models).database or models / CATALOG


def settings_of(models: Path) -> ServiceSpec:
    """The service's settings of the workspace around ``models``."""
    return resolve(ServiceSpec, Layers(flags={}, workspace=Workspace(models.parent))).spec
