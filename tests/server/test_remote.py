"""`--server URL`: the same commands, the same words and exit codes, asked of a service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from registry_artefacts import write_run
from registry_snapshots import write_snapshot
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
    ["registry", "list", "--visibility", "everyone"],
    ["registry", "report", "medical:v1"],
    ["registry", "copy", "nothing", "--to", "mine"],
    ["datasets", "list"],
    ["datasets", "list", "--kind", "sft", "--tag", "zh", "--sort", "name", "--json"],
    ["datasets", "list", "--trash"],
    ["datasets", "delete", "nothing", "--dry_run"],
    ["datasets", "edit", "nothing"],
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


# As above, of data sets.
DATA_CHANGES = [
    ["list", "--search", "医", "--json"],
    ["show", "medical_qa"],
    ["show", "medical_qa", "--row", "1"],
    ["validate", "medical_qa:v1"],
    ["edit", "medical_qa", "--description", "门诊", "--licence", "cc-by", "--visibility", "team"],
    ["edit", "medical_qa:v1", "--notes", "第一版", "--tags", "er,zh"],
    ["share", "medical_qa", "--whom", "team:vision", "--right", "use"],
    ["alias", "medical_qa:v1", "--alias", "best"],
    ["delete", "medical_qa", "--dry_run"],
]


def test_data_sets_of_a_service_are_kept_as_those_of_a_workspace(
    stocked: Running,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    datasets, server = stocked.composition.datasets, ["--server", stocked.address]
    datasets.register(write_snapshot(tmp_path / "data", rows=6), tags=("医疗",))
    for words in DATA_CHANGES:
        there = said(["datasets", *words, *server], capsys)
        assert there[0] == 0 and said(["datasets", *words], capsys) == there, words
    detail = datasets.show("medical_qa@best")
    assert (detail.dataset.licence, detail.dataset.visibility) == ("cc-by", "team")
    assert (detail.chosen.notes, detail.chosen.tags) == ("第一版", ("er", "zh"))
    assert datasets.shares("medical_qa") == (("team:vision", "use"),)
    for group, name in (("datasets", "medical_qa:v1"), ("registry", "medical:v2")):
        code, out, _ = said([group, "copy", name, "--to", "mine", "--json", *server], capsys)
        assert code == 0 and json.loads(out)["copies"] == [f"mine:{name[-2:]}"]
        taken = said([group, "copy", name, "--to", "mine"], capsys)
        assert taken[0] == 5 and "REG-026" in taken[2]
        asked = said([group, "delete", "mine", *server], capsys)
        assert asked[0] == 2 and f"{group} delete" in asked[2], "nobody is there to be asked"
        gone = said([group, "delete", "mine", "-y", *server], capsys)
        assert gone[0] == 0 and f"mozhu {group} restore mine" in gone[1]
        listed = said([group, "list", "--trash", "--json", *server], capsys)
        assert [item["name"] for item in json.loads(listed[1])["items"]] == ["mine"]
        assert said([group, "restore", "mine", *server], capsys)[0] == 0


def test_the_report_of_a_run_is_attached_here_or_there(
    stocked: Running,
    workspace: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MOZHU_WORKSPACE", str(workspace))
    run = write_run(tmp_path / "another")
    (run / "report.html").write_text("<p>曲线</p>", encoding="utf-8")
    words = ["registry", "report", "medical:v2", "--run", str(run)]
    there = said([*words, "--server", stocked.address], capsys)
    assert there[0] == 0 and "perplexity 8.31" in there[1] and said(words, capsys) == there
    (report,) = stocked.composition.reports.page(of="medical:v2").items
    assert b"".join(stocked.composition.reports.html(report)).decode() == "<p>曲线</p>"


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
