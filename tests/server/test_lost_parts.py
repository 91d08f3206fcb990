"""The database or the store is lost under a request: a problem or a cut connection, and the next is answered."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from registry_artefacts import write_adapter, write_run
from running import Running, running
from services.faulty import FaultyS3, running_faulty_s3
from services.postgres import PostgresServer

from mozhu.platform.database.engine import CATALOGUE_ROOM

M = "/api/v1/models/medical"
WEIGHTS = f"{M}:v1/files/adapter_model.safetensors"


# ---------------------------------------------------------------- the database
@pytest.fixture(scope="module")
def on_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    root, url = tmp_path_factory.mktemp("lost"), postgres_server.make()
    with running(root, database=url) as service:
        service.composition.registry.register(write_run(root / "run"), name="medical")
        yield service


def cut(service: Running, server: PostgresServer, where: str = "TRUE") -> int:
    """Ends the service's connections, as an administrator or a restart of the server does; how many there were."""
    name = str(service.composition.settings.database).rpartition("/")[2]
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND {where}"
    return len(server.do(statement))


def test_connections_lost_between_requests_are_not_noticed(
    on_postgres: Running, postgres_server: PostgresServer
) -> None:
    for path in ("/api/v1/models", M, f"{M}/aliases", "/api/v1/statistics", "/readyz"):
        assert on_postgres.get(path).status_code == 200
        assert cut(on_postgres, postgres_server) >= 1
        answer = on_postgres.get(path)
        assert answer.status_code == 200, (path, answer.text)
    assert cut(on_postgres, postgres_server) >= 1
    assert on_postgres.http.patch(M, json={"licence": "mit"}).status_code == 200


def test_a_connection_lost_inside_a_change_is_told_and_nothing_of_it_is_kept(
    on_postgres: Running, postgres_server: PostgresServer
) -> None:
    database = on_postgres.composition.database
    before = on_postgres.get(M).json()["model"]
    with ThreadPoolExecutor(1) as pool, database.writing(room=CATALOGUE_ROOM):
        late = pool.submit(on_postgres.http.patch, M, json={"description": "half written"})
        deadline = time.monotonic() + 20
        while not cut(on_postgres, postgres_server, "wait_event_type = 'Lock'"):
            assert time.monotonic() < deadline and not late.done()
        answer = late.result(20)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (503, "REG-016") and "password" not in answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert on_postgres.get(M).json()["model"] == before
    after = on_postgres.http.patch(M, json={"description": "written"})
    assert after.status_code == 200 and after.json()["model"]["description"] == "written"


# ---------------------------------------------------------------- the store
@pytest.fixture(scope="module")
def on_faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, FaultyS3]]:
    """A service whose contents are in a store that misbehaves on request, and in no folder."""
    root = tmp_path_factory.mktemp("faulty")
    with pytest.MonkeyPatch.context() as patch, running_faulty_s3() as faulty:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "hidden-secret")
        patch.setattr("mozhu.platform.storage.clouds._RETRY", {"max_retries": 0})
        with running(root, blobs="s3://bucket", blobs_endpoint=faulty.endpoint) as service:
            registry = service.composition.registry
            registry.store._pause = lambda seconds: None  # type: ignore[attr-defined]
            run = write_run(root / "run")
            registry.register(run, name="medical")
            registry.register(write_large(root / "large"), name="large")
            for path in (root / "5_models").rglob("*.safetensors"):
                path.unlink()
            yield service, faulty


@pytest.fixture
def store(on_faulty: tuple[Running, FaultyS3]) -> Iterator[tuple[Running, FaultyS3, bytes]]:
    """It behaves at first, and again when the test ends; with the whole content of the weights."""
    service, faulty = on_faulty
    yield service, faulty, service.get(WEIGHTS).content
    faulty.always, faulty.faults[:] = None, []


@pytest.mark.parametrize(
    ("fault", "status", "code"), [("error", 503, "STORE-003"), ("refuse", 503, "STORE-004")]
)
@pytest.mark.parametrize("path", [WEIGHTS, f"{M}:v1/archive"])
def test_a_store_that_does_not_answer_is_a_problem(
    store: tuple[Running, FaultyS3, bytes], path: str, fault: str, status: int, code: str
) -> None:
    service, faulty, whole = store
    faulty.always = fault
    answer = service.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "hidden-secret" not in answer.text and "etag" not in answer.headers
    faulty.always = None
    assert service.get(path).status_code == 200


def test_everything_for_a_range_is_cut_to_the_range(store: tuple[Running, FaultyS3, bytes]) -> None:
    service, faulty, whole = store
    faulty.always = "whole"
    for wanted, part in (("bytes=10-29", whole[10:30]), ("bytes=-7", whole[-7:]), ("bytes=5-", whole[5:])):
        answer = service.get(WEIGHTS, headers={"Range": wanted})
        assert (answer.status_code, answer.content) == (206, part)


def test_errors_and_cuts_that_pass_are_not_noticed(store: tuple[Running, FaultyS3, bytes]) -> None:
    service, faulty, whole = store
    faulty.faults = ["error", "cut", "error", "cut"]
    assert service.get(WEIGHTS).content == whole and faulty.faults == []


def test_a_download_that_breaks_in_the_middle_does_not_look_whole(
    store: tuple[Running, FaultyS3, bytes],
) -> None:
    """What was promised by its length is not all there, and the connection is closed."""
    service, faulty, _ = store
    place = "/api/v1/models/large:v1/files/adapter_model.safetensors"
    whole = service.get(place).content
    faulty.always = "cut"
    connection = http.client.HTTPConnection(urlsplit(service.address).netloc, timeout=30)
    with closing(connection):
        connection.request("GET", place, headers=dict(service.http.headers))
        answer = connection.getresponse()
        assert answer.status == 200 and int(answer.headers["content-length"]) == len(whole)
        with pytest.raises(http.client.IncompleteRead) as broken:
            answer.read()
    assert 0 < len(broken.value.partial) < len(whole) and whole.startswith(broken.value.partial)
    faulty.always = None
    part = {"Range": f"bytes={len(broken.value.partial)}-"}
    assert broken.value.partial + service.get(place, headers=part).content == whole


def write_large(folder: Path) -> Path:
    """An adapter of 4 MiB: more than is read before an answer begins."""
    write_adapter(folder)
    sizes = {"base.q_proj.lora_A.weight": (4, 1 << 18), "base.q_proj.lora_B.weight": (8, 4)}
    header, at = {}, 0
    for name, shape in sizes.items():
        length = 4 * shape[0] * shape[1]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + length]}
        at += length
    head = json.dumps(header).encode()
    content = len(head).to_bytes(8, "little") + head + os.urandom(at)
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder
