"""A database of any earlier step, with rows in every table, comes forward and keeps each of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import JSON, Boolean, Integer, LargeBinary, MetaData, Table, insert, inspect, select, text
from sqlalchemy.engine import Connection

from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.platform.catalog import rows as catalogue
from mozhu.platform.catalog import searching
from mozhu.platform.catalog.datasets import rows as datasets
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.platform.database import migrate, postgres, sqlite
from mozhu.platform.database.address import read_address
from mozhu.platform.database.engine import open_database
from mozhu.platform.database.migrations.newest import newest_step
from mozhu.platform.database.tables import Table as Base
from mozhu.platform.database.tables_assets import SearchGram
from mozhu.platform.database.tables_server import WebhookRow
from mozhu.platform.database.tables_uploads import UploadRow

LAST = int(newest_step())
# The first release, the step before search, and the newest two; the rest with the slow tests.
STEPS = [
    pytest.param(f"{number:04}", marks=[] if number in (1, 5, LAST - 1, LAST) else [pytest.mark.slow])
    for number in range(1, LAST + 1)
]
NOT_OURS = ("alembic_version", "schema_version")
ROWS = 3
# What is derived from the rest, and is made anew.
DERIVED = {("models", "size_bytes"), ("models", "search_text")}


@pytest.fixture
def where(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    return str(request.getfixturevalue("empty_postgres_url")) if engine == "postgres" else tmp_path / "c.db"


@pytest.mark.parametrize("step", STEPS)
def test_every_row_of_every_step_comes_forward(where: Path | str, step: str) -> None:
    address = read_address(where)
    engine = postgres.make_engine(address) if address.is_postgres else sqlite.make_engine(address)
    with engine.begin() as connection:
        _upgrade(connection, step)
        before = _filled(connection)
    engine.dispose()
    database = open_database(where)
    with database.reading() as session:
        connection = session.connection()
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == newest_step()
        assert compare_metadata(context, Base.metadata) == []
        assert _content(connection, before) == before
        if not address.is_postgres:
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
        found = searching.page(database, LOCAL_ADMIN, ModelQuery(search="名称1"), 50).items
        assert [model.name for model in found] == ["name 名称1"]
        assert len(catalogue.versions_of(session, "name 名称1", found[0].owner)) == 1
        if "datasets" in before:
            data = searching.page_of(
                database, LOCAL_ADMIN, ModelQuery(search="名称1"), 50, None, datasets.LISTING
            )
            assert [dataset.name for dataset in data.items] == ["name 名称1"]
    database.close()


def _upgrade(connection: Connection, step: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    command.upgrade(config, step)


def _filled(connection: Connection) -> dict[str, list[dict[str, Any]]]:
    """Rows in every table that there is at this step, each column with a value of its own; what was put there."""
    metadata = MetaData()
    metadata.reflect(connection)
    put: dict[str, list[dict[str, Any]]] = {}
    for table in metadata.sorted_tables:
        if table.name in NOT_OURS:
            continue
        made = [
            {column.name: _value(column, number) for column in table.columns} for number in range(1, ROWS + 1)
        ]
        if table.name == "search_grams":
            # Grams of the words in `models` and `datasets`, as whoever wrote these rows would have made them.
            kinds = [
                kind for kind in ("model", "dataset") if "search_text" in metadata.tables[f"{kind}s"].columns
            ]
            made = [
                {"kind": kind, "gram": gram, "id": n}
                for kind in kinds
                for n in (1, 2, 3)
                for gram in ("名称", f"称{n}")
            ]
        connection.execute(insert(table), made)
        put[table.name] = _shown(made, table)
    return put


def _value(column: Any, number: int) -> Any:
    name = column.name
    if column.foreign_keys and isinstance(column.type, Integer):
        return number
    if name in ("trashed", "trashed_by"):
        return None if column.nullable else ""
    if name == "search_text":
        return f"name 名称{number}"
    if isinstance(column.type, JSON) or name in (
        "performance",
        "details",
        "parts",
        "purpose",
        "plan",
        "place",
    ):
        return {"数": number, "list": [1, None]}
    if isinstance(column.type, Boolean) or name in ("certified", "active", "protected"):
        return number % 2 == 0
    if isinstance(column.type, Integer):
        return number
    if isinstance(column.type, LargeBinary):
        return bytes([number, 0, 255])
    if column.foreign_keys:
        return next(iter(column.foreign_keys)).column.name + f" {number}"
    return (
        f"{name} 名称{number}"
        if name == "name"
        else f"{name} {number}"[: getattr(column.type, "length", None)]
    )


def _content(
    connection: Connection, before: dict[str, list[dict[str, Any]]]
) -> dict[str, list[dict[str, Any]]]:
    """What lies now in the tables and columns of ``before``."""
    found = {}
    for name, made in before.items():
        table = Table(name, MetaData(), autoload_with=connection)
        query = select(*(table.c[column] for column in made[0]))
        lies = [dict(row._mapping) for row in connection.execute(query)]
        if name == "search_grams":  # those of a kind that could not be searched before are new
            kinds = {row["kind"] for row in made}
            lies = [row for row in lies if row["kind"] in kinds]
        found[name] = _shown(lies, table)
    return found


def _shown(made: list[dict[str, Any]], table: Table) -> list[dict[str, Any]]:
    kept = [{name: value for name, value in row.items() if (table.name, name) not in DERIVED} for row in made]
    return sorted(kept, key=repr)


def test_no_table_is_left_out(where: Path | str) -> None:
    """The rows above are in every table of today."""
    database = open_database(where)
    with database.reading() as session:
        tables = set(inspect(session.connection()).get_table_names())
    database.close()
    assert {SearchGram.metadata, WebhookRow.metadata, UploadRow.metadata} == {Base.metadata}
    assert tables == {*Base.metadata.tables, "alembic_version"}
