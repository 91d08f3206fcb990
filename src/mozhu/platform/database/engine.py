"""The catalogue's database: opened, made where it is missing, and the only place that commits.

One of two engines, chosen by the address: SQLite in a file, or PostgreSQL. On both a reader sees one state
throughout and never waits for a writer, writers of one room take turns, and what was written is on disk when
``writing`` ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, column, inspect, select, table
from sqlalchemy.orm import Session

from mozhu.kernel import slots
from mozhu.kernel.errors import MozhuError, NewerRegistry
from mozhu.platform.database import postgres, sqlite
from mozhu.platform.database.address import Address, read_address
from mozhu.platform.database.asking import Asked, Row, ask
from mozhu.platform.database.failures import catalogued
from mozhu.platform.database.migrations.newest import newest_step

# Its place in `5_models`: models and data sets are in one file.
CATALOG = "catalog.db"
# Who writes to the catalogue takes turns with all others who do.
CATALOGUE_ROOM = "catalogue"


class Database:
    """Sessions on one database. Services use them and never commit themselves.

    ``where``: the file, or the address without its password, to be shown to people.
    """

    def __init__(self, engine: Engine, address: Address) -> None:
        self.where = address.shown
        self.is_postgres = address.is_postgres
        self._engine = engine
        self._reader = engine.execution_options(**(postgres.READING if self.is_postgres else {}))
        self._writer = engine.execution_options(**({} if self.is_postgres else sqlite.WRITING))

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the database throughout and changes nothing.

        Raises:
            RegistryBusy: REG-006. DamagedRegistry: REG-007. NoDatabase: REG-016, it cannot be reached.
        """
        with catalogued(self.where), Session(self._reader, expire_on_commit=False) as session:
            yield session
            session.rollback()

    def ask(self, *asked: Asked) -> list[list[Row]]:
        """The rows of each question, all of one state; the quick way for what is asked often.

        Raises:
            As :meth:`reading`.
        """
        with catalogued(self.where):
            return ask(self._engine, asked)

    @contextmanager
    def writing(self, *, keep: bool = True, room: str = CATALOGUE_ROOM) -> Iterator[Session]:
        """The only writer in ``room`` until the block ends; all of it is on disk then, or nothing after an exception.

        Args:
            keep: False takes everything back at the end, so that one can see what a change would do.
            room: Who names the same room waits for each other. On PostgreSQL other rooms go on; SQLite has one
                writer in any case, so a block should be short.

        Raises:
            RegistryBusy: REG-006 when another writer holds on for longer than ``BUSY_TIMEOUT_S``.
            DamagedRegistry: REG-007. DiskFull: FILE-003. NotWritable: FILE-002. NoDatabase: REG-016.
        """
        with catalogued(self.where), Session(self._writer, expire_on_commit=False) as session:
            connection = session.connection()
            if self.is_postgres:
                postgres.take_turn(connection, room)
            yield session
            if keep:
                session.commit()
            else:
                session.rollback()

    def close(self) -> None:
        self._engine.dispose()


def open_database(where: Path | str) -> Database:
    """The database at ``where``, with the tables of today; safe while another process does the same.

    A database of an earlier release is brought forward, and keeps every row.

    Args:
        where: A file for SQLite (it is made), or ``postgresql://user:password@host/name`` of a database that is
            there; only its tables are made.

    Raises:
        NewerRegistry: REG-008 when a later release made it. DamagedRegistry: REG-007. RegistryBusy: REG-006.
        NoDatabase: REG-016, it cannot be reached. BadDatabaseAddress: REG-017. MissingExtra: ENV-001.
    """
    address = read_address(where)
    engine = postgres.make_engine(address) if address.is_postgres else sqlite.make_engine(address)
    database = Database(engine, address)
    try:
        with database.reading() as session:
            ready = _step_of(session.connection(), database.where) == newest_step()
        if not ready:
            _bring_forward(database)
    except MozhuError:
        database.close()
        raise
    return database


def _bring_forward(database: Database) -> None:
    """The tables of today; as one transaction, so that a kill leaves the old ones."""
    with database.writing() as session:
        connection = session.connection()
        found = _step_of(connection, database.where)
        if found != newest_step():
            slots.load("mozhu.rooms", "migrate_database")(connection, found)


_STEP = table("alembic_version", column("version_num"))
_SCHEMA = table("schema_version", column("version"))


def _step_of(connection: Connection, where: str) -> str:
    """The number of the step that the tables are at; empty where there are none yet."""
    known = inspect(connection)
    if known.has_table(_STEP.name):
        found = connection.scalar(select(_STEP.c.version_num)) or ""
    elif known.has_table(_SCHEMA.name):
        # Releases before the steps counted by themselves, from 1.
        found = (
            f"{connection.scalar(select(_SCHEMA.c.version).order_by(_SCHEMA.c.version.desc()).limit(1)):04}"
        )
    else:
        return ""
    if found > newest_step():
        raise NewerRegistry(path=where, found=found, known=newest_step())
    return found
