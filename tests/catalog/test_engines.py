"""What holds on both engines: one state for a reader, turns for writers, errors that say what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from services.postgres import PostgresServer
from sqlalchemy import bindparam, column, select, table, text

from mozhu.kernel.errors import BadDatabaseAddress, DamagedRegistry, NewerRegistry, NoDatabase, RegistryBusy
from mozhu.platform.database import failures, migrations
from mozhu.platform.database.asking import Question
from mozhu.platform.database.engine import Database, open_database
from mozhu.platform.database.migrations.newest import newest_step
from mozhu.platform.database.tables import Model
from mozhu.platform.database.tables_assets import Table
from mozhu.platform.database.tables_server import ReplayRow
from mozhu.platform.database.tables_uploads import BlobRow

INSERT = (
    "INSERT INTO models (owner, team, name, created, updated, version_count) VALUES ('a','a','{}','','',0)"
)


@pytest.fixture
def where(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    """A database without tables."""
    return str(request.getfixturevalue("empty_postgres_url")) if engine == "postgres" else tmp_path / "c.db"


@pytest.fixture
def database(where):  # type: ignore[no-untyped-def]
    opened = open_database(where)
    yield opened
    opened.close()


def add(database: Database, name: str, **how: object) -> None:
    with database.writing(**how) as session:  # type: ignore[arg-type]
        session.execute(text(INSERT.format(name)))


def count(session) -> int:  # type: ignore[no-untyped-def]
    return int(session.execute(text("SELECT count(*) FROM models")).scalar())


def test_the_steps_make_the_tables_that_the_code_reads(database):
    with database.reading() as session:
        context = MigrationContext.configure(session.connection())
        assert ReplayRow.metadata is BlobRow.metadata is Table.metadata
        assert compare_metadata(context, Table.metadata) == []
        assert context.get_current_revision() == newest_step()


def test_the_steps_are_one_line_and_their_names_tell_their_order():
    steps = list(ScriptDirectory(str(Path(migrations.__file__).parent)).walk_revisions())
    assert [step.revision for step in steps] == [f"{number:04}" for number in range(len(steps), 0, -1)]
    assert all(Path(step.path).name.startswith(f"s{step.revision}_") for step in steps)
    assert steps[0].revision == newest_step()


def test_a_reader_sees_one_state_and_does_not_wait(database):
    add(database, "one")
    with database.reading() as session:
        assert count(session) == 1
        add(database, "two")
        assert count(session) == 1
    with database.reading() as session:
        assert count(session) == 2


def test_what_is_only_tried_and_what_fails_is_taken_back(database):
    add(database, "tried", keep=False)
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        session.execute(text(INSERT.format("failed")))
        raise ZeroDivisionError
    with database.reading() as session:
        assert count(session) == 0


def test_writers_take_turns_and_one_who_holds_on_is_named(where, monkeypatch):
    monkeypatch.setattr(failures, "BUSY_TIMEOUT_S", 0.2)
    database = open_database(where)
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with database.writing() as session:
            session.execute(text(INSERT.format("held")))
            inside.set()
            go_on.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert inside.wait(30)
    with pytest.raises(RegistryBusy):
        add(database, "waits")
    with database.reading() as session:
        assert count(session) == 0
    go_on.set()
    holder.join(30)
    add(database, "after")
    with database.reading() as session:
        assert count(session) == 2
    database.close()


def test_a_database_of_a_later_release_is_left_alone(where):
    database = open_database(where)
    with database.writing() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    database.close()
    with pytest.raises(NewerRegistry):
        open_database(where)


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_writers_of_other_rooms_go_on(database):
    with database.writing(room="upload:1"):
        add(database, "meanwhile", room="upload:2")


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_connection_lost_in_the_middle_is_said_so_and_leaves_nothing(
    database: Database, postgres_server: PostgresServer, where: str
) -> None:
    with pytest.raises(NoDatabase) as said, database.writing() as session:
        session.execute(text(INSERT.format("half")))
        pid = session.execute(text("SELECT pg_backend_pid()")).scalar()
        postgres_server.do(f"SELECT pg_terminate_backend({pid}, 10000)")
        session.execute(text(INSERT.format("other half")))
    assert where not in str(said.value) and "***" in str(said.value)
    add(database, "again")
    with database.reading() as session:
        assert count(session) == 1


NAMES = Question(select(Model.name).where(Model.owner == bindparam("owner")).order_by(Model.name))


def test_questions_are_answered_with_their_values_and_what_goes_wrong_is_said(database):
    add(database, "one")
    add(database, "two")
    found = database.ask(NAMES.of(owner="a"), NAMES.of(owner="b"), NAMES.of(owner="a"))
    assert found == [[("one",), ("two",)], [], [("one",), ("two",)]]
    assert database.ask(NAMES.of(owner="a")) == [found[0]]
    wrong = Question(select(column("lost")).select_from(table("models")))
    for asked in ([wrong.of()], [NAMES.of(owner="a"), wrong.of()]):
        with pytest.raises(DamagedRegistry):
            database.ask(*asked)
    add(database, "three")
    assert len(database.ask(NAMES.of(owner="a"))[0]) == 3


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
def test_a_question_and_a_session_find_a_new_way_where_the_server_was_restarted_meanwhile(
    database: Database, postgres_server: PostgresServer, where: str
) -> None:
    def cut() -> None:
        others = (
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database()"
        )
        postgres_server.do(f"{others} AND pid <> pg_backend_pid()", where)

    add(database, "one")
    with database.reading() as session, database.reading() as other:
        assert count(session) == count(other) == 1
    cut()
    assert database.ask(NAMES.of(owner="a"), NAMES.of(owner="a")) == [[("one",)], [("one",)]]
    cut()
    assert database.ask(NAMES.of(owner="a")) == [[("one",)]]
    cut()
    with database.reading() as session:
        assert count(session) == 1


def test_a_server_that_does_not_answer_and_a_wrong_address_are_said_so():
    with pytest.raises(NoDatabase) as said:
        open_database("postgresql://mozhu:secret@127.0.0.1:1/none")
    assert "secret" not in str(said.value)
    for address in ("mysql://user:secret@host/name", "postgresql://user:secret@host", "sqlite://", "x://["):
        with pytest.raises(BadDatabaseAddress) as wrong:
            open_database(address)
        assert "secret" not in str(wrong.value)
