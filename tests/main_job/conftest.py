"""Workspaces of their own for the tests of the main job; the machine's settings do not reach them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from job import Place, float32_starter, made_once, make_place

from mozhu.kernel.texts import set_language


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in ("MOZHU_WORKSPACE", "MOZHU_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hub"))
    yield
    set_language(None)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of a test run, so that what many tests need is made once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "main-job"


@pytest.fixture(scope="session")
def base(shared_folder: Path) -> Path:
    """The starter in float32."""
    return made_once(shared_folder / "base", lambda folder: float32_starter(folder) and None)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "workspace")
