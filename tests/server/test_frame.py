"""What holds for every request: problems, identity, ids, languages, limits, ETags, pages."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from running import Running

from mozhu.kernel.texts import text_in
from mozhu.platform.accounts.local_token import TOKEN_FILE, local_token
from mozhu.server.answers import encoded


def check_problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["code"] == code and problem["status"] == status
    assert problem["trace"] == answer.headers["x-request-id"]
    assert problem["title"] and problem["type"].endswith(f"#{code.lower()}")
    return problem


@pytest.mark.parametrize("token", [None, "mozhu_wrong", "é", "x" * 5000])
def test_nothing_is_told_without_the_token(service: Running, token: str | None) -> None:
    headers = {} if token is None else {"Authorization": f"Bearer {token}".encode()}
    with httpx2.Client(base_url=service.address) as http:
        for path in ("/api/v1/models", "/api/v1/datasets", "/api/v1/events/history", "/api/v1/models/x"):
            answer = http.get(path, headers=headers)
            check_problem(answer, 401, "API-004")
            assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    first, second = local_token(tmp_path), local_token(tmp_path)
    assert first.is_new and not second.is_new and first.token == second.token
    assert second.matches(first.token) and not second.matches(first.token + "x")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / TOKEN_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [TOKEN_FILE]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_problems_come_in_the_caller_s_language(service: Running, language: str) -> None:
    wanted = {"zh": "zh-CN,zh;q=0.9,en;q=0.8", "en": "fr, en;q=0.5, zh;q=0.2"}[language]
    answer = service.get("/api/v1/models/nothing", headers={"Accept-Language": wanted})
    problem = check_problem(answer, 404, "REG-001")
    assert problem["title"] == text_in(language, "reg.REG-001.what", reference="nothing")
    assert problem["params"]["reference"] == "nothing"


def test_every_wrong_field_is_in_one_answer(service: Running) -> None:
    answer = service.get("/api/v1/models", params={"limit": "many", "search": "x" * 300})
    problem = check_problem(answer, 422, "API-001")
    assert problem["params"]["count"] == 2
    assert "`limit`" in problem["title"] and "`search`" in problem["title"]


def test_unknown_pages_and_methods_are_problems(service: Running) -> None:
    check_problem(service.get("/api/v1/nothing"), 404, "API-002")
    answer = service.http.delete("/api/v1/datasets")
    check_problem(answer, 405, "API-003")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::2]"])
def test_a_page_under_another_name_reaches_nothing(service: Running, host: str) -> None:
    check_problem(service.get("/api/v1/models", headers={"Host": host}), 421, "API-005")


def test_a_name_that_was_allowed_is_served(start: Callable[..., Running]) -> None:
    service = start(allowed_hosts=("models.example",))
    for host in ("models.example", "MODELS.example:8443", "localhost:1"):
        assert service.get("/api/v1/models", headers={"Host": host}).status_code == 200


def test_a_body_may_not_grow_without_end(service: Running) -> None:
    def endless() -> Any:
        for _ in range(40):
            yield b"x" * 65536

    check_problem(service.post("/api/v1/registry/rescan", content=b"x" * (1 << 20) + b"y"), 413, "API-006")
    assert service.post("/api/v1/registry/rescan", content=endless()).status_code in (200, 413)


def test_request_ids_are_taken_over_or_made(service: Running) -> None:
    assert (
        service.get("/healthz", headers={"X-Request-Id": "mine-12345"}).headers["x-request-id"]
        == "mine-12345"
    )
    made = service.get("/healthz", headers={"X-Request-Id": "bad id\t!"}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{16}", made)


def test_answers_say_nothing_to_other_sites(service: Running) -> None:
    answer = service.get("/api/v1/models", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "server" not in answer.headers


def test_what_has_not_changed_is_not_sent_again(stocked: Running, tmp_path: Path) -> None:
    for path in ("/api/v1/models", "/api/v1/models/medical"):
        first = stocked.get(path)
        again = stocked.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert again.status_code == 304 and again.content == b""
        assert stocked.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_pages_hold_every_model_once(stocked: Running) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": 1, **({"cursor": cursor} if cursor else {})}
        page = stocked.get("/api/v1/models", params=given).json()
        seen += [model["name"] for model in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["shop", "medical"]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "W10", "é", "bnVsbA", "W1sxLDJdLCJ4Il0"])
def test_a_cursor_that_was_never_given_is_refused(stocked: Running, cursor: str) -> None:
    check_problem(stocked.get("/api/v1/models", params={"cursor": cursor}), 400, "API-010")


def test_a_cursor_belongs_to_its_question(stocked: Running) -> None:
    page = stocked.get("/api/v1/models", params={"limit": 1}).json()
    answer = stocked.get("/api/v1/models", params={"cursor": page["next"], "search": "医疗"})
    check_problem(answer, 400, "API-010")


def test_health_readiness_and_metrics_need_no_token(stocked: Running) -> None:
    stocked.get("/api/v1/models")
    with httpx2.Client(base_url=stocked.address) as http:
        assert http.get("/healthz").json()["status"] == "ok"
        assert http.get("/readyz").json()["status"] == "ready"
        lines = http.get("/metrics").text.splitlines()
    counted = 'mozhu_http_requests_total{method="GET",route="/api/v1/models",status="200"} 1.0'
    assert counted in lines


def test_an_answer_is_json_whatever_numbers_and_letters_it_holds():
    value = {
        "nan": float("nan"),
        "list": [float("inf"), -0.5, 1e300, 10**30],
        "医": 'NaN Infinity \ud800 \n"',
        "t": ("a", None),
    }
    said = json.loads(encoded(value))
    assert said == {
        "nan": "nan",
        "list": ["inf", -0.5, 1e300, 10**30],
        "医": 'NaN Infinity \ud800 \n"',
        "t": ["a", None],
    }
    plain = {"医": [1, 2.5, True, None, "é\u2028"], "NaN": "Infinity"}
    assert json.loads(encoded(plain)) == plain and "医".encode() in encoded(plain)
