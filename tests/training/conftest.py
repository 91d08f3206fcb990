from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from mozhu.specs.train import TrainSpec
from mozhu.testing.tiny_models import make_tiny_model


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "qwen2", "qwen2")


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs and learnt speeds of a test stay in its own folder."""
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path / "workspace"))


@pytest.fixture
def spec(tiny: Path) -> Any:
    def make(**changes: Any) -> TrainSpec:
        fields = {
            "model": str(tiny),
            "dataset": "sample",
            "max_steps": 6,
            "batch_size": 4,
            "learning_rate": 5e-3,
            "lora_rank": 4,
            "max_length": 256,
            "threads": 1,
        }
        return TrainSpec(**{**fields, **changes})

    return make


class Events:
    """Collects what a run emits."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []

    def __call__(self, kind: str, /, **fields: Any) -> None:
        self.all.append({"kind": kind, **fields})

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.all if event["kind"] == kind]


@pytest.fixture
def events() -> Events:
    return Events()
