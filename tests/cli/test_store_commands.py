"""The commands of the store: registered files are contents, a flipped byte is found, what is needed stays."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mozhu.cli.main import main
from mozhu.testing import starter_path


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "0_configs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert (
        main(["registry", "register", "--path", str(starter_path()), "--name", "Starter-1M", "--copy_files"])
        == 0
    )
    capsys.readouterr()
    return tmp_path


def test_a_registered_version_lies_in_the_store_once(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["registry", "fsck", "--lang", "en"]) == 0
    assert "is sound" in capsys.readouterr().out
    weights = next((workspace / "5_models" / "pretrained").rglob("*.safetensors"))
    blobs = [path for path in (workspace / "5_models" / "blobs" / "sha256").rglob("*") if path.is_file()]
    assert any(os.path.samefile(weights, blob) for blob in blobs)


def test_nothing_that_a_version_needs_is_collected(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["registry", "gc", "--grace_hours", "0", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["blobs"] == 0
    assert main(["registry", "fsck", "--json"]) == 0


def test_a_flipped_byte_ends_with_exit_code_three(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = next((workspace / "5_models" / "pretrained").rglob("*.safetensors"))
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(content)
    assert main(["registry", "fsck", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [finding["code"] for finding in found] == ["damaged"] and found[0]["holders"] == ["Starter-1M:v1"]


def test_a_version_of_a_release_without_a_store_is_brought_in(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its files lie in its folder only, and no row tells of them: a repair puts them into the store."""
    models = workspace / "5_models"
    shutil.rmtree(models / "blobs")
    with closing(sqlite3.connect(models / "catalog.db")) as connection, connection:
        connection.execute("DELETE FROM version_files")
        connection.execute("DELETE FROM blobs")
    assert main(["registry", "fsck", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)["findings"]
    assert found and {finding["code"] for finding in found} == {"missing"}
    assert main(["registry", "fsck", "--repair", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["findings"]) == len(found)
    assert main(["registry", "fsck", "--json"]) == 0
    assert main(["registry", "gc", "--grace_hours", "0", "--json"]) == 0
    capsys.readouterr()
    assert main(["registry", "fsck", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["blobs"] == len(found)
