"""`--server URL`: the same commands, the same words and exit codes, asked of a service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from running import Running

from mozhu.cli.main import main

COMMANDS = [
    ["registry", "list"],
    ["registry", "list", "--search", "医疗"],
    ["registry", "list", "--json"],
    ["registry", "show", "medical"],
    ["registry", "show", "medical:v1", "--json"],
    ["registry", "validate", "medical:v1"],
    ["registry", "rescan", "--dry_run"],
    ["registry", "show", "nothing"],
    ["registry", "list", "--search", "nothing"],
    ["datasets", "list"],
    ["datasets", "show", "nothing"],
]


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    code = main([*words, "--lang", "en"])
    return (code, *capsys.readouterr())


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_says_the_same_of_a_service(
    stocked: Running,
    workspace: Path,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    here = said(words, capsys)
    assert said([*words, "--server", stocked.address], capsys) == here
    monkeypatch.setenv("MOZHU_SERVER", stocked.address)
    assert said(words, capsys) == here


def test_the_workspace_s_token_goes_to_no_other_machine(
    workspace: Path, stocked: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mozhu.cli import remote

    asked: list[Any] = []

    class Seen(Exception):
        pass

    def client(server: str, token: str | None) -> Any:
        asked.append((server, token))
        raise Seen

    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    monkeypatch.setattr(remote.slots, "load", lambda slot, name: client)
    for server in ("http://models.example", "http://127.0.0.1:1"):
        main(["registry", "list", "--server", server])
    capsys.readouterr()
    assert asked == [
        ("http://models.example", None),
        ("http://127.0.0.1:1", stocked.composition.token.token),
    ]


def test_a_version_is_downloaded_from_a_service(
    stocked: Running, workspace: Path, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    monkeypatch.chdir(tmp_path)
    words = ["download", "medical:v1", "--server", stocked.address]
    code, out, _ = said(words, capsys)
    assert code == 0 and "`medical:v1` is in" in out
    assert (tmp_path / "medical-v1/adapter_model.safetensors").is_file()
    code, out, _ = said([*words, "--output_dir", str(tmp_path / "other"), "--json"], capsys)
    assert code == 0 and '"reference": "medical:v1"' in out
    assert (tmp_path / "other/adapter_config.json").is_file()
    assert said(["download", "nothing:v1", "--server", stocked.address], capsys)[0] == 3
