"""Run folders of a tiny model; one training is made for the whole room."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from mozhu.kernel import slots
from mozhu.kernel.files import write_jsonl
from mozhu.kernel.texts import set_language
from mozhu.specs.train import TrainSpec
from mozhu.testing import make_tiny_model, tiny_rows
from mozhu.workspace.launch import run_to_end
from mozhu.workspace.runs import RunFolder, make_run

STEPS = 40
SAVED_EVERY = 8


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "workspace/0_configs").mkdir(parents=True)
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.setenv("MOZHU_LANG", "en")
    monkeypatch.chdir(tmp_path / "workspace")
    set_language("en")
    yield tmp_path / "workspace"
    set_language(None)


@pytest.fixture(autouse=True)
def clean_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_added", {})


@pytest.fixture(scope="session")
def training(tmp_path_factory: pytest.TempPathFactory) -> TrainSpec:
    """What all trainings here ask for: a few seconds on a tiny model, the same numbers every time."""
    root = tmp_path_factory.mktemp("training")
    model = make_tiny_model(root / "tiny", "qwen2", layers=1, hidden=32)
    write_jsonl(root / "rows.jsonl", tiny_rows(16))
    return TrainSpec(
        model=str(model),
        dataset=str(root / "rows.jsonl"),
        max_steps=STEPS,
        save_steps=SAVED_EVERY,
        batch_size=2,
        lora_rank=4,
        validation_split=0.25,
        threads=1,
    )


@pytest.fixture(scope="session")
def whole(training: TrainSpec, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run that was never stopped."""
    run = make_run(training, {"model": "flag"}, tmp_path_factory.mktemp("runs") / "whole")
    assert run_to_end(run, lambda event: None).state == "succeeded"
    return run
