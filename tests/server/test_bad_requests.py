"""What no honest client sends: clear problems, alike on both databases, and nothing is changed by any of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import pytest
from registry_artefacts import write_run
from starlette.testclient import TestClient

from mozhu.app import composed
from mozhu.platform.catalog.searching import ModelQuery
from mozhu.server.cursors import cursor_after
from mozhu.server.make import make_app
from mozhu.specs.service import ServiceSpec
from mozhu.specs.wire.place import PREFIX

M = "/models/medical"
NUL, HALF = "a\x00b", "\\ud800"
LONG = "x" * 201


def forged(*key: Any) -> str:
    """A cursor of our own making, for the list that is asked for without anything."""
    return cursor_after(list(key), asdict(ModelQuery()))


def written(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


# method, path, parameters, the code of the problem
PLACES: list[tuple[str, str, dict[str, Any], str]] = [
    ("GET", f"/models/{LONG}", {}, "API-001"),
    ("GET", "/models/a%00b", {}, "API-013"),
    ("GET", "/models/%FF", {}, "REG-001"),
    ("GET", "/models/medical:v1:v2", {}, "REG-001"),
    ("GET", "/models/medical@", {}, "REG-001"),
    ("GET", "/models/:v1", {}, "REG-001"),
    ("GET", f"{M}:v9", {}, "REG-001"),
    ("GET", f"{M}@nothing", {}, "REG-001"),
    ("GET", M, {"before": 0}, "API-001"),
    ("GET", M, {"before": 2**63}, "API-001"),
    ("GET", M, {"limit": 201}, "API-001"),
    ("GET", "/models", {"limit": "many"}, "API-001"),
    ("GET", "/models", {"type": "audio"}, "API-001"),
    ("GET", "/models", {"state": "done"}, "API-001"),
    ("GET", "/models", {"sort": "size"}, "API-001"),
    ("GET", "/models", {"trash": "maybe"}, "API-001"),
    ("GET", "/models", {"team": ""}, "API-001"),
    ("GET", "/models", {"tag": LONG}, "API-001"),
    *(("GET", "/models", {name: NUL}, "API-013") for name in ("search", "tag", "owner", "team")),
    ("GET", "/models", {"cursor": "x" * 2001}, "API-001"),
    ("GET", "/models", {"cursor": written(b"[" * 1400)}, "API-010"),
    ("GET", "/models", {"cursor": written(b'{"a":1}')}, "API-010"),
    ("GET", "/models", {"cursor": forged("x", 10**30)}, "API-010"),
    ("GET", "/models", {"cursor": forged("x", -(10**30))}, "API-010"),
    ("GET", "/models", {"cursor": forged("\x00", 1)}, "API-010"),
    ("GET", "/models", {"cursor": forged("x", True)}, "API-010"),
    ("GET", "/models", {"cursor": forged("x", 1.5)}, "API-010"),
    ("GET", "/models", {"cursor": forged()}, "API-010"),
    ("GET", "/lineage", {}, "API-001"),
    ("GET", "/lineage", {"of": "x" * 501}, "API-001"),
    ("GET", "/lineage", {"of": f"run://{NUL}"}, "API-013"),
    ("GET", f"{M}:v1/files/..%2Fcatalog.db", {}, "FILE-001"),
    ("GET", f"{M}:v1/files/{'x' * 1001}", {}, "API-001"),
    ("DELETE", M, {"confirm": "something else"}, "REG-025"),
    ("DELETE", M, {"keep": "maybe"}, "API-001"),
    ("DELETE", f"{M}/aliases/nothing", {}, "REG-024"),
    ("POST", f"{M}/restore", {}, "REG-021"),
    ("POST", "/trash/empty", {"days": -1}, "API-001"),
    ("POST", "/trash/empty", {"confirm": "yes"}, "REG-025"),
    ("POST", M, {}, "API-003"),
    ("GET", "/webhooks/nothing", {}, "HOOK-001"),
    ("GET", "/webhooks/not.an.id", {}, "API-001"),
]
# method, path, body as it is sent, the code of the problem
BODIES: list[tuple[str, str, str, str]] = [
    ("PATCH", M, "", "API-001"),
    ("PATCH", M, "null", "API-001"),
    ("PATCH", M, "[]", "API-001"),
    ("PATCH", M, '"x"', "API-001"),
    ("PATCH", M, "{", "API-011"),
    ("PATCH", M, "[" * 50_000, "API-011"),
    ("PATCH", M, '{"descriptoin":"x"}', "API-001"),
    ("PATCH", M, '{"description":5}', "API-001"),
    ("PATCH", M, '{"description":"a\\u0000b"}', "API-013"),
    ("PATCH", M, f'{{"description":"{HALF}"}}', "API-013"),
    ("PATCH", M, f'{{"{HALF}":1}}', "API-013"),
    ("PATCH", M, '{"description":"' + "x" * 20_001 + '"}', "API-001"),
    ("PATCH", M, '{"description":"' + "x" * (1 << 20) + '"}', "API-006"),
    ("PATCH", M, '{"licence":"' + LONG + '"}', "API-001"),
    ("PATCH", M, '{"type":"audio"}', "API-001"),
    ("PATCH", M, '{"visibility":true}', "API-001"),
    ("PUT", f"{M}:v1/notes", '{"notes":["x"]}', "API-001"),
    ("PUT", f"{M}:v9/notes", '{"notes":"x"}', "REG-001"),
    ("PUT", f"{M}:v1/tags", '{"tags":"zh"}', "API-001"),
    ("PUT", f"{M}:v1/tags", '{"tags":[""]}', "API-001"),
    ("PUT", f"{M}:v1/tags", '{"tags":[" "]}', "REG-025"),
    ("PUT", f"{M}:v1/tags", '{"tags":["\\u0000"]}', "API-013"),
    ("PUT", f"{M}:v1/tags", '{"tags":[' + '"x",' * 100 + '"x"]}', "API-001"),
    ("PUT", f"{M}/aliases/best", "{}", "API-001"),
    ("PUT", f"{M}/aliases/best", '{"version":"v9"}', "REG-001"),
    ("PUT", f"{M}/aliases/best", '{"version":"v1","force":"maybe"}', "API-001"),
    ("PUT", f"{M}/aliases/latest", '{"version":"v1"}', "REG-025"),
    ("PUT", f"{M}/aliases/{LONG}", '{"version":"v1"}', "API-001"),
    ("PUT", f"{M}/shares/user:ann", '{"right":"own"}', "API-001"),
    ("PUT", f"{M}/shares/ann", '{"right":"read"}', "REG-025"),
    ("PUT", f"{M}/shares/user:", '{"right":"read"}', "REG-025"),
    ("PUT", f"{M}/rating", '{"stars":6}', "API-001"),
    ("PUT", f"{M}/rating", '{"stars":4.5}', "API-001"),
    ("PUT", f"{M}/rating", '{"stars":"five"}', "API-001"),
    ("PUT", f"{M}/rating", '{"stars":4,"comment":"\\u0000"}', "API-013"),
    ("POST", "/webhooks", '{"url":"https://8.8.8.8/\\u0000"}', "API-013"),
    ("POST", "/webhooks", '{"url":"https://8.8.8.8/","events":["nothing"]}', "HOOK-003"),
    ("POST", "/uploads", f'{{"files":[{{"path":"a","size":1}}],"purpose":{{"x":"{HALF}"}}}}', "API-013"),
]


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A service with one model, on either database."""
    root = tmp_path_factory.mktemp("bad")
    settings: dict[str, Any] = {"allowed_hosts": ("testserver",)}
    if request.param == "postgres":
        settings["database"] = request.getfixturevalue("postgres_server").make()
    with composed(root, ServiceSpec(**settings)) as composition:
        composition.registry.register(write_run(root / "run"), name="medical", tags=("zh",))
        app = make_app(composition)
        headers = {"Authorization": f"Bearer {composition.token.token}", "Accept-Language": "en"}
        yield TestClient(app, headers=headers, raise_server_exceptions=False)


def everything(http: TestClient) -> list[Any]:
    paths = (M, f"{M}/aliases", f"{M}/shares", f"{M}/rating", "/webhooks", "/uploads", "/events/history")
    return [http.get(PREFIX + path).json() for path in paths]


def test_wrong_places_and_parameters_are_clear_problems(asked: TestClient) -> None:
    before = everything(asked)
    for method, path, params, code in PLACES:
        answer = asked.request(method, PREFIX + path, params=params)
        check(answer, code, (method, path[:60], str(params)[:80]))
    assert everything(asked) == before


def test_wrong_bodies_are_clear_problems(asked: TestClient) -> None:
    before = everything(asked)
    for method, path, body, code in BODIES:
        headers = {"Content-Type": "application/json"}
        answer = asked.request(method, PREFIX + path, content=body.encode(), headers=headers)
        check(answer, code, (method, path[:60], body[:80]))
    assert everything(asked) == before


def check(answer: Any, code: str, what: Any) -> None:
    assert answer.headers["content-type"] == "application/problem+json", (what, answer.text[:300])
    problem = answer.json()
    assert problem["code"] == code, (what, problem["detail"])
    assert answer.status_code == problem["status"] < 500 and problem["title"], what
    assert len(answer.content) < 8_000, (what, "an answer does not repeat what was too long")


def test_every_strange_text_is_named(asked: TestClient) -> None:
    body = '{"files":[{"path":"a\\u0000","size":1},{"path":"b","size":1}],"team":"\\ud800"}'
    headers = {"Content-Type": "application/json"}
    problem = asked.post(f"{PREFIX}/uploads", content=body, headers=headers).json()
    assert problem["code"] == "API-013" and problem["params"]["count"] == 2
    assert "`files.0.path`" in problem["title"] and "`team`" in problem["title"]
