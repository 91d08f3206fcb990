"""PostgreSQL: readers in one snapshot, writers of a room behind one lock that ends with their transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, bindparam, create_engine, func, select

from mozhu.kernel.errors import MissingExtra
from mozhu.platform.database import failures
from mozhu.platform.database.address import Address
from mozhu.platform.database.asking import ping_before_use
from mozhu.platform.database.sqlite import to_json

READING: dict[str, Any] = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_CONNECT_S = 10
_POOL, _MORE = 10, 20
_TURN = select(func.pg_advisory_xact_lock(func.hashtextextended(bindparam("room"), 0)))


def make_engine(address: Address) -> Engine:
    """The engine of a server; nothing is connected yet.

    Raises:
        MissingExtra: ENV-001 without psycopg.
    """
    waits = f"-c lock_timeout={int(failures.BUSY_TIMEOUT_S * 1000)}"
    given = address.url.query.get("options", "")
    try:
        engine = create_engine(
            address.url.difference_update_query(["options"]),
            connect_args={"connect_timeout": _CONNECT_S, "options": f"{given} {waits}".strip()},
            json_serializer=to_json,
            pool_size=_POOL,
            max_overflow=_MORE,
            # The connection that was used last knows the statements best.
            pool_use_lifo=True,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra(wanted_by=address.shown, module="psycopg", extra="postgres") from error
    ping_before_use(engine)
    return engine


def take_turn(connection: Connection, room: str) -> None:
    """Wait until no other writer is in ``room``; it is left at the end of the transaction."""
    connection.execute(_TURN, {"room": room})
