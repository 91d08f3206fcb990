"""The catalogue's database: opened, made where it is missing, and the only place that commits.

SQLite in WAL mode: readers never wait for a writer; writers take turns (``BEGIN IMMEDIATE``) and are on disk
when ``writing`` ends (``synchronous=FULL``).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    DamagedRegistry,
    DiskFull,
    MozhuError,
    NewerRegistry,
    NotWritable,
    RegistryBusy,
)
from mozhu.kernel.files import free_bytes, human_size, make_folder
from mozhu.kernel.progress import iso_time, utc_now
from mozhu.platform.database.steps import bring_forward
from mozhu.platform.database.tables import SCHEMA_VERSION, SchemaVersion, Table

BUSY_TIMEOUT_S = 30.0
# Its place in `5_models`: models and data sets are in one file.
CATALOG = "catalog.db"


class Database:
    """Sessions on one database file. Services use them and never commit themselves."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self.path = path
        self._engine = engine
        self._immediate = engine.execution_options(immediate=True)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database throughout and changes nothing.

        Raises:
            RegistryBusy: REG-006. DamagedRegistry: REG-007.
        """
        with _catalogued(self.path), Session(self._engine, expire_on_commit=False) as session:
            yield session
            session.rollback()

    @contextmanager
    def writing(self, *, keep: bool = True) -> Iterator[Session]:
        """The only writer until the block ends; all of it is on disk then, or nothing after an exception.

        Args:
            keep: False takes everything back at the end, so that one can see what a change would do.

        Raises:
            RegistryBusy: REG-006 when another writer holds on for longer than ``BUSY_TIMEOUT_S``.
            DamagedRegistry: REG-007. DiskFull: FILE-003. NotWritable: FILE-002.
        """
        with _catalogued(self.path), Session(self._immediate, expire_on_commit=False) as session:
            session.connection()
            yield session
            if keep:
                session.commit()
            else:
                session.rollback()

    def close(self) -> None:
        self._engine.dispose()


def open_database(path: Path) -> Database:
    """The database in the file ``path``, with its tables; safe while another process does the same.

    A file of an earlier release is brought forward, and keeps every row.

    Raises:
        NewerRegistry: REG-008 when a later release made the file. DamagedRegistry: REG-007.
        RegistryBusy: REG-006.
    """
    make_folder(path.parent)
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S},
        json_serializer=lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True),
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    database = Database(engine, path)
    try:
        with database.reading() as session:
            ready = _schema_of(session.connection(), path) == SCHEMA_VERSION
        if not ready:
            with database.writing() as session:
                _make_tables(session.connection(), path)
    except MozhuError:
        database.close()
        raise
    return database


def _prepare_connection(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: `_begin` says which kind.
    connection.isolation_level = None
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; the switch itself does not wait for others, so it is tried again for a while."""
    deadline = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _schema_of(connection: Connection, path: Path) -> int:
    """The schema number of the file; 0 where it has no tables yet."""
    if not inspect(connection).has_table(SchemaVersion.__tablename__):
        return 0
    version = (
        connection.scalar(select(SchemaVersion.version).order_by(SchemaVersion.version.desc()).limit(1)) or 0
    )
    if version > SCHEMA_VERSION:
        raise NewerRegistry(path=str(path), found=version, known=SCHEMA_VERSION)
    return version


def _make_tables(connection: Connection, path: Path) -> None:
    """Bring the file to the tables of today; as one transaction, so that a kill leaves the old file."""
    found = _schema_of(connection, path)
    if found == SCHEMA_VERSION:
        return
    if found:
        bring_forward(connection, found)
    Table.metadata.create_all(connection)
    connection.execute(insert(SchemaVersion).values(version=SCHEMA_VERSION, applied=iso_time(utc_now())))


# SQLite's primary result codes; Python 3.10 does not tell them, so the words are looked at too.
_BUSY, _LOCKED = 5, 6
_FULL, _READ_ONLY, _CANNOT_OPEN, _PERMISSION = 13, 8, 14, 3


@contextmanager
def _catalogued(path: Path) -> Iterator[None]:
    """Turn what the database says into a catalogued error; a broken rule of a table is a bug and passes."""
    try:
        yield
    except (DatabaseError, sqlite3.DatabaseError) as error:
        found = _error_of(error, path)
        if found is None:
            raise
        raise found from error


def _error_of(error: DatabaseError | sqlite3.DatabaseError, path: Path) -> MozhuError | None:
    origin = error.orig if isinstance(error, DatabaseError) else error
    if isinstance(origin, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        return None
    code, reason = _primary_code(origin), str(origin)
    if _is_busy(origin):
        return RegistryBusy(path=str(path), seconds=int(BUSY_TIMEOUT_S))
    if code == _FULL or "is full" in reason:
        return DiskFull(path=str(path), free=human_size(free_bytes(path)))
    if code in (_READ_ONLY, _CANNOT_OPEN, _PERMISSION) or "readonly" in reason or "unable to open" in reason:
        return NotWritable(path=str(path), reason=reason)
    return DamagedRegistry(path=str(path), reason=reason)


def _is_busy(error: BaseException | None) -> bool:
    return _primary_code(error) in (_BUSY, _LOCKED) or "is locked" in str(error)


def _primary_code(error: BaseException | None) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None
