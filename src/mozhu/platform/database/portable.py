"""What the two engines say in different words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, Boolean
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement


class Holds(FunctionElement[bool]):
    """Whether a text has a word as a part of it, letter by letter: of a text, a word, and its :func:`pattern`.

    SQLite looks for the word, in a third of the time that ``LIKE`` takes there; PostgreSQL's planner knows how rare
    what is like a pattern is, and nothing of other ways to ask.
    """

    type = Boolean()
    inherit_cache = True


def pattern(word: str) -> str:
    """What is like this holds ``word``."""
    plain = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"


@compiles(Holds, "sqlite")
def _holds_sqlite(element: Holds, compiler: Any, **how: Any) -> str:
    text, word, _ = element.clauses
    return f"instr({compiler.process(text, **how)}, {compiler.process(word, **how)}) > 0"


@compiles(Holds, "postgresql")
def _holds_postgres(element: Holds, compiler: Any, **how: Any) -> str:
    text, _, like = element.clauses
    return f"{compiler.process(text, **how)} LIKE {compiler.process(like, **how)}"


class Absent(FunctionElement[bool]):
    """Whether a column of text is NULL, which it nearly always is.

    SQLite, which keeps no statistics by itself, would take ``IS NULL`` for a condition that leads to few, gather all
    and sort them; said in this way it has no index and is asked of each as the order comes.
    """

    type = Boolean()
    inherit_cache = True


@compiles(Absent, "sqlite")
def _absent_sqlite(element: Absent, compiler: Any, **how: Any) -> str:
    return f"coalesce({compiler.process(element.clauses, **how)}, '') = ''"


@compiles(Absent, "postgresql")
def _absent_postgres(element: Absent, compiler: Any, **how: Any) -> str:
    return f"{compiler.process(element.clauses, **how)} IS NULL"


class Gathered(FunctionElement[list[Any]]):
    """The one column of an ordered selection, as a list; empty where it has no row."""

    type = JSON()
    inherit_cache = True


@compiles(Gathered, "sqlite")
def _gathered_sqlite(element: Gathered, compiler: Any, **how: Any) -> str:
    return f"(SELECT json_group_array(value) FROM {compiler.process(element.clauses, **how)})"


@compiles(Gathered, "postgresql")
def _gathered_postgres(element: Gathered, compiler: Any, **how: Any) -> str:
    return f"ARRAY{compiler.process(element.clauses, **how)}"


def put_all(
    session: Session, table: type[Any], rows: Sequence[dict[str, Any]], changed: Sequence[str] = ()
) -> None:
    """``rows`` are in ``table``, by one statement; of those whose key was there the columns ``changed`` are set."""
    if not rows:
        return
    dialect = session.get_bind().dialect.name
    statement: Any = (postgresql if dialect == "postgresql" else sqlite).insert(table)
    key = [column.name for column in table.__table__.primary_key]
    if changed:
        new = {name: statement.excluded[name] for name in changed}
        statement = statement.on_conflict_do_update(index_elements=key, set_=new)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=key)
    session.execute(statement, list(rows))
