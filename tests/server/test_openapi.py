"""The committed OpenAPI document is this release's, and its examples are what its schemas say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mozhu.server.examples import EXAMPLES
from mozhu.server.run import open_document

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
            if "example" in content:
                schema = {**content["schema"], "components": document["components"]}
                jsonschema.validate(content["example"], schema)
