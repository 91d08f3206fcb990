"""A real PostgreSQL for tests, from Debian's packages, on 127.0.0.1; never run as root.

Everything it writes lies in one folder that is gone afterwards.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_STARTS_S = 60.0
_UNPRIVILEGED = ("postgres", "nobody")
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "64MB",
    # A test's data need not outlive the power; whether a commit is whole does not depend on it.
    "fsync": "off",
    "full_page_writes": "off",
}


_CUT_OFF = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
"""
# The tables that say at which step the others are stay as they are.
_EMPTY = """
    SET session_replication_role = replica;
    DO $$ DECLARE one record; BEGIN
        FOR one IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'public' AND tablename NOT IN ('alembic_version', 'schema_version') LOOP
            EXECUTE format('DELETE FROM %I', one.tablename);
        END LOOP;
        PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences;
    END $$;
"""
_SHAPE = """
    SELECT attrelid::regclass::text, attname::text, atttypid::regtype::text, version_num
    FROM alembic_version, pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 ORDER BY 1, 2
"""


@dataclass(frozen=True)
class PostgresServer:
    """A running server; ``process`` is its postmaster."""

    port: int
    password: str
    process: subprocess.Popen[bytes]

    def url(self, name: str) -> str:
        return f"postgresql://mozhu:{self.password}@127.0.0.1:{self.port}/{name}"

    def make(self, template: str = "template1") -> str:
        """The address of a new database with the content of ``template``."""
        name = f"t_{secrets.token_hex(6)}"
        self.do(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever is still connected is cut off."""
        self.do(f'DROP DATABASE IF EXISTS "{url.rpartition("/")[2]}" WITH (FORCE)')

    def shape(self, url: str) -> list[Any]:
        """What tables there are, with their columns, and the step that they are at."""
        return self.do(_SHAPE, url)

    def empty(self, url: str) -> None:
        """No row is in any table and numbers count from 1, as in a new database, which costs thirty times as much.

        Whoever is still connected is cut off.
        """
        self.do(_CUT_OFF + _EMPTY, url)

    def clear(self, url: str) -> None:
        """There are no tables. Whoever is still connected is cut off."""
        self.do(_CUT_OFF + "DROP SCHEMA public CASCADE; CREATE SCHEMA public;", url)

    def do(self, statement: str, url: str | None = None) -> list[Any]:
        """The rows of ``statement``, outside of a transaction."""
        import psycopg

        with closing(psycopg.connect(url or self.url("postgres"), autocommit=True)) as connection:
            found = connection.execute(statement)  # type: ignore[arg-type]
            return found.fetchall() if found.description else []


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, ``None`` where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").is_file()), None)


def missing_parts() -> list[str]:
    return [
        *(["postgresql"] if programs() is None else []),
        *(["psycopg"] if find_spec("psycopg") is None else []),
    ]


@contextmanager
def running_postgres(**settings: str) -> Iterator[PostgresServer]:
    """A server with a user ``mozhu`` who may make databases; stopped and removed when the block ends.

    Args:
        settings: PostgreSQL's own, in place of those for tests.
    """
    binaries, user = programs(), _user()
    assert binaries is not None
    folder = Path(tempfile.mkdtemp(prefix="mozhu-postgres-"))
    try:
        password = secrets.token_hex(12)
        (folder / "password").write_text(password)
        if user:
            for path in (folder, folder / "password"):
                shutil.chown(path, user["user"], user["group"])
        making = [
            binaries / "initdb",
            "-D",
            folder / "data",
            "-U",
            "mozhu",
            "-A",
            "scram-sha-256",
            "--no-sync",
        ]
        making += ["--encoding=UTF8", "--locale=C.UTF-8", f"--pwfile={folder / 'password'}"]
        done = subprocess.run(making, capture_output=True, text=True, cwd=folder, **user)
        assert done.returncode == 0, done.stderr
        server = _started(binaries, folder, password, user, {**_SETTINGS, **settings})
        try:
            yield server
        finally:
            server.process.terminate()
            try:
                server.process.wait(20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(
    binaries: Path, folder: Path, password: str, user: dict[str, Any], settings: dict[str, str]
) -> PostgresServer:
    for _ in range(3):
        port = _free_port()
        command = [str(binaries / "postgres"), "-D", str(folder / "data"), "-p", str(port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open(folder / "log", "ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, **user)
        server = PostgresServer(port, password, process)
        if _answers(server):
            return server
        process.kill()
        process.wait()
    raise AssertionError((folder / "log").read_text(errors="replace"))


def _answers(server: PostgresServer) -> bool:
    import psycopg

    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            server.do("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


def _user() -> dict[str, Any]:
    """Who runs the server: this user, or where that is root somebody who may nothing."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in _UNPRIVILEGED if name in known)
    return {"user": entry.pw_name, "group": entry.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
