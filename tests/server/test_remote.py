"""`--server URL`: the same commands, the same words and exit codes, asked of a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running import Running

from mozhu.cli.main import main

COMMANDS = [
    ["registry", "list"],
    ["registry", "list", "--search", "医疗", "--tag", "zh", "--owner", "local", "--team", "local"],
    ["registry", "list", "--type", "image"],
    ["registry", "list", "--sort", "name", "--limit", "1"],
    ["registry", "list", "--all", "--state", "ready", "--json"],
    ["registry", "list", "--cursor", "never-given"],
    ["registry", "list", "--trash"],
    ["registry", "lineage", "medical:v1"],
    ["registry", "lineage", "dataset://medical_qa:v3"],
    ["registry", "lineage", "shop", "--json"],
    ["registry", "lineage", "nothing"],
    ["registry", "share", "medical"],
    ["registry", "rate", "medical"],
    ["registry", "suggest", "medical:v1"],
    ["registry", "suggest", "medical", "--json"],
    ["registry", "alias", "medical"],
    ["registry", "alias", "medical:v1", "--alias", "best", "--dry_run"],
    ["registry", "delete", "medical", "--dry_run"],
    ["registry", "delete", "shop:v1", "--yes"],
    ["registry", "edit", "medical"],
    ["registry", "edit", "nothing", "--licence", "mit"],
    ["registry", "restore", "shop"],
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
    shared: Running, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(shared.composition.workspace.root))
    here = said(words, capsys)
    assert said([*words, "--server", shared.address], capsys) == here
    monkeypatch.setenv("MOZHU_SERVER", shared.address)
    assert said(words, capsys) == here


# Each says the same a second time, so that it is asked of the service first and of the workspace then.
CHANGES = [
    ["edit", "medical", "--description", "医疗问答", "--licence", "mit", "--visibility", "everyone"],
    ["edit", "medical:v1", "--notes", "加了急诊数据", "--tags", "er,zh"],
    ["share", "medical", "--whom", "team:vision", "--right", "use"],
    ["share", "medical", "--whom", "user:ann", "--right", "manage", "--json"],
    ["share", "medical", "--whom", "user:ann", "--revoke"],
    ["rate", "medical", "--stars", "4", "--comment", "好"],
    ["alias", "medical:v1", "--alias", "production", "--protected"],
    ["alias", "medical", "--alias", "production", "--remove"],
    ["alias", "medical@latest", "--alias", "newest"],
]


def test_a_service_is_changed_as_a_workspace_is(
    stocked: Running, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    server = ["--server", stocked.address]
    for words in CHANGES:
        there = said(["registry", *words, *server], capsys)
        assert said(["registry", *words], capsys) == there, words
        assert there[0] == (6 if words[-1] == "--remove" else 0), there
    registry, models = stocked.composition.registry, stocked.composition.models
    detail = registry.show("medical:v1")
    assert (detail.model.licence, detail.model.visibility) == ("mit", "everyone")
    assert (detail.chosen.notes, detail.chosen.tags) == ("加了急诊数据", ("er", "zh"))
    assert models.shares("medical") == (("team:vision", "use"),) and models.rating("medical") == (4.0, 1)
    assert [(one.name, one.reference) for one in models.aliases("medical")] == [
        ("newest", "medical:v2"),
        ("production", "medical:v1"),
    ]


def test_what_a_service_put_away_comes_back(
    stocked: Running, workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    server = ["--server", stocked.address]
    asked = said(["registry", "delete", "medical:v1", *server], capsys)
    assert asked[0] == 2 and "--yes" in asked[2], "nobody is there to be asked"
    code, out, _ = said(["registry", "delete", "medical:v1", "-y", "--json", *server], capsys)
    assert code == 0 and json.loads(out) == {"deleted": ["medical:v1"]}
    refused = said(["registry", "restore", "medical:v1", "--dry_run", *server], capsys)
    assert refused[0] == 2 and "API-022" in refused[2]
    for words in (["restore", "medical:v1"], ["delete", "shop", "-y"], ["restore", "shop"]):
        assert said(["registry", *words, *server], capsys)[0] == 0, words
    assert [version.label for version in stocked.composition.registry.show("medical").versions] == [
        "v2",
        "v1",
    ]


def test_pages_hold_every_model_once_here_and_there(
    shared: Running, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor of the workspace is one of its service: both lead to the same page."""
    monkeypatch.setenv("MOZHU_WORKSPACE", str(shared.composition.workspace.root))
    words = ["registry", "list", "--limit", "1", "--json"]
    first = json.loads(said(words, capsys)[1])
    then = json.loads(said([*words, "--cursor", first["next"], "--server", shared.address], capsys)[1])
    assert [model["name"] for page in (first, then) for model in page["items"]] == ["shop", "medical"]
    assert then["next"] is None
    told = said(["registry", "list", "--limit", "1"], capsys)[2]
    assert f"--cursor {first['next']}" in told
    other = said([*words, "--search", "zh", "--cursor", first["next"]], capsys)
    assert other[0] == 2 and json.loads(other[1])["error"]["code"] == "API-010"


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
