"""The command line in this process, in an empty workspace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mozhu.cli.main import main
from mozhu.kernel.texts import set_language

sys.path.insert(0, str(Path(__file__).parent))

from typed import Mozhu, Said


@pytest.fixture(autouse=True)
def own_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test stands in a workspace of its own, and no setting of the machine reaches it."""
    for name in ("MOZHU_WORKSPACE", "MOZHU_LANG", "LC_ALL", "LC_MESSAGES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "no-hub"))
    root = tmp_path / "workspace"
    (root / "0_configs").mkdir(parents=True)
    monkeypatch.chdir(root)
    yield root
    set_language(None)


@pytest.fixture
def mozhu(capfd: pytest.CaptureFixture[str]) -> Mozhu:
    """``mozhu("train", "--help")`` as typed; the exit code and both streams."""

    def type_command(*words: str) -> Said:
        capfd.readouterr()
        code = main(words)
        out, err = capfd.readouterr()
        return Said(code, out, err)

    return type_command
