"""The catalogue's database as its services hold it: opened when it is first needed, closed with the service."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from mozhu.kernel.paths import Workspace
from mozhu.kernel.progress import utc_now
from mozhu.platform.database.engine import CATALOG, Database, open_database

R = TypeVar("R", bound="CatalogueRoom")


class CatalogueRoom:
    """A service of one workspace's catalogue; a context manager.

    Args:
        root: The workspace; what is registered lies under ``5_models``.
        clock: The time, injected in tests.
    """

    def __init__(self, root: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.models = Workspace(Path(root).absolute()).models
        self._clock = clock
        self._database: Database | None = None

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> Database:
        """The database, made where it is missing."""
        if self._database is None:
            self._database = open_database(self.models / CATALOG)
        return self._database

    def _existing(self) -> Database | None:
        """The database, where there is one: reading makes nothing."""
        return self._opened() if self._database or (self.models / CATALOG).is_file() else None
