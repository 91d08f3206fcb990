"""For all tests: no setting of this machine reaches them, and nothing in this process reaches the network."""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from services.postgres import PostgresServer, missing_parts, running_postgres
from services.required import require
from services.s3 import S3Server, missing_programs, running_s3

for _name in [name for name in os.environ if name.startswith("MOZHU_") and name != "MOZHU_TORCH_INDEX"]:
    del os.environ[_name]
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MOZHU_HASH_CACHE"] = "off"


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Any:
    """A connection to another machine fails a test; this machine's own addresses are open to it."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        inside = self.family == socket.AF_UNIX or str(address[0]) in {"127.0.0.1", "::1", "localhost"}
        assert inside, f"a test reached for {address}"
        connect(self, address)

    socket.socket.connect = checked  # type: ignore[method-assign,assignment]
    yield
    socket.socket.connect = connect  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server (OpenStack Swift), empty, for the whole session."""
    require("S3 (OpenStack Swift)", missing_programs())
    with running_s3(tmp_path_factory.mktemp("s3") / "swift") as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a new bucket on it; the environment says how to reach it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    name = f"test-{secrets.token_hex(6)}"
    server = s3_server.client()
    server.create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL for the whole session."""
    require("PostgreSQL", missing_parts())
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> str:
    """The name of a database there with the tables of today and no row, to be copied."""
    from mozhu.platform.database.engine import open_database

    url = postgres_server.make()
    open_database(url).close()
    return url.rpartition("/")[2]


@pytest.fixture(scope="session")
def postgres_shape(postgres_server: PostgresServer, postgres_template: str) -> list[Any]:
    """The tables of today and their columns."""
    return postgres_server.shape(postgres_server.url(postgres_template))


@pytest.fixture(scope="session")
def spare_databases() -> dict[str, list[str]]:
    """Databases that tests are done with: ``full`` ones with the tables of today and no row, ``empty`` ones."""
    return {"full": [], "empty": []}


@pytest.fixture
def postgres_url(
    postgres_server: PostgresServer,
    postgres_template: str,
    postgres_shape: list[Any],
    spare_databases: dict[str, list[str]],
) -> Iterator[str]:
    """The address of a database with the tables of today and no row; no other test has it."""
    spare = spare_databases["full"]
    url = spare.pop() if spare else postgres_server.make(postgres_template)
    yield url
    if postgres_server.shape(url) != postgres_shape:
        postgres_server.drop(url)
        return
    postgres_server.empty(url)
    spare.append(url)


@pytest.fixture
def empty_postgres_url(
    postgres_server: PostgresServer, spare_databases: dict[str, list[str]]
) -> Iterator[str]:
    """The address of a database without tables; no other test has it."""
    spare = spare_databases["empty"]
    url = spare.pop() if spare else postgres_server.make()
    yield url
    postgres_server.clear(url)
    spare.append(url)
