"""The OpenAPI document: every route with its answer, its errors as problems, and examples."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from mozhu import __version__
from mozhu.server.examples import EXAMPLES, PARAMETERS
from mozhu.specs.wire.problem import PROBLEM, Problem

# Kinds of answers that an example can be written of.
_WRITTEN = {"application/json", "text/event-stream"}
_METHODS = ("get", "put", "post", "patch", "delete")


def document(app: FastAPI) -> dict[str, Any]:
    """The document of ``app``, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _with_problems(
            get_openapi(
                title="Mozhu",
                version=__version__,
                description="模铸的 REST · The REST API of Mozhu. Errors are RFC 9457 problems.",
                routes=app.routes,
            )
        )
    return app.openapi_schema


def _with_problems(whole: dict[str, Any]) -> dict[str, Any]:
    schemas = whole.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    refusal = {
        "description": "Problem",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for path in whole["paths"].values():
        for method in _METHODS:
            if method in path:
                _complete(path[method], refusal)
    return whole


def _complete(operation: dict[str, Any], refusal: dict[str, Any]) -> None:
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = refusal
    example = {**PARAMETERS, **EXAMPLES.get(operation["operationId"], {})}
    if "body" in example:
        operation["requestBody"]["content"]["application/json"]["example"] = example["body"]
    if "answer" in example:
        for status, response in operation["responses"].items():
            for kind in _WRITTEN & set(response.get("content", {}) if status.startswith("2") else ()):
                response["content"][kind]["example"] = example["answer"]
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in example:
            parameter["example"] = example[parameter["name"]]
