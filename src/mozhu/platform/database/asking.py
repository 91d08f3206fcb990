"""Questions that are asked often: statements compiled once, sent together, answered in one state of the database.

An object of the mapper, a statement that is put together anew, and every way to the server and back cost more than
what the database does for a list of fifty rows. A question is compiled once for each engine, its rows are tuples, and
several questions go to PostgreSQL in one message, with the beginning and the end of the transaction that holds them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CompoundSelect, Engine, Select, event
from sqlalchemy.engine import Dialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.pool import PoolProxiedConnection

Row = tuple[Any, ...]
Processor = Callable[[Any], Any]
Statement = tuple[str, Any]
Selection = Select[Any] | CompoundSelect[Any]
_BEGIN = {"postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "sqlite": "BEGIN"}
_asking = threading.local()


class Question:
    """A selection with named values (``bindparam``), made once and kept."""

    def __init__(self, statement: Selection) -> None:
        self._statement = statement
        self._compiled: dict[str, _Compiled] = {}

    def of(self, **values: Any) -> Asked:
        """The question with these values."""
        return Asked(self, values)

    def compiled(self, dialect: Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _compile(self._statement, dialect)
        return found


@dataclass(frozen=True)
class Asked:
    question: Question
    values: dict[str, Any]


@dataclass(frozen=True)
class _Compiled:
    """``constants``: what the statement itself says, ``order``: of the values where they are given by place."""

    sql: str
    constants: dict[str, Any]
    order: tuple[str, ...] | None
    processors: tuple[tuple[int, Processor], ...]

    def given(self, values: dict[str, Any]) -> Any:
        every = {**self.constants, **values}
        return every if self.order is None else tuple(every[name] for name in self.order)

    def rows(self, found: list[Row]) -> list[Row]:
        if not self.processors:
            return found
        read = [list(row) for row in found]
        for place, processor in self.processors:
            for row in read:
                row[place] = processor(row[place])
        return [tuple(row) for row in read]


def _compile(statement: Selection, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    made = [
        (place, column.type.dialect_impl(dialect).result_processor(dialect, None))
        for place, column in enumerate(statement.selected_columns)
    ]
    return _Compiled(
        sql=str(compiled),
        constants={name: value for name, value in compiled.params.items() if value is not None},
        order=tuple(compiled.positiontup) if compiled.positiontup is not None else None,
        processors=tuple((place, processor) for place, processor in made if processor is not None),
    )


def ask(engine: Engine, asked: Sequence[Asked]) -> list[list[Row]]:
    """The rows of each question, all of one state.

    A connection that was lost while nobody used it is noticed by the first question, which is asked again.

    Raises:
        DBAPIError: As SQLAlchemy says it.
    """
    compiled = [one.question.compiled(engine.dialect) for one in asked]
    statements = [(each.sql, each.given(one.values)) for each, one in zip(compiled, asked, strict=True)]
    try:
        with _unpinged():
            found = _answers(engine, statements)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        found = _answers(engine, statements)
    return [each.rows(rows) for each, rows in zip(compiled, found, strict=True)]


def _answers(engine: Engine, statements: Sequence[Statement]) -> list[list[Row]]:
    answer = _by_postgres if engine.dialect.name == "postgresql" else _by_sqlite
    connection = None
    try:
        connection = engine.raw_connection()
        return answer(connection.driver_connection, statements)
    except engine.dialect.loaded_dbapi.Error as error:
        raise _told(engine, connection, statements[0], error) from error
    finally:
        if connection is not None:
            connection.close()


def _by_sqlite(connection: Any, statements: Sequence[Statement]) -> list[list[Row]]:
    if len(statements) == 1:
        return [connection.execute(*statements[0]).fetchall()]
    connection.execute(_BEGIN["sqlite"])
    try:
        return [connection.execute(sql, values).fetchall() for sql, values in statements]
    finally:
        connection.rollback()


def _by_postgres(connection: Any, statements: Sequence[Statement]) -> list[list[Row]]:
    """One message there and one back. A statement by itself sees one state without a transaction of ours."""
    connection.autocommit = True
    try:
        if len(statements) == 1:
            return [connection.execute(*statements[0]).fetchall()]
        with connection.pipeline():
            connection.execute(_BEGIN["postgresql"])
            cursors = [connection.execute(sql, values) for sql, values in statements]
            connection.execute("ROLLBACK")
        return [cursor.fetchall() for cursor in cursors]
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = False


def _told(
    engine: Engine, connection: PoolProxiedConnection | None, statement: Statement, error: Any
) -> DBAPIError:
    """What the driver says, as SQLAlchemy says it; a lost connection is not used again."""
    is_lost = connection is not None and engine.dialect.is_disconnect(
        error, connection.dbapi_connection, None
    )
    if is_lost and connection is not None:
        connection.invalidate(error)
    driver = engine.dialect.loaded_dbapi
    told = DBAPIError.instance(
        *statement, error, driver.Error, connection_invalidated=is_lost, dialect=engine.dialect
    )
    assert isinstance(told, DBAPIError)
    return told


@contextmanager
def _unpinged() -> Iterator[None]:
    _asking.on = True
    try:
        yield
    finally:
        _asking.on = False


def ping_before_use(engine: Engine) -> None:
    """A connection from the pool is known to live before a session has it; questions notice it by themselves."""

    @event.listens_for(engine, "checkout")
    def ping(connection: DBAPIConnection, record: object, proxy: object) -> None:
        if getattr(_asking, "on", False):
            return
        try:
            alive = engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error:
            alive = False
        if not alive:
            raise InvalidatePoolError
