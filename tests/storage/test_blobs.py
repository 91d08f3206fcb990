"""Every store keeps the same promises: content by hash, whole or absent, ranges, the same bytes out as in."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore
from services.s3 import S3Server

from mozhu.kernel.errors import BadRange, BlobDamaged, BlobMissing, StoreRefused, UnknownStore
from mozhu.platform.storage.addresses import open_store
from mozhu.platform.storage.blobs import BlobStore, digest_at, key_of
from mozhu.platform.storage.folders import adopt_file, bring_file
from mozhu.platform.storage.local import LocalBlobs
from mozhu.platform.storage.remote import RemoteBlobs
from mozhu.testing.memory_blobs import MemoryBlobs

SMALL, LARGE = b"mozhu " * 1000, os.urandom(20 << 20)


def digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def put(store: BlobStore, content: bytes) -> str:
    pieces = (content[at : at + 700_000] for at in range(0, len(content), 700_000))
    store.put(digest(content), pieces, len(content))
    return digest(content)


@pytest.fixture(params=["local", "memory", "obstore", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "obstore":
        return RemoteBlobs(MemoryStore(), "memory://")
    bucket = request.getfixturevalue("s3_bucket")
    return open_store(f"s3://{bucket}/some/prefix", tmp_path)


@pytest.mark.parametrize("content", [b"", b"x", SMALL, LARGE], ids=["empty", "one", "small", "large"])
def test_what_was_put_comes_back(store: BlobStore, content: bytes) -> None:
    name = put(store, content)
    assert b"".join(store.open(name)) == content
    found = store.stat(name)
    assert found is not None and (found.digest, found.size) == (name, len(content))
    assert [(blob.digest, blob.size) for blob in store.list()] == [(name, len(content))]


def test_ranges_are_those_that_were_asked_for(store: BlobStore) -> None:
    name = put(store, LARGE)
    size = len(LARGE)
    for start, end in [
        (0, 1),
        (5, 5),
        (1 << 20, (1 << 20) + 17),
        (size - 3, None),
        (size - 3, size + 99),
        (size, None),
    ]:
        assert b"".join(store.open(name, start, end)) == LARGE[start:end]
    with pytest.raises(BadRange):
        store.open(name, size + 1)
    with pytest.raises(BadRange):
        store.open(name, 9, 3)


def test_content_with_another_hash_never_appears(store: BlobStore) -> None:
    for content in (SMALL, LARGE):
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        for wrong in (flipped, content[:-1], content + b"?", b""):
            with pytest.raises(BlobDamaged):
                store.put(digest(content), iter([wrong[:9], wrong[9:]]), len(content))
    assert list(store.list()) == []
    assert store.stat(digest(SMALL)) is None


def test_a_source_that_breaks_off_leaves_what_was_there(store: BlobStore) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield LARGE[: 9 << 20]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError):
        store.put(digest(LARGE), broken(), len(LARGE))
    assert list(store.list()) == []
    name = put(store, LARGE)
    with pytest.raises(RuntimeError):
        store.put(name, broken(), len(LARGE))
    assert digest(b"".join(store.open(name))) == name


def test_what_is_not_there_is_said(store: BlobStore) -> None:
    with pytest.raises(BlobMissing):
        store.open(digest(b"nothing"))
    assert store.stat(digest(b"nothing")) is None
    assert store.delete(digest(b"nothing")) is False


def test_what_is_deleted_is_gone_and_the_rest_stays(store: BlobStore) -> None:
    first, second = put(store, SMALL), put(store, b"other")
    assert store.delete(first) is True
    assert [blob.digest for blob in store.list()] == [second]
    assert store.delete(first) is False


def test_a_list_is_in_order(store: BlobStore) -> None:
    names = sorted(put(store, f"content {number}".encode()) for number in range(30))
    assert [blob.digest for blob in store.list()] == names


def test_a_file_goes_in_and_comes_out(store: BlobStore, tmp_path: Path) -> None:
    source, target = tmp_path / "in.safetensors", tmp_path / "deep" / "out.safetensors"
    source.write_bytes(SMALL)
    adopt_file(store, digest(SMALL), source, link=True)
    bring_file(store, digest(SMALL), target, link=True)
    assert target.read_bytes() == SMALL
    assert digest(b"".join(store.open(digest(SMALL)))) == digest(SMALL)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operations=st.lists(
        st.tuples(st.sampled_from(["put", "delete", "again"]), st.binary(max_size=40)), max_size=30
    )
)
def test_any_operations_leave_what_a_dictionary_would_hold(
    operations: list[tuple[str, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store, model = LocalBlobs(tmp_path_factory.mktemp("blobs")), {}
    for what, content in operations:
        if what == "delete":
            assert store.delete(digest(content)) is (model.pop(digest(content), None) is not None)
        else:
            put(store, content)
            model[digest(content)] = content
    assert {blob.digest: b"".join(store.open(blob.digest)) for blob in store.list()} == model


def test_a_local_store_holds_linked_bytes_once(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path / "blobs")
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(LARGE)
    adopt_file(store, digest(LARGE), source, link=True)
    bring_file(store, digest(LARGE), target, link=True)
    assert source.stat().st_ino == target.stat().st_ino == store.path_of(digest(LARGE)).stat().st_ino


def test_a_local_store_has_no_leftovers(tmp_path: Path) -> None:
    store = LocalBlobs(tmp_path / "blobs")
    put(store, SMALL)
    with pytest.raises(BlobDamaged):
        store.put(digest(LARGE), iter([SMALL]), len(LARGE))
    files = [path.relative_to(store.root).as_posix() for path in store.root.rglob("*") if path.is_file()]
    assert files == [key_of(digest(SMALL))]


def test_a_bucket_holds_only_blobs_under_its_prefix(s3_bucket: str, s3_server, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    store = open_store(f"s3://{s3_bucket}/team", tmp_path)
    name = put(store, LARGE)
    listed = s3_server.client().list_objects_v2(Bucket=s3_bucket)["Contents"]
    assert [entry["Key"] for entry in listed] == [f"team/{key_of(name)}"]
    assert digest_at(listed[0]["Key"]) == name


def test_a_signed_address_gives_the_content_to_anyone(s3_bucket: str, tmp_path: Path) -> None:
    from urllib.request import urlopen

    store = open_store(f"s3://{s3_bucket}", tmp_path)
    address = store.address(put(store, SMALL), 60)
    assert address is not None
    with urlopen(address) as answer:
        assert answer.read() == SMALL


def test_a_wrong_key_is_said_as_one_and_forgotten(
    s3_server: S3Server, s3_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    store = open_store(f"s3://{s3_bucket}", tmp_path)
    for ask in (lambda: put(store, SMALL), lambda: store.stat(digest(SMALL)), lambda: list(store.list())):
        with pytest.raises(StoreRefused) as caught:
            ask()
        assert "wrong" not in str(caught.value)
    with pytest.raises(StoreRefused):
        store.delete(digest(SMALL))
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.secret)
    store = open_store(f"s3://{s3_bucket}", tmp_path)
    store.delete(put(store, SMALL))
    assert store.stat(digest(SMALL)) is None


@pytest.mark.parametrize("address", ["ftp://x/y", "s3://key:secret@bucket/x", "s3://"])
def test_an_address_of_no_store_is_refused_without_its_secrets(address: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownStore) as caught:
        open_store(address, tmp_path)
    assert "secret" not in str(caught.value)


def test_no_address_is_a_folder_of_the_workspace(tmp_path: Path) -> None:
    make: Callable[[str | None], BlobStore] = lambda address: open_store(address, tmp_path)  # noqa: E731
    assert make(None).name == str(tmp_path / "blobs")
    assert make(str(tmp_path / "elsewhere")).name == str(tmp_path / "elsewhere")
