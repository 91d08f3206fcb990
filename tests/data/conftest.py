"""Data tests run in an empty folder of their own, in English."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mozhu.kernel.texts import set_language


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MOZHU_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    set_language("en")
    yield tmp_path
    set_language(None)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write text (in an encoding), bytes, or a value as JSON to a file of the test's folder."""

    def write_file(name: str, content: Any, encoding: str = "utf-8") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_bytes(content.encode(encoding))
        else:
            path.write_bytes(json.dumps(content, ensure_ascii=False, indent=2).encode(encoding))
        return path

    return write_file


class Events(list[dict[str, Any]]):
    """An ``emit`` that remembers."""

    def __call__(self, kind: str, /, **fields: Any) -> None:
        self.append({"kind": kind, **fields})

    def codes(self) -> list[str]:
        return [event["code"] for event in self if event["kind"] == "finding"]


@pytest.fixture
def events() -> Events:
    return Events()
