"""A name that is configured as ``sample`` means the built-in rows, in a workspace where nothing else was made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mozhu.engine.data.dataset import load_rows


def test_a_configured_name_may_mean_the_sample_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configs = tmp_path / "0_configs"
    configs.mkdir()
    settings = {"datasets": {"medical_qa_dataset": {"path": "sample"}}}
    (configs / "1_model_config.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setenv("MOZHU_WORKSPACE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    loaded = load_rows("medical_qa_dataset")
    assert loaded.name == "medical_qa_dataset" and len(loaded.rows) == 10
    assert [row["messages"] for row in loaded.rows] == [row["messages"] for row in load_rows("sample").rows]
