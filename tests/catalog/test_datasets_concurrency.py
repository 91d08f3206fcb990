"""Data sets: several processes at once, processes that are killed, and catalogues of the release before."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from registry_artefacts import write_run
from registry_snapshots import write_snapshot

from mozhu.platform.catalog.datasets.service import Datasets
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.engine import CATALOG, open_database

REGISTER = """
    import sys, time
    from pathlib import Path
    from mozhu.platform.catalog.datasets.service import Datasets
    root, go, *folders = sys.argv[1:]
    print("ready", flush=True)
    while not Path(go).exists():
        time.sleep(0.005)
    for folder in folders:
        with Datasets(Path(root)) as datasets:
            print(datasets.register(folder, name="d").version.label, flush=True)
"""

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mozhu.platform.catalog.datasets import {module} as module
    from mozhu.platform.catalog.datasets.service import Datasets
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    module.{name} = die
    with Datasets(Path(sys.argv[1])) as datasets:
        datasets.register(sys.argv[2], name="d")
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run_together(workspace: Path, go: Path, groups: list[list[Path]]) -> list[list[str]]:
    processes = [start(REGISTER, workspace, go, *group) for group in groups]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    go.touch()
    labels = []
    for process in processes:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        labels.append(out.split())
    return labels


def test_two_processes_get_different_versions_and_no_row_is_lost(workspace, tmp_path):
    groups = [
        [write_snapshot(tmp_path / f"{one}-{two}", seed=one * 10 + two) for two in range(4)]
        for one in range(2)
    ]
    labels = run_together(workspace, tmp_path / "go", groups)
    assert sorted(sum(labels, [])) == [f"v{number}" for number in range(1, 9)]
    with Datasets(workspace) as datasets, Registry(workspace) as registry:
        assert all(datasets.validate(f"d:v{number}").state == "ready" for number in range(1, 9))
        before = datasets.fingerprint()
        registry.rescan()
        assert datasets.fingerprint() == before


def test_the_same_snapshot_from_two_processes_is_one_version(workspace, tmp_path):
    folder = write_snapshot(tmp_path / "s")
    assert run_together(workspace, tmp_path / "go", [[folder], [folder]]) == [["v1"], ["v1"]]
    with Datasets(workspace) as datasets:
        assert len(datasets.show("d").versions) == 1
    assert [path.name for path in (workspace / "5_models" / "datasets" / "d").iterdir()] == ["v1"]


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param("folders", "bring_files", marks=pytest.mark.slow),
        pytest.param("folders", "copy_file", marks=pytest.mark.slow),
        pytest.param("registering", "_record", marks=pytest.mark.slow),
        pytest.param("folders", "close_files", marks=pytest.mark.slow),
        ("registering", "move_in"),
        pytest.param("folders", "facts_of", marks=pytest.mark.slow),
        pytest.param("rows", "add_version", marks=pytest.mark.slow),
        pytest.param("registering", "add_history", marks=pytest.mark.slow),
    ],
)
def test_a_kill_leaves_nothing_or_a_whole_version_and_the_same_command_ends_well(
    workspace, tmp_path, module, name
):
    folder = write_snapshot(tmp_path / "s")
    process = start(KILLED.format(module=module, name=name), workspace, folder)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with Datasets(workspace) as datasets, Registry(workspace) as registry:
        assert datasets.list_datasets() == []
        for left in (workspace / "5_models" / "datasets").glob("*/*"):
            assert datasets.validate(left).is_whole
        assert datasets.validate(folder).is_whole
        assert datasets.register(folder, name="d").version.reference == "d:v1"
        assert datasets.validate("d:v1").state == "ready"
        assert len(list((workspace / "5_models" / "datasets").glob("*/*"))) == 1
        before = datasets.fingerprint()
        registry.rescan()
        assert datasets.fingerprint() == before


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_at_any_moment_leaves_whole_versions_only(workspace, tmp_path):
    folder = write_snapshot(tmp_path / "s", rows=3000)
    code = KILLED.split("def die")[0].format(module="service") + (
        "\n    print('ready', flush=True)"
        "\n    with Datasets(Path(sys.argv[1])) as datasets:"
        "\n        datasets.register(sys.argv[2], name='d', copy=True)"
    )
    for wait_ms in (0, 20, 40, 60, 80, 120):
        process = start(code, workspace, folder)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait_ms / 1000)
        process.kill()
        process.wait()
        process.stdout.close()
        with Datasets(workspace) as datasets:
            for view in datasets.list_datasets():
                assert datasets.validate(view.newest.reference).is_whole
            for left in (workspace / "5_models" / "datasets").glob("*/*"):
                assert datasets.validate(left).is_whole
    with Datasets(workspace) as datasets:
        datasets.register(folder, name="d")
        assert datasets.validate("d:v1").is_whole and len(datasets.show("d").versions) == 1


# The tables as the first release made them.
FIRST_RELEASE = """
CREATE TABLE schema_version (version INTEGER NOT NULL, applied VARCHAR NOT NULL,
    CONSTRAINT pk_schema_version PRIMARY KEY (version));
CREATE TABLE models (id INTEGER NOT NULL, owner VARCHAR(200) NOT NULL, team VARCHAR(200) NOT NULL,
    name VARCHAR(200) NOT NULL, created VARCHAR NOT NULL, updated VARCHAR NOT NULL, version_count INTEGER NOT NULL,
    CONSTRAINT pk_models PRIMARY KEY (id), CONSTRAINT uq_models_owner UNIQUE (owner, name));
CREATE INDEX ix_models_updated_id ON models (updated, id);
CREATE TABLE history (id INTEGER NOT NULL, time VARCHAR NOT NULL, what VARCHAR(60) NOT NULL,
    model VARCHAR(200) NOT NULL, version VARCHAR(200) NOT NULL, details JSON NOT NULL,
    CONSTRAINT pk_history PRIMARY KEY (id));
CREATE INDEX ix_history_model_version ON history (model, version);
CREATE TABLE versions (id INTEGER NOT NULL, model_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    label VARCHAR(200) NOT NULL, state VARCHAR(20) NOT NULL, kind VARCHAR(20) NOT NULL,
    model_type VARCHAR(20) NOT NULL, base_model VARCHAR NOT NULL, task VARCHAR NOT NULL,
    description VARCHAR NOT NULL, training_dataset VARCHAR NOT NULL, training_steps INTEGER NOT NULL,
    performance JSON NOT NULL, path VARCHAR NOT NULL, size_bytes INTEGER NOT NULL, checksum VARCHAR(80) NOT NULL,
    certified BOOLEAN NOT NULL, created VARCHAR NOT NULL, registered VARCHAR NOT NULL,
    CONSTRAINT pk_versions PRIMARY KEY (id), CONSTRAINT uq_versions_model_id UNIQUE (model_id, seq),
    CONSTRAINT uq_versions_model_id_label UNIQUE (model_id, label),
    CONSTRAINT fk_versions_model_id FOREIGN KEY(model_id) REFERENCES models (id) ON DELETE CASCADE);
CREATE INDEX ix_versions_checksum ON versions (checksum);
CREATE INDEX ix_versions_path ON versions (path);
CREATE INDEX ix_versions_registered_id ON versions (registered, id);
CREATE TABLE tags (tag VARCHAR(200) NOT NULL, version_id INTEGER NOT NULL, position INTEGER NOT NULL,
    CONSTRAINT pk_tags PRIMARY KEY (tag, version_id),
    CONSTRAINT fk_tags_version_id FOREIGN KEY(version_id) REFERENCES versions (id) ON DELETE CASCADE);
CREATE INDEX ix_tags_version_id ON tags (version_id);
INSERT INTO schema_version VALUES (1, '2026-11-21T08:00:00.000Z');
"""


def as_first_release(path: Path) -> None:
    """The rows of the catalogue at ``path`` in a file with the tables of the first release."""
    old = path.with_name("old.db")
    with sqlite3.connect(old) as connection:
        connection.executescript(FIRST_RELEASE)
        connection.execute("ATTACH ? AS today", (str(path),))
        for table in ("models", "versions", "tags", "history"):
            columns = [row[1] for row in connection.execute(f"PRAGMA main.table_info({table})")]
            names = ", ".join(columns)
            connection.execute(f"INSERT INTO main.{table} ({names}) SELECT {names} FROM today.{table}")
    connection.close()
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    old.rename(path)


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_catalogue_of_the_first_release_keeps_every_row_and_takes_data_sets(workspace, tmp_path):
    with Registry(workspace) as registry:
        for seed in range(3):
            registry.register(write_run(tmp_path / str(seed), seed), name="m", tags=("医疗", "qa"))
        before = registry.fingerprint(), registry.show("m").history
    as_first_release(workspace / "5_models" / CATALOG)
    with Registry(workspace) as registry, Datasets(workspace) as datasets:
        assert (registry.fingerprint(), registry.show("m").history) == before
        assert datasets.register(write_snapshot(tmp_path / "s"), name="m").version.reference == "m:v1"
        assert (registry.fingerprint(), registry.show("m").history) == before
        assert registry.register(write_run(tmp_path / "9", 9), name="m").version.label == "v4"
    with sqlite3.connect(workspace / "5_models" / CATALOG) as connection:
        assert connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall() == [
            (1,),
            (3,),
        ]
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_old_tables_brought_forward_are_those_of_a_new_file(tmp_path):
    with sqlite3.connect(tmp_path / "old.db") as connection:
        connection.executescript(FIRST_RELEASE)
    shapes = []
    for name in ("old.db", "new.db"):
        open_database(tmp_path / name).close()
        with sqlite3.connect(tmp_path / name) as connection:
            tables = [
                row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            ]
            indexes = connection.execute("SELECT name FROM sqlite_master WHERE type='index' AND sql NOT NULL")
            columns = {
                table: sorted(
                    (row[1], row[2], row[3]) for row in connection.execute(f"PRAGMA table_info({table})")
                )
                for table in tables
            }
            shapes.append((columns, sorted(indexes.fetchall())))
    assert shapes[0] == shapes[1]


def test_two_processes_bring_a_catalogue_forward_at_once(tmp_path):
    for number in range(6):
        with sqlite3.connect(tmp_path / f"{number}.db") as connection:
            connection.executescript(FIRST_RELEASE)
    code = """
        import sys, time
        from pathlib import Path
        from mozhu.platform.database.engine import open_database
        print("ready", flush=True)
        while not Path(sys.argv[2]).exists():
            time.sleep(0.001)
        for number in range(6):
            open_database(Path(sys.argv[1]) / f"{number}.db").close()
    """
    processes = [start(code, tmp_path, tmp_path / "go") for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()
    (tmp_path / "go").touch()
    for process in processes:
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 0, error
    for number in range(6):
        with sqlite3.connect(tmp_path / f"{number}.db") as connection:
            found = connection.execute("SELECT version FROM schema_version ORDER BY version").fetchall()
            assert found == [(1,), (3,)]


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_while_a_catalogue_is_brought_forward_leaves_the_old_one(tmp_path):
    with sqlite3.connect(tmp_path / "c.db") as connection:
        connection.executescript(FIRST_RELEASE)
    code = """
        import os, signal, sys
        from pathlib import Path
        from mozhu.platform.database import engine, migrate
        bring, engine.slots.load = migrate.migrate, lambda *_: bring_and_die
        def bring_and_die(*arguments):
            bring(*arguments)
            os.kill(os.getpid(), signal.SIGKILL)
        engine.open_database(Path(sys.argv[1]))
    """
    process = start(code, tmp_path / "c.db")
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with sqlite3.connect(tmp_path / "c.db") as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
        assert "datasets" not in tables
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
    open_database(tmp_path / "c.db").close()
