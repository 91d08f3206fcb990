"""A tiny base, an adapter on it and their merge by PEFT, made once; and a copy to damage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import FoundModel
from mozhu.testing import make_tiny_adapter, make_tiny_model

# Two threads wait for each other longer than these models take to compute.
torch.set_num_threads(1)
_FOLDERS = ("base", "adapter", "merged", "merged_half")


@pytest.fixture(autouse=True)
def no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOZHU_WORKSPACE", raising=False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Folders ``base``, ``adapter``, ``merged`` (float32) and ``merged_half`` (bfloat16)."""
    root = tmp_path_factory.mktemp("tiny")
    base = make_tiny_model(root / "base", template="chatml")
    adapter = make_tiny_adapter(root / "adapter", base, record=True)
    merged = _merge(base, adapter, root / "merged", torch.float32)
    half = _merge(base, adapter, root / "merged_half", torch.bfloat16)
    return SimpleNamespace(base=base, adapter=adapter, merged=merged, merged_half=half)


@pytest.fixture
def tiny_copy(tiny: SimpleNamespace, tmp_path: Path) -> SimpleNamespace:
    return SimpleNamespace(
        **{name: Path(shutil.copytree(getattr(tiny, name), tmp_path / name)) for name in _FOLDERS}
    )


def _merge(base: Path, adapter: Path, folder: Path, dtype: torch.dtype) -> Path:
    """As anybody would: PEFT's merge, saved beside the base's other files."""
    merged = load_model(FoundModel("tiny", adapter, adapter, base), dtype="float32", device="cpu", merge=True)
    shutil.copytree(base, folder)
    for weights in folder.glob("*.safetensors"):
        os.unlink(weights)
    merged.to(dtype).save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):
        shutil.copy(base / name, folder / name)
    return folder
