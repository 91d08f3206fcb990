"""The files the two wings hand each other: the examples of the contract, what later versions add, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozhu.kernel.errors import BadJson, DamagedRecord, MissingFile
from mozhu.kernel.files import write_bytes, write_json
from mozhu.specs.records.base import Record
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.events import Event
from mozhu.specs.records.manifest import Manifest, make_manifest, manifest_problems
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunSpec
from mozhu.specs.records.snapshot import PreparedRow, RejectedRow, Snapshot

HASH = "sha256:" + "0f" * 32
# The examples of the contract, with whole hashes where it writes "…".
EXAMPLES: dict[str, tuple[type[Record], str]] = {
    "spec": (
        RunSpec,
        """{"schema": 1, "verb": "train", "run": "Qwen2.5-7B-medical-lora-20261121", "created": "2026-11-21T08:00:00Z",
 "fields": {"model": "starter", "dataset": "medical_qa", "train_type": "lora", "lora_rank": 8},
 "origins": {"lora_rank": "preset:lora", "model": "flag"},
 "inputs": [{"role": "base", "ref": "starter:v1", "fingerprint": "sha256:…"},
            {"role": "data", "ref": "medical_qa:v3", "sha256": "sha256:…"}],
 "environment": {"mozhu": "0.1.0", "python": "3.11.7", "lock": "sha256:…"}}""",
    ),
    "step": (
        Event,
        """{"schema": 1, "seq": 41, "t": "2026-11-21T08:00:07.120Z", "kind": "step", "step": 40, "epoch": 0.32,
 "loss": 2.104, "loss_smooth": 2.201, "lr": 0.0002, "grad_norm": 0.81, "tokens": 81920, "tokens_per_s": 5120.0,
 "memory_bytes": 1342177280, "eta_s": 41.5, "rows": ["medical_qa:v3#118"]}""",
    ),
    "finding": (
        Event,
        """{"schema": 1, "seq": 60, "t": "2026-11-21T08:00:09.000Z", "kind": "finding", "level": "warning",
 "code": "TRAIN-021", "params": {"step": 57}}""",
    ),
    "result": (
        Result,
        """{"schema": 1, "state": "succeeded", "artefacts": [{"kind": "adapter", "path": "lora_adapter",
   "manifest": "lora_adapter/manifest.json", "certificate": "lora_adapter/certificate.json"}],
 "metrics": {"perplexity": {"value": 8.31, "low": 7.9, "high": 8.8, "n": 100,
   "signature": "tokens, completion mask"}}, "error": null, "seconds": 74.2, "cpu_seconds": 141.0}""",
    ),
    "manifest": (
        Manifest,
        f"""{{"schema": 1, "files": [{{"path": "adapter_model.safetensors", "size": 1213440, "sha256": "{HASH}"}}],
 "sha256": "{HASH}"}}""",
    ),
    "certificate": (
        Certificate,
        """{"schema": 1, "kind": "merge", "made_from": [{"role": "base", "fingerprint": "sha256:…"},
   {"role": "adapter", "manifest": "sha256:…"}],
 "fingerprint": {"weights": "sha256:…", "tokenizer": "sha256:…", "template": "sha256:…"},
 "checks": [{"name": "max_abs_logit_difference", "value": 1.1e-6, "limit": 1e-4, "ok": true},
            {"name": "adapter_effect", "value": 1.40, "limit": 0.001, "ok": true}],
 "passed": true, "tools": {"mozhu": "0.1.0", "torch": "2.13.0"}}""",
    ),
}
ROW = """{"row_id": "medical_qa:v3#118", "messages": [{"role": "user", "content": "…"},
 {"role": "assistant", "content": "…"}], "source": {"file": "raw.json", "line": 812, "sha256": "sha256:…"}}"""


def holds(found: Any, wanted: Any) -> bool:
    """Whether everything of ``wanted`` is in ``found`` unchanged; defaults may have come on top."""
    if isinstance(wanted, dict):
        return all(name in found and holds(found[name], value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(holds, found, wanted))
    return bool(found == wanted) and type(found) is type(wanted)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_contract_are_read_and_written_unchanged(name: str, tmp_path: Path) -> None:
    kind, content = EXAMPLES[name]
    path = tmp_path / f"{name}.json"
    path.write_text(content, encoding="utf-8")
    record = kind.read(path)
    record.write(path)
    assert holds(json.loads(path.read_text(encoding="utf-8")), json.loads(content))
    assert kind.read(path) == record


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_a_later_version_adds_is_kept(name: str, tmp_path: Path) -> None:
    kind, content = EXAMPLES[name]
    later = {**json.loads(content), "colour": {"of": ["a", 1]}}
    write_json(tmp_path / "record.json", later)
    kind.read(tmp_path / "record.json").write(tmp_path / "again.json")
    assert holds(json.loads((tmp_path / "again.json").read_text(encoding="utf-8")), later)


@pytest.mark.parametrize("name", EXAMPLES)
def test_another_schema_is_refused(name: str, tmp_path: Path) -> None:
    kind, content = EXAMPLES[name]
    write_json(tmp_path / "record.json", {**json.loads(content), "schema": 2})
    with pytest.raises(DamagedRecord) as caught:
        kind.read(tmp_path / "record.json")
    assert caught.value.params["fields"] == ["schema"]


REQUIRED = {
    "spec": ["verb", "run", "created", "fields", "origins"],
    "step": ["seq", "t", "kind"],
    "result": ["state"],
    "manifest": ["files", "sha256"],
    "certificate": ["kind", "checks", "passed"],
}


@pytest.mark.parametrize("name", REQUIRED)
def test_every_missing_field_is_named_at_once(name: str, tmp_path: Path) -> None:
    kind, content = EXAMPLES[name]
    value = {key: item for key, item in json.loads(content).items() if key not in REQUIRED[name]}
    write_json(tmp_path / "record.json", value)
    with pytest.raises(DamagedRecord) as caught:
        kind.read(tmp_path / "record.json")
    assert caught.value.params["fields"] == sorted(REQUIRED[name])
    assert str(tmp_path / "record.json") in caught.value.what


def test_a_record_that_is_not_there_or_torn_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        Result.read(tmp_path / "result.json")
    for content in (b'{"schema": 1, "state": "succ', b"", b"[]", b'"x"', b"null"):
        write_bytes(tmp_path / "result.json", content)
        with pytest.raises((BadJson, DamagedRecord)):
            Result.read(tmp_path / "result.json")


@given(st.lists(st.booleans(), max_size=4), st.booleans())
def test_a_certificate_never_contradicts_itself(checks: list[bool], passed: bool) -> None:
    value = {
        "kind": "merge",
        "checks": [{"name": f"c{i}", "ok": ok} for i, ok in enumerate(checks)],
        "passed": passed,
    }
    if passed == (bool(checks) and all(checks)):
        assert Certificate.model_validate(value).passed == passed
    else:
        with pytest.raises(ValueError, match="contradicts"):
            Certificate.model_validate(value)


def test_a_certificate_that_says_passed_over_a_failed_check_is_refused_as_damaged(tmp_path: Path) -> None:
    value = json.loads(EXAMPLES["certificate"][1])
    value["checks"][1]["ok"] = False
    write_json(tmp_path / "certificate.json", value)
    with pytest.raises(DamagedRecord):
        Certificate.read(tmp_path / "certificate.json")


def test_numbers_that_json_cannot_hold_travel_as_strings(tmp_path: Path) -> None:
    result = Result(state="succeeded", metrics={"loss": {"value": float("nan"), "high": float("inf")}})  # type: ignore[dict-item]
    result.write(tmp_path / "result.json")
    assert '"nan"' in (tmp_path / "result.json").read_text(encoding="utf-8")
    again = Result.read(tmp_path / "result.json")
    assert (again.metrics["loss"].value, again.metrics["loss"].high) == ("nan", "inf")


# ---------------------------------------------------------------- manifests
@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    for name, content in {
        "weights.bin": b"w" * 100,
        "sub/说明.md": "说明".encode(),
        "config.json": b"{}",
    }.items():
        write_bytes(tmp_path / "artefact" / name, content)
    return tmp_path / "artefact"


def test_a_manifest_lists_every_file_but_itself_and_the_certificate(artefact: Path) -> None:
    manifest = make_manifest(artefact)
    manifest.write(artefact / "manifest.json")
    write_json(artefact / "certificate.json", {})
    assert [file.path for file in manifest.files] == ["config.json", "sub/说明.md", "weights.bin"]
    assert manifest_problems(artefact, Manifest.read(artefact / "manifest.json")) == []
    assert make_manifest(artefact).sha256 == manifest.sha256


def test_every_difference_from_a_manifest_is_found(artefact: Path) -> None:
    manifest = make_manifest(artefact)
    write_bytes(artefact / "weights.bin", b"w" * 99 + b"x")
    write_bytes(artefact / "config.json", b"{ }")
    (artefact / "sub/说明.md").unlink()
    write_bytes(artefact / "new.txt", b"")
    assert sorted((problem[0], problem[1]) for problem in manifest_problems(artefact, manifest)) == [
        ("config.json", "size"),
        ("new.txt", "extra"),
        ("sub/说明.md", "missing"),
        ("weights.bin", "sha256"),
    ]
    assert make_manifest(artefact).sha256 != manifest.sha256


def test_equal_content_has_an_equal_manifest(artefact: Path, tmp_path: Path) -> None:
    for file in make_manifest(artefact).files:
        write_bytes(tmp_path / "copy" / file.path, (artefact / file.path).read_bytes())
    assert make_manifest(tmp_path / "copy") == make_manifest(artefact)


# ---------------------------------------------------------------- rows
def test_the_example_row_is_a_prepared_row() -> None:
    row = PreparedRow.model_validate_json(ROW)
    assert holds(json.loads(row.model_dump_json()), json.loads(ROW))


def test_a_prepared_row_holds_something_to_learn() -> None:
    value = json.loads(ROW)
    del value["messages"]
    with pytest.raises(ValueError, match="messages or text"):
        PreparedRow.model_validate(value)
    assert PreparedRow.model_validate({**value, "text": "…"}).text == "…"


def test_a_rejected_row_says_where_and_why() -> None:
    names = ("file", "line", "field", "code", "excerpt", "fix")
    value: dict[str, Any] = {**dict.fromkeys(names, "x"), "line": 3}
    assert RejectedRow.model_validate(value).params == {}
    for name in names:
        with pytest.raises(ValueError, match=name):
            RejectedRow.model_validate({key: item for key, item in value.items() if key != name})


def test_a_snapshot_names_its_parts() -> None:
    part = {"path": "a_train.jsonl", "rows": 8, "sha256": HASH}
    value = {"name": "a", "created": "2026-11-21T08:00:00Z", "parts": {"train": part}, "sha256": HASH}
    assert Snapshot.model_validate(value).parts["train"].rows == 8
    with pytest.raises(ValueError, match="sha256"):
        Snapshot.model_validate({**value, "sha256": "abc"})
