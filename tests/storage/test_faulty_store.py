"""A store that answers wrongly: asked again, then a catalogued error; never wrong bytes taken for right ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest
from services.faulty import FaultyS3, running_faulty_s3

from mozhu.kernel.errors import BlobDamaged, MozhuError, StoreRefused, StoreUnreachable
from mozhu.platform.storage.clouds import open_s3
from mozhu.platform.storage.remote import TRIES, RemoteBlobs

CONTENT = os.urandom(3 << 20)
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def faulty() -> Iterator[FaultyS3]:
    with running_faulty_s3() as server:
        yield server


@pytest.fixture
def store(faulty: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> RemoteBlobs:
    """Ours without patience of the client below it, so that each fault reaches us."""
    environment = {
        "AWS_ENDPOINT_URL": faulty.endpoint,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "hidden-secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("mozhu.platform.storage.clouds._RETRY", {"max_retries": 0})
    opened = open_s3("s3://bucket")
    opened._pause = lambda seconds: None
    return opened


def test_everything_for_a_range_is_cut_to_the_range(store: RemoteBlobs, faulty: FaultyS3) -> None:
    store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    faulty.always = "whole"
    assert b"".join(store.open(DIGEST, 1_000_000, 2_500_000)) == CONTENT[1_000_000:2_500_000]
    assert b"".join(store.open(DIGEST, len(CONTENT) - 5)) == CONTENT[-5:]


def test_errors_that_pass_are_not_noticed(store: RemoteBlobs, faulty: FaultyS3) -> None:
    faulty.faults = ["error", "error"]
    store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    faulty.faults = ["error"]
    assert store.stat(DIGEST) is not None
    faulty.faults = ["error", "error"]
    assert b"".join(store.open(DIGEST)) == CONTENT
    assert faulty.faults == []


def test_a_connection_cut_in_the_middle_goes_on_from_there(store: RemoteBlobs, faulty: FaultyS3) -> None:
    store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    faulty.faults = ["cut", "cut", "error", "cut"]
    assert b"".join(store.open(DIGEST)) == CONTENT
    faulty.faults = ["cut", "whole", "cut"]
    assert b"".join(store.open(DIGEST, 7, 2_999_999)) == CONTENT[7:2_999_999]
    assert faulty.faults == []


@pytest.mark.parametrize("ask", ["put", "open", "stat"])
def test_errors_that_stay_are_named(store: RemoteBlobs, faulty: FaultyS3, ask: str) -> None:
    store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    faulty.always = "error"
    faulty.requests.clear()
    with pytest.raises(StoreUnreachable) as caught:
        _ask(store, ask)
    assert caught.value.params["store"] == "s3://bucket" and caught.value.params["tries"] == TRIES
    assert 1 < len(faulty.requests) < 20


@pytest.mark.parametrize("ask", ["put", "open", "stat"])
def test_a_refusal_is_named_and_not_tried_again(store: RemoteBlobs, faulty: FaultyS3, ask: str) -> None:
    faulty.always = "refuse"
    with pytest.raises(StoreRefused) as caught:
        _ask(store, ask)
    assert "hidden-secret" not in str(caught.value) and len(faulty.requests) == 1


def test_wrong_bytes_on_reading_back_undo_the_put(store: RemoteBlobs, faulty: FaultyS3) -> None:
    faulty.always = "wrong"
    with pytest.raises(BlobDamaged):
        store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    assert faulty.objects == {}


def test_a_store_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, store: RemoteBlobs, faulty: FaultyS3
) -> None:
    faulty._server.server_close()
    faulty._server.shutdown()
    with pytest.raises(MozhuError) as caught:
        store.stat(DIGEST)
    assert caught.value.code == "STORE-003"


def _ask(store: RemoteBlobs, what: str) -> None:
    if what == "put":
        store.put(DIGEST, iter([CONTENT]), len(CONTENT))
    elif what == "open":
        b"".join(store.open(DIGEST))
    else:
        store.stat(DIGEST)
