"""Lists over HTTP: filters, orders, pages; a model with many versions gives them page by page."""

from __future__ import annotations

from typing import Any

import pytest
from running import Running


def names(service: Running, **asked: Any) -> list[str]:
    answer = service.get("/api/v1/models", params=asked)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["shop", "medical"]),
        ({"sort": "name"}, ["medical", "shop"]),
        ({"search": "医"}, ["medical"]),
        ({"search": "医疗"}, ["medical"]),
        ({"search": "第三"}, []),
        ({"tag": "zh"}, ["medical"]),
        ({"tag": "z"}, []),
        ({"owner": "local", "type": "text"}, ["shop", "medical"]),
        ({"owner": "ann"}, []),
        ({"type": "image"}, []),
        ({"state": "failed"}, []),
        ({"trash": True}, []),
    ],
)
def test_a_list_is_filtered_and_ordered(stocked: Running, asked: Any, expected: list[str]) -> None:
    assert names(stocked, **asked) == expected


def test_pages_follow_each_other_and_a_cursor_is_bound_to_its_question(stocked: Running) -> None:
    for sort, expected in (("updated", ["shop", "medical"]), ("name", ["medical", "shop"])):
        first = stocked.get("/api/v1/models", params={"sort": sort, "limit": 1}).json()
        asked = {"sort": sort, "limit": 1, "cursor": first["next"]}
        second = stocked.get("/api/v1/models", params=asked).json()
        assert [item["name"] for item in first["items"] + second["items"]] == expected
        assert second["next"] is None
        other = stocked.get("/api/v1/models", params={**asked, "search": "x"})
        assert other.status_code == 400 and other.json()["code"] == "API-010"


def test_a_model_gives_its_versions_page_by_page(stocked: Running) -> None:
    first = stocked.get("/api/v1/models/medical", params={"limit": 1}).json()
    second = stocked.get("/api/v1/models/medical", params={"limit": 1, "before": first["next"]}).json()
    assert [one["label"] for one in first["versions"] + second["versions"]] == ["v2", "v1"]
    assert second["next"] is None and first["model"]["version_count"] == 2
    assert first["chosen"]["label"] == "v2"
    old = stocked.get("/api/v1/models/medical:v1", params={"limit": 1}).json()
    assert old["chosen"]["label"] == "v1" and old["versions"][0]["label"] == "v2"
    unknown = stocked.get("/api/v1/models/medical:v9").json()
    assert unknown["code"] == "REG-001" and "medical:v2" in unknown["detail"]
