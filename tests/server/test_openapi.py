"""The committed OpenAPI document is this release's, and its examples are what its schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema
import pytest
from registry_artefacts import write_run
from registry_snapshots import write_snapshot
from starlette.testclient import TestClient

from mozhu.app import composed
from mozhu.platform.accounts.subject import LOCAL_ADMIN
from mozhu.platform.webhooks.rows import make_deliveries
from mozhu.server.examples import EXAMPLES
from mozhu.server.make import make_app
from mozhu.server.run import open_document
from mozhu.specs.service import ServiceSpec

ROOT = Path(__file__).resolve().parents[2]
METHODS = {"get", "put", "post", "patch", "delete"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return open_document()


def operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def test_the_committed_document_is_this_release_s(document: dict[str, Any]) -> None:
    committed = json.loads((ROOT / "7_docs/openapi.json").read_text(encoding="utf-8"))
    assert committed == document, "run `make style`"


def test_every_operation_tells_its_errors_and_has_words(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert "application/problem+json" in operation["responses"]["default"]["content"]
        assert operation["description"], operation["operationId"]
        assert "422" not in operation["responses"]


def test_every_operation_shows_what_is_asked_and_answered(document: dict[str, Any]) -> None:
    for operation in operations(document):
        name = operation["operationId"]
        body = operation.get("requestBody", {}).get("content", {}).get("application/json")
        assert body is None or "example" in body, f"{name}: an example of its body in server/examples_*.py"
        for status, response in operation["responses"].items():
            for kind in ("application/json", "text/event-stream"):
                content = response.get("content", {}).get(kind)
                shown = not status.startswith("2") or content is None or "example" in content
                assert shown, f"{name}: an example of its answer in server/examples_*.py"
        for parameter in operation.get("parameters", ()):
            if parameter["required"]:
                assert "example" in parameter, f"{name}: an example of {parameter['name']}"


def test_examples_belong_to_operations_and_fit_their_schemas(document: dict[str, Any]) -> None:
    names = {operation["operationId"] for operation in operations(document)}
    assert set(EXAMPLES) <= names
    for operation in operations(document):
        contents = [
            content
            for status, response in operation["responses"].items()
            if status.startswith("2")
            for content in response.get("content", {}).values()
        ]
        contents += operation.get("requestBody", {}).get("content", {}).values()
        for content in contents:
            if "example" in content and "schema" in content:
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.validate(content["example"], schema)
        for parameter in operation.get("parameters", ()):
            if "example" in parameter:
                jsonschema.validate(parameter["example"], parameter["schema"])


# Their keys are what people, runs and files say: they are not the same from answer to answer.
FREE = {"performance", "details", "recipe", "parts", "row", "params", "recognised", "purpose", "by_type"}
# Asked of a service that holds what the examples name; what ends or needs bytes is tried elsewhere.
ASKED = {"get", "put", "patch"}
NOT_ASKED = {"put_upload_part", "stream_events", "download_file", "download_archive", "show_report"}


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TestClient, dict[str, str]]]:
    """A service with the models and data sets of the examples, and its own ids in place of theirs."""
    root = tmp_path_factory.mktemp("real")
    with composed(root, ServiceSpec(allowed_hosts=("testserver",))) as composition:
        composition.registry.register(write_run(root / "run"), name="medical-qa", tags=("医疗", "zh"))
        composition.datasets.register(write_snapshot(root / "data"), name="medical_qa")
        headers = {"Authorization": f"Bearer {composition.token.token}", "Accept-Language": "en"}
        http = TestClient(make_app(composition), headers=headers)
        hook = http.post("/api/v1/webhooks", json={"url": "https://8.8.8.8/", "events": ["*"]}).json()["id"]
        file = {"path": "model.safetensors", "size": 612}
        upload = http.post("/api/v1/uploads", json={"files": [file]}).json()["id"]
        brought = http.post("/api/v1/models/another/versions", json={"upload": upload}).json()["id"]
        http.put("/api/v1/models/medical-qa/aliases/production", json={"version": "v1"})
        with composition.database.writing() as session:
            make_deliveries(session, "2026-11-21T09:00:00.000Z", lambda user, teams: LOCAL_ADMIN)
        yield http, {"webhook_id": hook, "upload_id": upload, "import_id": brought}


def test_examples_are_of_the_shape_that_the_service_answers(
    real: tuple[TestClient, dict[str, str]], document: dict[str, Any]
) -> None:
    http, own = real
    # What is changed comes first, so that lists of what was changed are not empty.
    for method in ("put", "patch", "get"):
        for path, ways in document["paths"].items():
            operation = ways.get(method)
            if operation is None or operation["operationId"] in NOT_ASKED:
                continue
            answer = http.request(method, **request_of(path, operation, own))
            assert answer.status_code < 300, (operation["operationId"], answer.text)
            content = operation["responses"][str(answer.status_code)]["content"]["application/json"]
            same_shape(operation["operationId"], content["example"], answer.json())


def request_of(path: str, operation: dict[str, Any], own: dict[str, str]) -> dict[str, Any]:
    """The example as it is sent."""
    parameters = operation.get("parameters", [])
    given = {**{one["name"]: one["example"] for one in parameters if "example" in one}, **own}
    asked = [one["name"] for one in parameters if one["in"] == "query" and one["required"]]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    url = path.format(**{name: quote(str(value), safe="") for name, value in given.items()})
    return {"url": url, "params": {name: given[name] for name in asked}, "json": body.get("example")}


def same_shape(place: str, shown: Any, real: Any) -> None:
    """The same keys, and values of the same kinds, wherever both have something."""
    if isinstance(shown, dict) and isinstance(real, dict):
        assert set(shown) == set(real), place
        for name in set(shown) - FREE:
            same_shape(f"{place}.{name}", shown[name], real[name])
    elif isinstance(shown, list) and isinstance(real, list):
        for item in real[:1] if shown else ():
            same_shape(f"{place}[]", shown[0], item)
    elif shown is not None and real is not None:
        number = isinstance(shown, (int, float)) and isinstance(real, (int, float))
        assert type(shown) is type(real) or number, (place, shown, real)
