"""Deleting from the command line: asked first, never the last version, taken back or gone with its bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from mozhu.cli.main import main
from mozhu.testing import starter_path

NOTHING: dict[str, Any] = {"items": [], "next": None}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "0_configs").mkdir()
    monkeypatch.chdir(tmp_path)
    words = ["registry", "register", "--path", str(starter_path()), "--name", "Starter-1M", "--copy_files"]
    assert main(words) == 0
    capsys.readouterr()
    return tmp_path


def _json(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main(["registry", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_model_goes_into_the_trash_and_comes_back(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _json(capsys, "delete", "Starter-1M", "--dry_run") == {"would_delete": ["Starter-1M:v1"]}
    assert [model["name"] for model in _json(capsys, "list")["items"]] == ["Starter-1M"]
    assert _json(capsys, "delete", "Starter-1M", "--yes") == {"deleted": ["Starter-1M:v1"]}
    assert _json(capsys, "list") == NOTHING
    assert [model["name"] for model in _json(capsys, "list", "--trash")["items"]] == ["Starter-1M"]
    _json(capsys, "restore", "Starter-1M")
    assert [model["name"] for model in _json(capsys, "list")["items"]] == ["Starter-1M"]
    assert _json(capsys, "list", "--trash") == NOTHING


def test_nothing_is_deleted_unasked(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["registry", "delete", "Starter-1M", "--lang", "en"]) == 2
    assert "--yes" in capsys.readouterr().err
    assert len(_json(capsys, "list")["items"]) == 1


@pytest.mark.parametrize(("typed", "gone"), [("y", True), ("是", True), ("n", False), ("", False)])
def test_at_a_terminal_it_is_asked_first(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    gone: bool,
) -> None:
    terminal = io.StringIO(typed + "\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", terminal)
    capsys.readouterr()
    assert main(["registry", "delete", "Starter-1M", "--json", "--lang", "en"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"deleted": ["Starter-1M:v1"] if gone else []}
    assert "Starter-1M:v1" in err and (_json(capsys, "list") == NOTHING) == gone


def test_the_last_version_stays_and_unknown_names_are_told(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["registry", "delete", "Starter-1M:v1", "--yes"]) == 5
    assert "REG-018" in capsys.readouterr().err
    assert main(["registry", "delete", "Starter-1", "--yes"]) == 3
    assert "`Starter-1M`" in capsys.readouterr().err


def test_what_leaves_the_trash_gives_its_bytes_back(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _json(capsys, "delete", "Starter-1M", "--yes")
    kept = _json(capsys, "gc", "--grace_hours", "0")
    assert (kept["versions_purged"], kept["blobs"]) == (0, 0)
    told = _json(capsys, "gc", "--grace_hours", "0", "--trash_days", "0", "--dry_run")
    assert told["versions_purged"] == 1
    gone = _json(capsys, "gc", "--grace_hours", "0", "--trash_days", "0")
    assert gone["versions_purged"] == 1 and gone["returned_bytes"] > 7_000_000
    assert not list((workspace / "5_models").rglob("*.safetensors"))
    assert _json(capsys, "list", "--trash") == NOTHING


def test_a_protected_alias_moves_only_by_force(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = _json(capsys, "alias", "Starter-1M:v1", "--alias", "production", "--protected", "true")
    assert told["aliases"] == [{"name": "production", "reference": "Starter-1M:v1", "protected": True}]
    assert main(["registry", "alias", "Starter-1M", "--alias", "production", "--remove", "true"]) == 6
    assert "REG-022" in capsys.readouterr().err
    words = ("alias", "Starter-1M", "--alias", "production", "--remove", "true", "--force", "true")
    assert _json(capsys, *words)["aliases"] == []
