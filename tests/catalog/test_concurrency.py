"""Several processes at once, and processes that are killed."""

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
from registry_artefacts import certify, write_adapter, write_run, write_safetensors

from mozhu.kernel.errors import NewerRegistry, RegistryBusy
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database import failures
from mozhu.platform.database.engine import CATALOG, open_database
from mozhu.platform.database.migrations.newest import newest_step

REGISTER = """
    import sys, time
    from pathlib import Path
    from mozhu.platform.catalog.service import Registry
    root, go, *runs = sys.argv[1:]
    while not Path(go).exists():
        time.sleep(0.005)
    for run in runs:
        with Registry(Path(root)) as registry:
            print(registry.register(run, name="m").version.label, flush=True)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_processes_get_different_versions_and_no_row_is_lost(workspace, engine, tmp_path):
    runs = [[write_run(tmp_path / f"{one}-{two}", one * 10 + two) for two in range(4)] for one in range(2)]
    processes = [start(REGISTER, workspace, tmp_path / "go", *group) for group in runs]
    time.sleep(1.5)
    (tmp_path / "go").touch()
    labels = []
    for process in processes:
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        labels += out.split()
    assert sorted(labels) == [f"v{number}" for number in range(1, 9)]
    with Registry(workspace) as registry:
        assert all(registry.validate(f"m:{label}").state == "ready" for label in labels)
        before = registry.fingerprint()
        registry.rescan()
        assert registry.fingerprint() == before
    if engine == "sqlite":
        with sqlite3.connect(workspace / "5_models" / CATALOG) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_same_run_from_two_processes_is_one_version(workspace, tmp_path):
    run = write_run(tmp_path / "run")
    processes = [start(REGISTER, workspace, tmp_path / "go", run) for _ in range(2)]
    time.sleep(1.5)
    (tmp_path / "go").touch()
    assert [process.communicate(timeout=60)[0].strip() for process in processes] == ["v1", "v1"]
    with Registry(workspace) as registry:
        assert len(registry.show("m").versions) == 1


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from mozhu.platform.catalog import {module} as module
    from mozhu.platform.catalog.service import Registry
    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)
    module.{name} = die
    with Registry(Path(sys.argv[1])) as registry:
        registry.register(sys.argv[2], name="m", copy=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize(
    ("module", "name"),
    [
        pytest.param("registering", "bring_files", marks=pytest.mark.slow),
        pytest.param("registering", "write_version", marks=pytest.mark.slow),
        pytest.param("sidecars", "write_sidecars", marks=pytest.mark.slow),
        pytest.param("registering", "close_folder", marks=pytest.mark.slow),
        ("registering", "move_in"),
        pytest.param("registering", "read_folder", marks=pytest.mark.slow),
        pytest.param("rows", "add_version", marks=pytest.mark.slow),
        pytest.param("rows", "add_history", marks=pytest.mark.slow),
    ],
)
def test_a_kill_leaves_no_half_version_and_the_same_command_ends_well(workspace, tmp_path, module, name):
    run = write_run(tmp_path / "run")
    process = start(KILLED.format(module=module, name=name), workspace, run)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with Registry(workspace) as registry:
        assert registry.list_models() == []
        for folder in (workspace / "5_models").glob("finetuned/*/*/*"):
            assert registry.validate(folder).is_whole
        version = registry.register(run, name="m").version
        assert (version.reference, registry.validate("m:v1").state) == ("m:v1", "ready")
        assert len(list((workspace / "5_models").glob("finetuned/*/*/*"))) == 1
        before = registry.fingerprint()
        registry.rescan()
        assert registry.fingerprint() == before


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("name", ["write_version", pytest.param("read_folder", marks=pytest.mark.slow)])
def test_a_kill_while_registering_in_place_is_made_good_by_the_same_command(workspace, name):
    folder = write_adapter(workspace / "5_models" / "finetuned" / "lora" / "mine")
    process = start(KILLED.format(module="registering", name=name), workspace, folder)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    with Registry(workspace) as registry:
        assert registry.list_models() == []
        assert registry.register(folder, name="m").version.path == "finetuned/lora/mine"
        assert registry.validate("m:v1").is_whole


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_kill_at_any_moment_leaves_whole_versions_only(workspace, tmp_path):
    run = write_run(tmp_path / "run")
    weights = run / "lora_adapter" / "adapter_model.safetensors"
    names = {"q_proj.lora_A.weight": (4, 300_000), "q_proj.lora_B.weight": (300_000, 4)}
    write_safetensors(weights, names)
    certify(run / "lora_adapter")
    (run / "lora_adapter" / "manifest.json").unlink()
    code = KILLED.split("def die")[0].format(module="service") + (
        "\n    print('ready', flush=True)"
        "\n    with Registry(Path(sys.argv[1])) as registry:"
        "\n        registry.register(sys.argv[2], name='m', copy=True)"
    )
    for wait_ms in (0, 5, 15, 30, 60, 110):
        process = start(code, workspace, run)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait_ms / 1000)
        process.kill()
        process.wait()
        process.stdout.close()
        with Registry(workspace) as registry:
            for model in registry.list_models():
                assert registry.validate(model.newest.reference).is_whole
            for folder in (workspace / "5_models").glob("finetuned/*/*/*"):
                assert registry.validate(folder).is_whole
    with Registry(workspace) as registry:
        registry.register(run, name="m")
        assert registry.validate("m:v1").is_whole and len(registry.show("m").versions) == 1


def test_two_processes_make_the_database_at_once(tmp_path):
    code = """
        import sys, time
        from pathlib import Path
        from mozhu.platform.database.engine import open_database
        while not Path(sys.argv[2]).exists():
            time.sleep(0.001)
        for number in range(10):
            open_database(Path(sys.argv[1]) / f"{number}.db").close()
    """
    processes = [start(code, tmp_path, tmp_path / "go") for _ in range(3)]
    time.sleep(1.5)
    (tmp_path / "go").touch()
    for process in processes:
        error = process.communicate(timeout=60)[1]
        assert process.returncode == 0, error
    for number in range(10):
        with sqlite3.connect(tmp_path / f"{number}.db") as connection:
            assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [
                (newest_step(),)
            ]


def test_commits_are_durable_and_references_are_held(tmp_path):
    database = open_database(tmp_path / "c.db")
    with database.writing() as session:
        settings = [
            session.connection().exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert settings == ["wal", 2, 1]
    database.close()


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    database = open_database(tmp_path / "c.db")
    insert = (
        "INSERT INTO models (owner, team, name, created, updated, version_count) VALUES ('a','a','n','','',0)"
    )
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        session.connection().exec_driver_sql(insert)
        raise ZeroDivisionError
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM models").scalar() == 0
    database.close()


def test_a_writer_that_holds_on_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(failures, "BUSY_TIMEOUT_S", 0.1)
    database = open_database(tmp_path / "c.db")
    other = sqlite3.connect(tmp_path / "c.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(RegistryBusy), database.writing():
        pass
    with database.reading() as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM models").scalar() == 0
    other.close()
    database.close()


def test_a_database_of_a_later_release_is_left_alone(tmp_path):
    open_database(tmp_path / "c.db").close()
    with sqlite3.connect(tmp_path / "c.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(NewerRegistry):
        open_database(Path(tmp_path / "c.db"))
