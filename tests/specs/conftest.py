"""Specs and records alone, in English."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mozhu.kernel.paths import Workspace
from mozhu.kernel.texts import set_language


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("MOZHU_WORKSPACE", raising=False)
    monkeypatch.chdir(tmp_path)
    set_language("en")
    yield
    set_language(None)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "0_configs").mkdir()
    return Workspace(tmp_path)
