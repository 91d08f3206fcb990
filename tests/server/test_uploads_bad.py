"""Bad input and bad luck over HTTP: one clear error each, nothing lost, nothing half-visible, and it goes on."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import Running, running
from sqlalchemy.exc import OperationalError

from mozhu.client.client import Client
from mozhu.kernel.errors import DiskFull, NoRoomForUpload, UploadQuota
from mozhu.platform.uploads import rows
from mozhu.platform.uploads.parts import FolderParts

MIB = 1 << 20
PART = 5 * MIB


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("bad"), upload_quota_bytes=100 * MIB) as made:
        yield made


@pytest.fixture
def content() -> bytes:
    return os.urandom(PART + 1000)


@pytest.fixture
def upload(service: Running, content: bytes) -> Iterator[str]:
    """An open upload of two parts, the second of which is there; what each test must leave as it is."""
    files = [{"path": "model.dat", "size": len(content), "sha256": digest(content)}]
    name: str = service.post("/api/v1/uploads", json={"files": files}).json()["id"]
    assert put(service, name, 2, content[PART:]).status_code == 200
    yield name
    finish(service, name, content)


def put(service: Running, upload: str, number: int, body: Any, sha256: str = "") -> httpx2.Response:
    headers = {"X-Part-Sha256": sha256 or digest(body)}
    return service.http.put(f"/api/v1/uploads/{upload}/parts/{number}", content=body, headers=headers)


def finish(service: Running, upload: str, content: bytes) -> None:
    """What was there is there still, nothing that is whole can be seen, and the rest makes it complete."""
    store = service.composition.uploads._store
    assert service.get(f"/api/v1/uploads/{upload}").json()["missing"] == [[1, 1]]
    assert store.stat(digest(content)) is None
    assert unfinished(service, upload) == []
    assert put(service, upload, 1, content[:PART]).status_code == 200
    done = service.post(f"/api/v1/uploads/{upload}/complete").json()
    assert (done["state"], done["files"][0]["sha256"]) == ("complete", digest(content))
    assert b"".join(store.open(digest(content))) == content


def unfinished(service: Running, upload: str) -> list[str]:
    """Parts that are still being written."""
    room = service.composition.uploads._parts
    assert isinstance(room, FolderParts)
    return [path.name for path in (room.root / upload).iterdir() if path.name.endswith(".tmp")]


def said(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_part_with_another_hash_is_refused(service: Running, upload: str, content: bytes) -> None:
    other = bytes(reversed(content[:PART]))
    assert said(put(service, upload, 1, other, digest(content[:PART]))) == (422, "UPLOAD-005")


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART + 1, PART + 3 * MIB])
def test_a_body_of_another_length_is_refused(service: Running, upload: str, size: int) -> None:
    """Whether its length is told before or not."""
    body = bytes(size)
    pieces = (body[at : at + 100_000] for at in range(0, size, 100_000))
    for sent in (body, pieces):
        with suppress(httpx2.TransportError):  # the service does not listen to the end of what is too long
            assert said(put(service, upload, 1, sent, digest(body))) == (422, "UPLOAD-005")


def test_a_body_that_breaks_off_is_nothing(service: Running, upload: str, content: bytes) -> None:
    """The head promises all of the part, the connection ends in the middle."""
    host, port = service.address.removeprefix("http://").split(":")
    head = [
        f"PUT /api/v1/uploads/{upload}/parts/1 HTTP/1.1",
        f"Host: {host}",
        f"Authorization: {service.http.headers['authorization']}",
        f"X-Part-Sha256: {digest(content[:PART])}",
        f"Content-Length: {PART}",
    ]
    with socket.create_connection((host, int(port))) as wire:
        wire.sendall("\r\n".join([*head, "", ""]).encode() + content[: 2 * MIB])
        wait_until(lambda: unfinished(service, upload))
    wait_until(lambda: not unfinished(service, upload))


def wait_until(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_completes_at_once_are_one(service: Running, content: bytes) -> None:
    files = [{"path": "a.dat", "size": len(content)}, {"path": "b/c.dat", "size": 3}]
    name = service.post("/api/v1/uploads", json={"files": files}).json()["id"]
    for number, body in ((1, content[:PART]), (2, content[PART:]), (3, b"abc")):
        assert put(service, name, number, body).status_code == 200
    with ThreadPoolExecutor(4) as pool:
        path = f"/api/v1/uploads/{name}/complete"
        answers = list(
            pool.map(lambda _: service.post(path, headers={"Idempotency-Key": os.urandom(8).hex()}), "abcd")
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json(), sort_keys=True) for answer in answers}) == 1
    assert answers[0].json()["files"][0]["sha256"] == digest(content)


def test_a_disk_without_room_is_said_before_the_first_byte(
    service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    monkeypatch.setattr(service.composition.uploads._parts, "_free", lambda path: 300 * MIB)
    (tmp_path / "large.dat").write_bytes(os.urandom(40 * MIB))
    before = len(service.get("/api/v1/uploads").json()["items"])
    with Client(service.address, service.composition.token.token) as client, pytest.raises(NoRoomForUpload):
        client.upload(tmp_path / "large.dat")
    assert len(service.get("/api/v1/uploads").json()["items"]) == before
    with open(tmp_path / "large.dat", "r+b") as file:
        file.truncate(101 * MIB)
    with Client(service.address, service.composition.token.token) as client, pytest.raises(UploadQuota):
        client.upload(tmp_path / "large.dat")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_stops_the_client_which_goes_on_later(
    service: Running, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    (tmp_path / "model.dat").write_bytes(content)
    made = FolderParts.writer

    def full(self: FolderParts, upload: str, place: Any, file: int, number: int, size: int) -> Any:
        writer: Any = made(self, upload, place, file, number, size)
        if number == 2:
            writer._file.close()
            writer._file = open("/dev/full", "wb")  # noqa: SIM115
        return writer

    with Client(service.address, service.composition.token.token) as client:
        with monkeypatch.context() as patch:
            patch.setattr(FolderParts, "writer", full)
            with pytest.raises(DiskFull):
                client.upload(tmp_path / "model.dat", threads=1)
        state = next(one for one in client.uploads()["items"] if one["state"] == "open")
        assert state["missing"] == [[2, 2]]
        done = client.upload(tmp_path / "model.dat")
    assert done.upload["id"] == state["id"] and done.sent_bytes == len(content) - PART
    assert done.upload["files"][0]["sha256"] == digest(content)


def test_a_database_that_is_lost_in_the_middle_of_a_part_is_gone_over(
    service: Running, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part counts when its row is written: until then it is sent again, by the client itself."""
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    (tmp_path / "model.dat").write_bytes(content)
    written, lost = rows.put_part, []

    def lose(session: Any, row: Any) -> Any:
        if len(lost) < 2:
            lost.append(row.number)
            raise OperationalError("UPDATE", {}, Exception("server closed the connection unexpectedly"))
        return written(session, row)

    monkeypatch.setattr(rows, "put_part", lose)
    with Client(service.address, service.composition.token.token) as client:
        done = client.upload(tmp_path / "model.dat", threads=1)
    assert lost == [1, 1] and done.upload["files"][0]["sha256"] == digest(content)
    room = service.composition.uploads._parts
    assert isinstance(room, FolderParts) and not (room.root / done.upload["id"]).exists()


def test_ten_thousand_files_are_one_upload_and_more_are_refused(service: Running) -> None:
    names = [f"images/{'x' * 60}/{number:06}.png" for number in range(10_001)]
    files = [{"path": name, "size": 0, "sha256": digest(name.encode())} for name in names]
    made = service.post("/api/v1/uploads", json={"files": files[1:]})
    assert made.status_code == 201 and len(made.json()["files"]) == 10_000
    assert service.http.delete(f"/api/v1/uploads/{made.json()['id']}").status_code == 200
    assert said(service.post("/api/v1/uploads", json={"files": files})) == (422, "API-001")


def test_an_upload_that_expired_is_begun_anew(
    service: Running, tmp_path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads = service.composition.uploads
    files = [{"path": "model.dat", "size": len(content)}]
    name = service.post("/api/v1/uploads", json={"files": files}).json()["id"]
    now = uploads._clock
    with monkeypatch.context() as patch:
        patch.setattr(uploads, "_clock", lambda: now() + timedelta(days=30))
        assert said(put(service, name, 1, content[:PART])) == (409, "UPLOAD-007")
        assert said(service.post(f"/api/v1/uploads/{name}/complete")) == (409, "UPLOAD-007")
        assert uploads.expire() >= 1
    assert service.get(f"/api/v1/uploads/{name}").json()["state"] == "expired"
    assert said(put(service, name, 1, content[:PART])) == (409, "UPLOAD-007")
