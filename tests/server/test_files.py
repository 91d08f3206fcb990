"""A version's files over HTTP: whole, by range, as a zip, and again where a download broke off."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import Running

from mozhu.client.client import Client
from mozhu.client.downloads import download
from mozhu.kernel.errors import BadName, BlobDamaged, UnknownReference
from mozhu.kernel.files import sha256_file

BASE = "/api/v1/models/medical:v1"


def client_of(service: Running) -> Client:
    return Client(service.address, service.composition.token.token)


def test_every_file_of_the_manifest_comes_with_its_hash(stocked: Running) -> None:
    listed = stocked.get(f"{BASE}/files").json()
    assert listed["reference"] == "medical:v1" and listed["archive"] == "medical/v1.zip"
    assert {"adapter_model.safetensors", "adapter_config.json"} <= {file["path"] for file in listed["items"]}
    for file in listed["items"]:
        answer = stocked.get(f"{BASE}/files/{file['path']}")
        digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
        assert digest == file["sha256"] == answer.headers["x-content-sha256"]
        assert len(answer.content) == file["size"]


@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [("bytes=0-9", 0, 10), ("bytes=10-", 10, None), ("bytes=-7", -7, None), ("bytes=3-99999999", 3, None)],
)
@pytest.mark.parametrize("place", ["files/adapter_model.safetensors", "archive"])
def test_a_range_is_a_part_of_the_same_bytes(
    stocked: Running, place: str, wanted: str, first: int, last: int | None
) -> None:
    whole = stocked.get(f"{BASE}/{place}")
    part = stocked.get(f"{BASE}/{place}", headers={"Range": wanted})
    assert whole.status_code == 200 and part.status_code == 206
    assert part.content == whole.content[first:last]
    assert part.headers["content-range"].endswith(f"/{len(whole.content)}")
    other = {"Range": wanted, "If-Range": '"another"'}
    assert stocked.get(f"{BASE}/{place}", headers=other).content == whole.content


def test_a_range_behind_the_end_is_refused(stocked: Running) -> None:
    answer = stocked.get(f"{BASE}/archive", headers={"Range": "bytes=99999999-"})
    assert answer.status_code == 416 and answer.json()["code"] == "STORE-006"


def test_the_zip_holds_what_the_manifest_says(stocked: Running) -> None:
    answer = stocked.get(f"{BASE}/archive")
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        listed = stocked.get(f"{BASE}/files").json()["items"]
        assert sorted(archive.namelist()) == sorted(file["path"] for file in listed)


@pytest.mark.parametrize(
    "path", ["../../catalog.db", "..%2F..%2Fservice.token", "registration.json", "%2Fetc%2Fpasswd", "nothing"]
)
def test_no_other_file_can_be_named(stocked: Running, path: str) -> None:
    assert stocked.get(f"{BASE}/files/{path}").status_code == 404


def test_a_download_is_whole_and_fetches_nothing_twice(stocked: Running, tmp_path: Path) -> None:
    seen: list[tuple[int, int, str]] = []
    with client_of(stocked) as client:
        reference = download(client, "medical", tmp_path / "got", on_progress=lambda *at: seen.append(at))
        assert reference == "medical:v2" and seen[-1][0] == seen[-1][1]
        for file in client.files("medical")["items"]:
            assert sha256_file(tmp_path / "got" / file["path"]) == file["sha256"]
        stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "got").rglob("*")}
        download(client, "medical", tmp_path / "got")
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "got").rglob("*")} == stamps
        with pytest.raises(UnknownReference):
            download(client, "nothing", tmp_path / "other")


def test_a_download_goes_on_where_it_broke_and_a_damaged_part_is_seen(
    stocked: Running, tmp_path: Path
) -> None:
    asked: list[str | None] = []
    with client_of(stocked) as client:
        client.http.event_hooks["request"].append(lambda request: asked.append(request.headers.get("range")))
        whole = stocked.get(f"{BASE}/files/adapter_model.safetensors").content
        target = tmp_path / "got"
        target.mkdir()
        partial = target / "adapter_model.safetensors.part"
        partial.write_bytes(whole[:100])
        download(client, "medical:v1", target)
        assert "bytes=100-" in asked and not partial.exists()
        assert (target / "adapter_model.safetensors").read_bytes() == whole

        (target / "adapter_model.safetensors").unlink()
        partial.write_bytes(b"x" * 100)
        with pytest.raises(BlobDamaged):
            download(client, "medical:v1", target)
        assert not (target / "adapter_model.safetensors").exists() and not partial.exists()
        download(client, "medical:v1", target)


@pytest.mark.parametrize("path", ["../outside", "/etc/cron.d/x", "a\\..\\b"])
def test_a_service_cannot_write_outside_of_the_folder(tmp_path: Path, path: str) -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        file: dict[str, Any] = {"path": path, "size": 1, "sha256": "sha256:" + "0" * 64}
        listed = {"reference": "x:v1", "archive": "x/v1.zip", "size_bytes": 1, "items": [file]}
        return httpx2.Response(200, json=listed)

    client = Client("http://127.0.0.1:1", "x")
    client.http = httpx2.Client(base_url=client.server, transport=httpx2.MockTransport(answer))
    with pytest.raises(BadName):
        download(client, "x", tmp_path / "got")
    assert [item.name for item in tmp_path.iterdir()] == ["got"]


def test_what_was_registered_is_sent_whatever_lies_in_the_folder_now(stocked: Running) -> None:
    """The store keeps the content: a folder that was edited, or is gone, changes no download."""
    folder = stocked.composition.registry.resolve("medical:v2")
    listed = stocked.get("/api/v1/models/medical:v2/files").json()["items"]
    zipped = stocked.get("/api/v1/models/medical:v2/archive").content
    (folder / "adapter_config.json").write_text("{}")
    for path in folder.glob("*.safetensors"):
        path.unlink()
    for file in listed:
        answer = stocked.get(f"/api/v1/models/medical:v2/files/{file['path']}")
        assert f"sha256:{hashlib.sha256(answer.content).hexdigest()}" == file["sha256"]
    assert stocked.get("/api/v1/models/medical:v2/archive").content == zipped
