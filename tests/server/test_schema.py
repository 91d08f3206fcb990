"""schemathesis throws what the OpenAPI document allows, and what it forbids, at every operation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from registry_artefacts import write_adapter, write_run
from schemathesis.specs.openapi.checks import positive_data_acceptance

from mozhu.app import Composition, compose
from mozhu.server.make import make_app
from mozhu.specs.service import ServiceSpec

_state: dict[str, Any] = {}
_PATHS = json.loads((Path(__file__).parents[2] / "7_docs/openapi.json").read_text(encoding="utf-8"))["paths"]
# A stream of events has no end.
OPERATIONS = [
    (path, method) for path, methods in _PATHS.items() for method in methods if path != "/api/v1/events"
]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    root = tmp_path_factory.mktemp("schema")
    composition = compose(root, ServiceSpec(allowed_hosts=("testserver",)))
    _stock(composition, root)
    app = make_app(composition)
    _state["headers"] = {"Authorization": f"Bearer {composition.token.token}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    yield schema
    composition.close()


def _stock(composition: Composition, root: Path) -> None:
    composition.registry.register(write_run(root / "run"), name="medical", task="medical_qa")
    composition.registry.register(write_adapter(root / "second", seed=1), name="shop")


def check(api: Any, path: str, method: str, examples: int) -> None:
    @given(case=api[path][method.upper()].as_strategy())
    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate),
    )
    def holds(case: Any) -> None:
        answer = case.call(headers=_state["headers"])
        # What a schema cannot say, such as which cursors and addresses there are, has codes of its own.
        told = answer.json().get("code", "") if answer.status_code >= 400 else ""
        known = [] if told in ("", "API-001", "API-011") else [positive_data_acceptance]
        case.validate_response(answer, excluded_checks=known)

    holds()


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_its_promise(api: Any, path: str, method: str) -> None:
    check(api, path, method, 12)


@pytest.mark.slow
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_every_operation_keeps_its_promise_for_long(api: Any, path: str, method: str) -> None:
    check(api, path, method, 150)
