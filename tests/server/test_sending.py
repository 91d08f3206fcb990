"""The client's uploads: parallel parts, known content, pauses, breaks, changed files; nothing twice, nothing half."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import Running, running

from mozhu.client.async_client import AsyncClient
from mozhu.client.client import Client
from mozhu.client.upload_progress import UploadProgress
from mozhu.kernel.errors import (
    ContentDiffers,
    FileChangedMeanwhile,
    MissingFile,
    MozhuError,
    ServiceUnreachable,
    UploadPaused,
    UploadQuota,
)

MIB = 1 << 20
PART = 5 * MIB


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("sending"), upload_quota_bytes=100 * MIB) as made:
        yield made


@pytest.fixture
def client(service: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("MOZHU_UPLOADS", str(tmp_path / "records"))
    with Client(service.address, service.composition.token.token) as made:
        yield made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two full parts and a bit, small files, a hidden one, and what a download left."""
    folder = tmp_path / "model"
    (folder / "tokenizer").mkdir(parents=True)
    (folder / ".cache").mkdir()
    (folder / ".cache/x").write_text("x")
    (folder / "half.part").write_text("x")
    (folder / "model.safetensors").write_bytes(os.urandom(2 * PART + 12_345))
    (folder / "config.json").write_bytes(os.urandom(40))
    (folder / "empty.txt").write_bytes(b"")
    (folder / "tokenizer/中文.json").write_bytes(os.urandom(300_000))
    return folder


def digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def stored(service: Running, name: str) -> bytes:
    return b"".join(service.composition.uploads._store.open(name))


class Wire:
    """What passes between client and service; ``meddle`` may answer or break in the service's place."""

    def __init__(self, client: Client, meddle: Callable[[httpx2.Request, int], Any] | None = None) -> None:
        self.puts: list[int] = []
        self._send, self._meddle, self._lock = client.http.send, meddle, threading.Lock()
        client.http.send = self.send  # type: ignore[method-assign]

    def send(self, request: httpx2.Request, **given: Any) -> httpx2.Response:
        if request.method == "PUT":
            with self._lock:
                self.puts.append(int(request.url.path.rpartition("/")[2]))
                count = len(self.puts)
            answer = self._meddle and self._meddle(request, count)
            if answer is not None:
                return answer
            response = self._send(request, **given)
            if self._meddle and getattr(self._meddle, "after", None):
                self._meddle.after(request, count)  # type: ignore[attr-defined]
            return response
        return self._send(request, **given)


def test_a_folder_is_at_the_service_with_progress(service: Running, client: Client, model: Path) -> None:
    told: list[UploadProgress] = []
    wire = Wire(client)
    done = client.upload(model, purpose={"name": "m"}, on_progress=told.append)
    assert done.upload["state"] == "complete" and done.upload["purpose"] == {"name": "m"}
    names = {file["path"]: file["sha256"] for file in done.upload["files"]}
    sent = ["config.json", "empty.txt", "model.safetensors", "tokenizer/中文.json"]
    assert names == {name: digest(model / name) for name in sent}
    assert all(stored(service, names[name]) == (model / name).read_bytes() for name in sent)
    assert done.left_out == (".cache/x", "half.part") and not done.resumed
    assert sorted(wire.puts) == [1, 2, 3, 4, 5]
    assert [told[0].stage, told[-1].stage] == ["hashing", "checking"]
    sending = [one for one in told if one.stage == "sending"]
    assert sending[-1].done == sending[-1].total == done.sent_bytes == done.upload["size_bytes"]
    assert all(a.done <= b.done for a, b in zip(sending, sending[1:]))


def test_what_the_service_has_is_not_sent(service: Running, client: Client, model: Path) -> None:
    client.upload(model)
    wire = Wire(client)
    again = client.upload(model)
    assert wire.puts == [] and again.sent_bytes == 0 and again.known_bytes == again.upload["size_bytes"]


def test_the_possession_of_a_file_is_proved(service: Running, client: Client, model: Path) -> None:
    """By a file that another sent: the challenge is answered from the file here."""
    from mozhu.platform.accounts.subject import Subject
    from mozhu.specs.uploads import NewFile

    content = (model / "model.safetensors").read_bytes()
    uploads, other = service.composition.uploads, Subject("other")
    view = uploads.create(
        other, [NewFile(path="x", size=len(content), sha256=digest(model / "model.safetensors"))]
    )
    for number in view.missing_numbers():
        part = content[(number - 1) * PART : number * PART]
        uploads.put_part(other, view.id, number, "sha256:" + hashlib.sha256(part).hexdigest(), [part])
    uploads.complete(other, view.id)
    wire = Wire(client)
    done = client.upload(model / "model.safetensors")
    assert wire.puts == [] and done.known_bytes == len(content)


def test_a_pause_keeps_what_was_acknowledged(service: Running, client: Client, model: Path) -> None:
    pause = threading.Event()
    first = Wire(client, lambda request, count: pause.set() if count == 3 else None)
    with pytest.raises(UploadPaused) as caught:
        client.upload(model, threads=1, pause=pause)
    assert caught.value.exit_code == 130
    kept = {first.puts[0], first.puts[1]}
    open_upload = next(one for one in client.uploads()["items"] if one["state"] == "open")
    assert open_upload["received_bytes"] > 0
    with Client(service.address, service.composition.token.token) as later:
        second = Wire(later)
        done = later.upload(model)
    assert done.resumed and done.upload["id"] == open_upload["id"]
    assert not kept & set(second.puts) and len(second.puts) == 3
    assert list((Path(os.environ["MOZHU_UPLOADS"])).iterdir()) == []


def test_breaks_and_busy_answers_are_gone_over(service: Running, client: Client, model: Path) -> None:
    """Among them one whose part came through although the answer was lost: that is not sent again."""

    class Meddle:
        def __call__(self, request: httpx2.Request, count: int) -> Any:
            if count == 1:
                raise httpx2.ConnectError("cut")
            if count == 2:
                return httpx2.Response(429, headers={"retry-after": "0"}, request=request)
            if count == 3:
                return httpx2.Response(503, content=b"<html>", request=request)
            return None

        def after(self, request: httpx2.Request, count: int) -> None:
            if count == 4:
                raise httpx2.ReadError("the answer was lost")

    wire = Wire(client, Meddle())
    done = client.upload(model)
    assert done.upload["state"] == "complete"
    # Three came not at all, the fourth came although nobody knew it.
    assert len(wire.puts) == 5 + 3 and set(wire.puts) == {1, 2, 3, 4, 5}


def test_a_dead_service_is_given_up_after_some_patience(
    service: Running, client: Client, model: Path
) -> None:
    def dead(request: httpx2.Request, count: int) -> Any:
        raise httpx2.ConnectError("nobody")

    Wire(client, dead)
    with pytest.raises(ServiceUnreachable):
        client.upload(model, patience_s=0.0)
    with Client(service.address, service.composition.token.token) as later:
        assert later.upload(model).upload["state"] == "complete"


def test_a_file_that_changes_is_told_and_sent_anew(service: Running, client: Client, model: Path) -> None:
    big = model / "model.safetensors"

    def change(request: httpx2.Request, count: int) -> None:
        if count == 2:
            with open(big, "r+b") as file:
                file.seek(PART)
                file.write(os.urandom(2 * PART))

    Wire(client, change)
    with pytest.raises(FileChangedMeanwhile):
        client.upload(model, threads=1)
    before = next(one for one in client.uploads()["items"] if one["state"] == "open")
    done = client.upload(model)
    assert not done.resumed and done.upload["id"] != before["id"]
    assert stored(service, digest(big)) == big.read_bytes()
    assert client.upload_state(before["id"])["state"] == "aborted"


def test_a_change_that_hides_is_found_by_the_service(service: Running, client: Client, model: Path) -> None:
    """Same size, same time: the hash of the whole says it, nothing is registered, and the next try is right."""
    big = model / "model.safetensors"
    seen = os.stat(big)
    first = digest(big)

    def change(request: httpx2.Request, count: int) -> None:
        if count == 1:
            with open(big, "r+b") as file:
                file.seek(2 * PART)
                file.write(os.urandom(100))
            os.utime(big, ns=(seen.st_atime_ns, seen.st_mtime_ns))

    Wire(client, change)
    with pytest.raises(ContentDiffers):
        client.upload(big, threads=1)
    store = service.composition.uploads._store
    assert store.stat(first) is None and store.stat(digest(big)) is None
    assert client.upload(big).upload["files"][0]["sha256"] == digest(big)


def test_a_download_goes_over_breaks_and_a_service_that_is_away(
    client: Client, model: Path, tmp_path: Path
) -> None:
    """Nothing that came is fetched again, also by a client that was started anew."""
    (model / "model.safetensors").rename(model / "data.dat")
    client.import_version("fetched", client.upload(model / "data.dat").upload["id"], type="file")
    reference, size = "fetched:v1", 2 * PART + 12_345
    deadline = time.monotonic() + 60
    while client.imports()["items"][0]["state"] == "checking" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert client.imports()["items"][0]["state"] == "ready", client.imports()["items"][0]
    stream, asked = client.http.stream, []

    @contextmanager
    def broken(method: str, url: str, **given: Any) -> Iterator[Any]:
        asked.append(given["headers"].get("Range"))
        if len(asked) == 2:
            yield httpx2.Response(503)
            return
        with stream(method, url, **given) as response:
            if len(asked) == 1:
                response.iter_bytes = cut(response.iter_bytes)  # type: ignore[method-assign]
            yield response

    client.http.stream = broken  # type: ignore[method-assign]
    assert client.download(reference, tmp_path / "back") == reference
    assert asked == [None, f"bytes={MIB}-", f"bytes={MIB}-"]
    assert (tmp_path / "back/data.dat").read_bytes() == (model / "data.dat").read_bytes()
    assert (tmp_path / "back/data.dat").stat().st_size == size


def cut(pieces: Callable[..., Iterator[bytes]]) -> Callable[..., Iterator[bytes]]:
    """One piece, and then the connection is gone."""

    def first(*given: Any) -> Iterator[bytes]:
        yield next(iter(pieces(*given)))
        raise httpx2.ReadError("cut")

    return first


def test_refusals_are_the_service_s_own(service: Running, client: Client, tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        client.upload(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(MozhuError) as none:
        client.upload(tmp_path / "empty")
    assert none.value.code == "UPLOAD-010"
    with open(tmp_path / "large.bin", "wb") as file:
        file.truncate(101 * MIB)
    with pytest.raises(UploadQuota):
        client.upload(tmp_path / "large.bin")


def test_the_async_client_sends_too_and_pauses_when_cancelled(
    service: Running, client: Client, model: Path
) -> None:
    async def cancelled_then_done() -> Any:
        async with AsyncClient(service.address, service.composition.token.token) as later:
            begun = threading.Event()
            task = asyncio.ensure_future(later.upload(model, threads=1, on_progress=lambda one: begun.set()))
            await asyncio.to_thread(begun.wait, 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await later.upload(model)

    done = asyncio.run(cancelled_then_done())
    assert done.upload["state"] == "complete"
    assert stored(service, digest(model / "config.json")) == (model / "config.json").read_bytes()
