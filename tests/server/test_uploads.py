"""Uploads over HTTP: parts in any order, again, damaged, and what is still missing."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx2
from running import Running

MIB = 1 << 20
CONTENT = bytes(range(256)) * (40 * 1024) + b"end"  # two full parts and three bytes


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def put(
    service: Running, upload: dict[str, Any], number: int, content: bytes, sha256: str
) -> httpx2.Response:
    path = f"/api/v1/uploads/{upload['id']}/parts/{number}"
    return service.http.put(path, content=content, headers={"X-Part-Sha256": sha256})


def begin(service: Running, **more: Any) -> dict[str, Any]:
    files = [{"path": "model.bin", "size": len(CONTENT), **more}]
    made = service.post("/api/v1/uploads", json={"files": files})
    assert made.status_code == 201, made.text
    upload: dict[str, Any] = made.json()
    return upload


def test_parts_come_in_any_order_and_the_whole_is_read_back(service: Running) -> None:
    upload = begin(service, sha256=digest(CONTENT))
    size = upload["part_size"]
    parts = [CONTENT[at : at + size] for at in range(0, len(CONTENT), size)]
    assert upload["missing"] == [[1, len(parts)]] and len(parts) == 3
    for number in (3, 1):
        assert put(service, upload, number, parts[number - 1], digest(parts[number - 1])).status_code == 200
    assert service.get(f"/api/v1/uploads/{upload['id']}").json()["missing"] == [[2, 2]]
    early = service.post(f"/api/v1/uploads/{upload['id']}/complete")
    assert early.status_code == 409 and early.json()["code"] == "UPLOAD-008"
    damaged = put(service, upload, 2, b"x" * len(parts[1]), digest(parts[1]))
    assert damaged.json()["code"] == "UPLOAD-005"
    assert put(service, upload, 2, parts[1], digest(parts[1])).json()["already"] is False
    assert put(service, upload, 2, parts[1], digest(parts[1])).json()["already"] is True
    done = service.post(f"/api/v1/uploads/{upload['id']}/complete").json()
    assert done["state"] == "complete" and done["files"][0]["sha256"] == digest(CONTENT)
    store = service.composition.uploads._store
    assert b"".join(store.open(digest(CONTENT))) == CONTENT


def test_a_part_with_another_length_or_name_is_refused(service: Running) -> None:
    upload = begin(service)
    assert put(service, upload, 1, b"short", digest(b"short")).json()["code"] == "UPLOAD-005"
    assert put(service, upload, 99, b"x", digest(b"x")).json()["code"] == "UPLOAD-006"
    assert put(service, upload, 1, b"x", "md5:1").json()["code"] == "API-001"
    assert service.http.delete(f"/api/v1/uploads/{upload['id']}").json()["state"] == "aborted"
    late = put(service, upload, 1, b"x", digest(b"x"))
    assert late.status_code == 409 and late.json()["code"] == "UPLOAD-007"
    assert service.get("/api/v1/uploads/unknown").json()["code"] == "UPLOAD-001"
