"""A tiny base with an adapter in a run folder, and test rows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mozhu.kernel.files import write_jsonl
from mozhu.testing import make_tiny_adapter, make_tiny_model, tiny_rows

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOZHU_WORKSPACE", raising=False)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """``base``, ``run`` (with ``lora_adapter/``) and ``rows``, a file of twelve conversations."""
    root = tmp_path_factory.mktemp("evaluation")
    base = make_tiny_model(root / "base", template="chatml")
    make_tiny_adapter(root / "run" / "lora_adapter", base, record=True)
    write_jsonl(root / "rows.jsonl", tiny_rows(12))
    return SimpleNamespace(base=base, run=root / "run", rows=root / "rows.jsonl")
