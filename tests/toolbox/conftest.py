"""The toolbox as its users have it: its folder on the path, its modules by their flat names."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mozhu.kernel import slots
from mozhu.kernel.texts import set_language

ROOT = Path(__file__).resolve().parents[2]
TOOLBOX = ROOT / "1_utils"
if str(TOOLBOX) not in sys.path:
    sys.path.append(str(TOOLBOX))

# One line a GPU, as `nvidia-smi --query-gpu=… --format=csv,noheader,nounits` prints them.
TWO_GPUS = "0, NVIDIA A100, 40960, 1024, 550.54, 97\n1, NVIDIA A100, 40960, 30720, 550.54, [N/A]\n"


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    set_language("en")
    yield
    set_language(None)


@pytest.fixture(autouse=True)
def clean_slots() -> Iterator[None]:
    """What a test registers is gone after it."""
    before = {slot: dict(names) for slot, names in slots._added.items()}
    yield
    slots._added.clear()
    slots._added.update(before)


@pytest.fixture
def no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty_bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.fixture
def fake_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put an ``nvidia-smi`` first on the path that prints the given lines."""

    def install(lines: str = TWO_GPUS, status: int = 0) -> None:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\nexit {status}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return install
