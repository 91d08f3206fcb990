"""A workspace whose settings allow the hub, and a stand-in that is asked in its place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from standin import Repository, StandIn, rows, serving

CARD = b"""---
configs:
- config_name: qa
  data_files:
  - split: train
    path: qa/train.jsonl
  - split: test
    path: qa/test.jsonl
- config_name: other
  data_files: other/*.jsonl
---
# A data set with two subsets
"""


@dataclass
class Desk:
    """A workspace ``root`` in which commands are typed; ``hub`` is what they reach."""

    root: Path
    hub: StandIn
    allowed: str = "huggingface"

    def prepare(self, ref: str, **more: str) -> subprocess.CompletedProcess[str]:
        words = ["--input", ref, "--output_dir", "out", "--output_name", "x", "--quiet"]
        return self.type("data", "prepare", *words, **more)

    def type(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """``mozhu WORDS`` with the variables ``more``."""
        settings = self.root / "0_configs" / "1_model_config.json"
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(json.dumps({"hub": self.allowed}), encoding="utf-8")
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "MOZHU_", "HUGGING"))
        }
        kept |= {"HF_HOME": str(self.root / "hf"), "HF_ENDPOINT": self.hub.address, "MOZHU_LANG": "en"}
        command = [sys.executable, "-m", "mozhu", *words]
        return subprocess.run(
            command, cwd=self.root, env=kept | more, capture_output=True, text=True, check=False
        )

    def prepared(self) -> dict[str, list[dict[str, object]]]:
        """The rows of each part that the last command wrote."""
        parts = {name: self.root / "out" / f"x_{name}.jsonl" for name in ("train", "validation", "test")}
        return {
            name: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for name, path in parts.items()
        }


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    hub = StandIn(
        {
            "owner/plain": Repository(
                {"README.md": b"# plain\n", "train.jsonl": rows(150, "甲")}, lfs={"train.jsonl"}
            ),
            "owner/carded": Repository(
                {
                    "README.md": CARD,
                    "qa/train.jsonl": rows(120, "乙"),
                    "qa/test.jsonl": rows(20, "丙"),
                    "other/a.jsonl": rows(30, "丁"),
                },
                lfs={"qa/train.jsonl"},
            ),
            "owner/gated": Repository({"train.jsonl": rows(60, "戊")}, gated=True, token="hf_of_a_member"),
            "owner/private": Repository({"train.jsonl": rows(60, "己")}, token="hf_of_a_member"),
            "owner/empty": Repository({"README.md": b"# nothing yet\n"}),
        }
    )
    with serving(hub):
        yield Desk(tmp_path, hub)
    assert hub.unknown == []
