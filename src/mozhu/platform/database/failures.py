"""What a database says, as errors of the catalogue."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mozhu.kernel.errors import (
    DamagedRegistry,
    DiskFull,
    MozhuError,
    NoDatabase,
    NotWritable,
    RegistryBusy,
)
from mozhu.kernel.files import free_bytes, human_size

BUSY_TIMEOUT_S = 30.0
# SQLite's primary result codes; Python 3.10 does not tell them, so the words are looked at too.
_BUSY, _LOCKED = 5, 6
_FULL, _READ_ONLY, _CANNOT_OPEN, _PERMISSION = 13, 8, 14, 3
# PostgreSQL's SQLSTATE: a lock not to be had, two writers in each other's way, too many connections.
_STATES_BUSY = ("55P03", "40001", "40P01", "53300")
_STATES_FULL = ("53100",)
_STATES_READ_ONLY = ("25006", "42501")
_STATES_DAMAGED = ("XX001", "XX002", "42P01", "42703")


@contextmanager
def catalogued(where: str) -> Iterator[None]:
    """Turn what the database says into a catalogued error; a broken rule of a table is a bug and passes."""
    try:
        yield
    except (DBAPIError, sqlite3.DatabaseError, PoolTimeout) as error:
        found = _error_of(error, where)
        if found is None:
            raise
        raise found from error


def is_busy(error: BaseException | None) -> bool:
    return _primary_code(error) in (_BUSY, _LOCKED) or "is locked" in str(error)


def _error_of(error: Exception, where: str) -> MozhuError | None:
    if isinstance(error, PoolTimeout):
        return RegistryBusy(path=where, seconds=int(BUSY_TIMEOUT_S))
    origin = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(origin, sqlite3.Error):
        return _of_sqlite(origin, where)
    return _of_postgres(error, getattr(origin, "sqlstate", None), where)


def _of_sqlite(origin: sqlite3.Error, where: str) -> MozhuError | None:
    if isinstance(origin, (sqlite3.IntegrityError, sqlite3.ProgrammingError)):
        return None
    code, reason = _primary_code(origin), str(origin)
    if is_busy(origin):
        return RegistryBusy(path=where, seconds=int(BUSY_TIMEOUT_S))
    if code == _FULL or "is full" in reason:
        return DiskFull(path=where, free=human_size(free_bytes(Path(where))))
    if code in (_READ_ONLY, _CANNOT_OPEN, _PERMISSION) or "readonly" in reason or "unable to open" in reason:
        return NotWritable(path=where, reason=reason)
    return DamagedRegistry(path=where, reason=reason)


def _of_postgres(error: Exception, state: str | None, where: str) -> MozhuError | None:
    reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
    if state in _STATES_BUSY:
        return RegistryBusy(path=where, seconds=int(BUSY_TIMEOUT_S))
    if state in _STATES_FULL:
        return DiskFull(path=where, free="0B")
    if state in _STATES_READ_ONLY:
        return NotWritable(path=where, reason=reason)
    if state in _STATES_DAMAGED:
        return DamagedRegistry(path=where, reason=reason)
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or isinstance(error, (OperationalError, InterfaceError)):
        return NoDatabase(path=where, reason=reason)
    return None


def _primary_code(error: BaseException | None) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None
