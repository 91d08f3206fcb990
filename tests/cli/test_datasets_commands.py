"""The registry of data sets as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typed import Mozhu, tree

from mozhu.kernel.texts import LANGUAGES

ROWS = [
    {"instruction": f"question number {number}?", "output": f"answer number {number}."}
    for number in range(1, 21)
]


@pytest.fixture
def raw(own_workspace: Path) -> Path:
    path = own_workspace / "raw.json"
    path.write_text(json.dumps(ROWS), encoding="utf-8")
    return path


@pytest.fixture
def registered(mozhu: Mozhu, raw: Path) -> Path:
    places = ("--input", "raw.json", "--output_dir", "data/m", "--output_name", "qa")
    said = mozhu("data", "prepare", *places, "--register_as", "medical_qa", "--json")
    assert said.code == 0, said.err
    assert said.json()["registered"]["version"]["reference"] == "medical_qa:v1"
    return Path.cwd() / "5_models" / "datasets" / "medical_qa" / "v1"


def test_prepare_registers_and_says_how_it_is_used(mozhu: Mozhu, raw: Path) -> None:
    words = (
        "data",
        "prepare",
        "--input",
        "raw.json",
        "--output_dir",
        "data/m",
        "--register_as",
        "medical_qa",
    )
    said = mozhu(*words, "--quiet")
    assert said.code == 0, said.err
    assert "medical_qa:v1" in said.out and "--dataset medical_qa:v1" in said.out
    again = mozhu(*words, "--quiet")
    assert again.code == 0 and "medical_qa:v2" not in again.out


def test_a_detached_preparation_cannot_register(mozhu: Mozhu, raw: Path, own_workspace: Path) -> None:
    said = mozhu("data", "prepare", "--input", "raw.json", "--register_as", "m", "--detach")
    assert said.code == 2 and "--detach" in said.err
    assert not (own_workspace / "6_output").exists()


def test_the_list_has_size_and_records_and_filters_by_state(mozhu: Mozhu, registered: Path) -> None:
    (found,) = mozhu("datasets", "list", "--state", "ready", "--json").json()["items"]
    newest = found["newest"]
    assert (newest["row_count"], newest["state"]) == (20, "ready") and newest["size_bytes"] > 1000
    assert "medical_qa" in mozhu("datasets", "list").out
    assert mozhu("datasets", "list", "--state", "failed", "--json").json() == {"items": [], "next": None}
    for filters, names in ((("--kind", "sft"), ["medical_qa"]), (("--kind", "kto"), [])):
        shown = mozhu("datasets", "list", *filters, "--json").json()["items"]
        assert [item["name"] for item in shown] == names
    assert mozhu("datasets", "list", "--state", "perfect").code == 2
    assert mozhu("datasets", "list", "--search", "nothing").code == 0


@pytest.mark.parametrize("lang", LANGUAGES)
def test_show_tells_parts_recipe_sources_card_and_history(mozhu: Mozhu, registered: Path, lang: str) -> None:
    said = mozhu("datasets", "show", "medical_qa", "--lang", lang)
    assert said.code == 0, said.err
    for expected in ("qa_train.jsonl", "train_share: 0.8", "raw.json", "card.md", "sha256:", "medical_qa:v1"):
        assert expected in said.out
    assert "{" not in said.out.replace("{}", "")


def test_a_row_is_shown_with_its_original_file_and_line(mozhu: Mozhu, registered: Path) -> None:
    for asked in ("7", "medical_qa:v1#7"):
        said = mozhu("datasets", "show", "medical_qa:v1", "--row", asked)
        assert said.code == 0 and "question number 7?" in said.out and "raw.json:" in said.out
    assert (
        mozhu("datasets", "show", "medical_qa", "--row", "7", "--json").json()["row_id"] == "medical_qa:v1#7"
    )
    missing = mozhu("datasets", "show", "medical_qa", "--row", "99")
    assert missing.code == 3 and "DATA-030" in missing.err


def test_a_changed_byte_is_found_named_and_stops_every_use(mozhu: Mozhu, registered: Path) -> None:
    assert mozhu("datasets", "validate", "medical_qa:v1").code == 0
    part = registered / "qa_test.jsonl"
    part.chmod(0o640)
    part.write_bytes(part.read_bytes().replace(b"answer", b"Answer", 1))
    said = mozhu("datasets", "validate", "medical_qa:v1")
    assert said.code == 3 and "qa_test.jsonl" in said.out
    assert mozhu("datasets", "validate", str(registered), "--json").json()["state"] == "failed"
    refused = mozhu("data", "check", "--dataset", "medical_qa")
    assert (
        refused.code == 5
        and "REG-014" in refused.err
        and "mozhu datasets validate medical_qa:v1" in refused.err
    )


def test_raw_data_is_refused_with_the_command_to_type(mozhu: Mozhu, raw: Path) -> None:
    said = mozhu("datasets", "register", "raw.json")
    assert said.code == 3 and "mozhu data prepare --input" in said.err and "REG-012" in said.err
    assert mozhu("datasets", "register").code == 2


def test_a_dry_run_and_reading_write_nothing(mozhu: Mozhu, registered: Path, own_workspace: Path) -> None:
    mozhu("datasets", "list")  # whatever the database leaves beside itself is there now
    before = {path: content for path, content in tree(own_workspace).items() if "catalog.db" not in path}
    said = mozhu("datasets", "register", "data/m", "--name", "other", "--dry_run")
    assert said.code == 0, said.err
    for words in (("list",), ("show", "medical_qa"), ("validate", "data/m"), ("show", "unknown")):
        mozhu("datasets", *words)
    after = {path: content for path, content in tree(own_workspace).items() if "catalog.db" not in path}
    assert after == before and mozhu("datasets", "show", "other").code == 3


def test_rescan_rebuilds_the_rows_of_data_sets(mozhu: Mozhu, registered: Path, own_workspace: Path) -> None:
    before = mozhu("datasets", "list", "--json").json()
    for path in (own_workspace / "5_models").glob("catalog.db*"):
        path.unlink()
    assert mozhu("datasets", "list", "--json").json()["items"] == []
    assert mozhu("registry", "rescan", "--json").json()["datasets"]["added"] == ["medical_qa:v1"]
    assert mozhu("datasets", "list", "--json").json() == before


def test_a_reference_is_read_with_the_ids_of_its_version(mozhu: Mozhu, registered: Path) -> None:
    pytest.importorskip("torch")
    (number,) = [
        json.loads(line)["row_id"].rpartition("#")[2]
        for line in (registered / "qa_validation.jsonl").read_text(encoding="utf-8").splitlines()[:1]
    ]
    row = f"medical_qa:v1#{number}"
    said = mozhu("data", "preview", "--model", "starter", "--dataset", "medical_qa:v1", "--row", row)
    assert said.code == 0, said.err
    assert row in said.out and "raw.json" in said.out


def test_a_data_set_is_described_put_away_and_taken_back(mozhu: Mozhu, registered: Path) -> None:
    edited = mozhu("datasets", "edit", "medical_qa", "--description", "门诊", "--licence", "cc-by")
    assert edited.code == 0 and mozhu("datasets", "edit", "medical_qa").code == 2
    shown = mozhu("datasets", "show", "medical_qa").out
    assert "门诊" in shown and "cc-by" in shown and "sft" in shown
    assert mozhu("datasets", "list", "--search", "门诊", "--json").json()["items"][0]["name"] == "medical_qa"
    last = mozhu("datasets", "delete", "medical_qa:v1", "--yes")
    assert last.code == 5 and "mozhu datasets delete medical_qa" in last.err
    assert mozhu("datasets", "delete", "medical_qa", "--dry_run", "--json").json() == {
        "would_delete": ["medical_qa:v1"]
    }
    assert mozhu("datasets", "delete", "medical_qa").code == 2
    gone = mozhu("datasets", "delete", "medical_qa", "--yes")
    assert gone.code == 0 and "mozhu datasets restore medical_qa" in gone.out
    assert mozhu("datasets", "show", "medical_qa").code == 3
    assert mozhu("datasets", "restore", "medical_qa").code == 0
    assert mozhu("datasets", "show", "medical_qa").code == 0
