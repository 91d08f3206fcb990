"""SQLite: one file in WAL mode. Writers take turns (``BEGIN IMMEDIATE``) and sync before they are done."""

from __future__ import annotations

import json
import sqlite3
import time
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from mozhu.kernel.files import make_folder
from mozhu.platform.database import failures
from mozhu.platform.database.address import Address

WRITING = {"immediate": True}


def make_engine(address: Address) -> Engine:
    """The engine of a file, whose folder is made where it is missing."""
    make_folder(address.path.parent)
    engine = create_engine(
        address.url,
        connect_args={"timeout": failures.BUSY_TIMEOUT_S},
        json_serializer=to_json,
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    return engine


def to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _prepare_connection(connection: Any, _record: object) -> None:
    # The driver must not begin transactions by itself: `_begin` says which kind.
    connection.isolation_level = None
    _use_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL; the switch itself does not wait for others, so it is tried again for a while."""
    deadline = time.monotonic() + failures.BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if not failures.is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
