"""A request under a key is done once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest
from running import Running

from mozhu.kernel.errors import KeyUsedOtherwise, SameRequestRuns
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.replays.service import Replay, Replays

HOOK = {"url": "http://127.0.0.1:9/hook", "events": ["*"]}


@pytest.fixture
def open_service(start) -> Running:  # type: ignore[no-untyped-def]
    return start(webhook_private_addresses=True)  # type: ignore[no-any-return]


def test_the_same_request_twice_is_done_once(open_service: Running) -> None:
    given = {"json": HOOK, "headers": {"Idempotency-Key": "once"}}
    first, again = (open_service.post("/api/v1/webhooks", **given) for _ in range(2))
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert len(open_service.get("/api/v1/webhooks").json()["items"]) == 1


def test_a_key_belongs_to_one_content(open_service: Running) -> None:
    headers = {"Idempotency-Key": "mine"}
    assert open_service.post("/api/v1/webhooks", json=HOOK, headers=headers).status_code == 201
    other = {**HOOK, "events": ["version.ready"]}
    refused = open_service.post("/api/v1/webhooks", json=other, headers=headers)
    assert refused.status_code == 422 and refused.json()["code"] == "API-008"


def test_what_was_refused_may_be_sent_again(open_service: Running) -> None:
    headers = {"Idempotency-Key": "again"}
    wrong = {**HOOK, "events": ["nothing.like.it"]}
    for _ in range(2):
        refused = open_service.post("/api/v1/webhooks", json=wrong, headers=headers)
        assert refused.json()["code"] == "HOOK-003"
    assert open_service.post("/api/v1/webhooks", json=HOOK, headers=headers).status_code == 201


def test_many_at_once_under_one_key_do_it_once(open_service: Running) -> None:
    def ask(_: int) -> int:
        return open_service.post(
            "/api/v1/webhooks", json=HOOK, headers={"Idempotency-Key": "race"}
        ).status_code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(16)))
    assert set(answers) <= {201, 409} and 201 in answers
    assert len(open_service.get("/api/v1/webhooks").json()["items"]) == 1


def test_a_key_is_the_callers_own_and_outlives_a_dead_process(open_service: Running) -> None:
    now = [datetime(2026, 11, 28, tzinfo=timezone.utc)]
    replays = Replays(open_service.composition.database, clock=lambda: now[0])
    assert replays.begin(LOCAL_ADMIN, "key", "POST /x", "a") is None
    with pytest.raises(SameRequestRuns):
        replays.begin(LOCAL_ADMIN, "key", "POST /x", "a")
    assert replays.begin(Subject("ann", (), False), "key", "POST /x", "b") is None
    now[0] += timedelta(minutes=11)
    assert replays.begin(LOCAL_ADMIN, "key", "POST /x", "a") is None
    replays.end(LOCAL_ADMIN, "key", Replay(201, b"{}", "application/json"))
    assert replays.begin(LOCAL_ADMIN, "key", "POST /x", "a") == Replay(201, b"{}", "application/json")
    with pytest.raises(KeyUsedOtherwise):
        replays.begin(LOCAL_ADMIN, "key", "POST /y", "a")
    now[0] += timedelta(hours=25)
    assert replays.begin(LOCAL_ADMIN, "key", "POST /y", "a") is None


def test_a_key_may_not_be_endless(open_service: Running) -> None:
    answer = open_service.post("/api/v1/webhooks", json=HOOK, headers={"Idempotency-Key": "k" * 201})
    assert answer.json()["code"] == "API-001"
