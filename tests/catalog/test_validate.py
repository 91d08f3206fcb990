"""Planted faults: each one is found, with its file, and none is invented."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path

import pytest
from registry_artefacts import (
    certify,
    write_adapter,
    write_gguf,
    write_json,
    write_model,
    write_run,
    write_safetensors,
)

from mozhu.kernel.errors import MissingFile, VersionFailed
from mozhu.kernel.gguf import CODES as GGUF_CODES
from mozhu.kernel.safetensors import CODES
from mozhu.kernel.texts import LANGUAGES, page_texts, set_language
from mozhu.platform import catalog
from mozhu.specs.records.manifest import Manifest, make_manifest, manifest_problems

WEIGHTS = "model.safetensors"


@pytest.fixture
def engine() -> str:
    """What is wrong with files is found without the database: one engine is enough here."""
    return "sqlite"


def found(report) -> set[tuple[str, str]]:  # type: ignore[no-untyped-def]
    return {(problem.file, problem.code) for problem in report.errors}


def test_whole_artefacts_have_no_errors(registry, tmp_path):
    model = write_model(tmp_path / "model")
    run = write_run(tmp_path / "run")
    gguf = write_gguf(tmp_path / "g" / "m.gguf")
    for place in (model, run, run / "lora_adapter", gguf, gguf.parent):
        report = registry.validate(place)
        assert (report.is_whole, report.exit_code) == (True, 0), report.errors
    assert registry.validate(run).certified and not registry.validate(model).certified


@pytest.mark.parametrize("where", ["header", "first", "middle", "last"])
def test_one_flipped_bit_is_found_by_the_manifest(registry, tmp_path, where):
    folder = write_model(tmp_path / "m")
    make_manifest(folder).write(folder / "manifest.json")
    content = bytearray((folder / WEIGHTS).read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    place = {"header": 20, "first": start, "middle": (start + len(content)) // 2, "last": -1}[where]
    content[place] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    report = registry.validate(folder)
    assert (WEIGHTS, "sha256") in found(report) and report.exit_code == 3


@pytest.mark.parametrize("keep", [0, 4, 8, 60, -1, -64])
def test_a_truncated_safetensors_file_is_found_without_a_manifest(registry, tmp_path, keep):
    folder = write_model(tmp_path / "m")
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:keep])
    report = registry.validate(folder)
    assert [problem.file for problem in report.errors] == [WEIGHTS] and not report.is_whole


def _damage_header(path: Path, header: object, data: bytes) -> None:
    head = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head + data)


def test_a_header_that_contradicts_itself_is_found(registry, tmp_path):
    good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    bad = {
        "tensor_size": [{"a": {**good, "data_offsets": [0, 4]}}],
        "tensor_overlap": [{"a": good, "b": {**good, "data_offsets": [4, 12]}}],
        "tensor_gap": [{"a": good, "b": {**good, "data_offsets": [9, 17]}}],
        "tensor_dtype": [{"a": {**good, "dtype": "X9"}}],
        "tensor_entry": [{"a": {**good, "shape": [-2]}}, {"a": 3}, {"a": {}}],
        "header_json": [[], "x"],
        "bytes_left": [{}],
    }
    folder = write_model(tmp_path / "m")
    for code, headers in bad.items():
        for header in headers:
            _damage_header(folder / WEIGHTS, header, b"\0" * 17)
            assert (WEIGHTS, f"safetensors_{code}") in found(registry.validate(folder)), header


def test_every_fault_of_a_header_is_told_and_a_cut_file_is_one(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    beyond = {"dtype": "F32", "shape": [2], "data_offsets": [96, 104]}
    faults = {name: {"dtype": "Q4"} | {"shape": [1], "data_offsets": [0, 4]} for name in ("a", "b")}
    _damage_header(folder / WEIGHTS, {**faults, "c": 3, "d": beyond, "e": beyond}, b"\0" * 8)
    errors = registry.validate(folder).errors
    assert [(error.code, error.params["tensor"]) for error in errors] == [
        ("safetensors_tensor_dtype", "a"),
        ("safetensors_tensor_dtype", "b"),
        ("safetensors_tensor_entry", "c"),
        ("safetensors_tensor_range", "d"),
    ]
    assert (errors[-1].params["count"], errors[-1].params["needed"]) == (2, 104)


def test_all_problems_come_in_one_pass(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    certify(folder, ok=False)
    (folder / "tokenizer.json").unlink()
    (folder / "config.json").write_text("{", encoding="utf-8")
    (folder / "later.txt").write_text("x")
    write_safetensors(folder / WEIGHTS, {"other.weight": (3, 3)})
    report = registry.validate(folder)
    assert found(report) >= {
        ("tokenizer.json", "no_tokenizer"),
        ("tokenizer.json", "missing"),
        ("config.json", "json"),
        ("config.json", "size"),
        (WEIGHTS, "size"),
        ("certificate.json", "check_failed"),
    }
    assert ("later.txt", "extra") in {(problem.file, problem.code) for problem in report.warnings}


def test_shards_are_held_against_their_index(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / WEIGHTS).unlink()
    names = [f"model-0000{number}-of-00003.safetensors" for number in (1, 2, 3)]
    write_safetensors(folder / names[0], {"a": (2, 2)})
    write_safetensors(folder / names[1], {"b": (2, 2)})
    index = {"weight_map": {"a": names[0], "b": names[1], "gone": names[1], "c": names[2]}}
    assert found(registry.validate(folder)) == {("model.safetensors.index.json", "no_index")}
    write_json(folder / "model.safetensors.index.json", index)
    assert found(registry.validate(folder)) == {(names[1], "tensors_missing"), (names[2], "missing")}


def test_an_adapter_is_held_against_its_settings(registry, tmp_path):
    folder = write_adapter(tmp_path / "a", rank=4)
    write_json(
        folder / "adapter_config.json", {"peft_type": "LORA", "r": 8, "base_model_name_or_path": "starter"}
    )
    assert found(registry.validate(folder)) == {("adapter_model.safetensors", "rank")}
    (folder / "base.json").unlink()
    write_json(folder / "adapter_config.json", {"peft_type": "LORA", "r": 4})
    assert found(registry.validate(folder)) == {("adapter_config.json", "no_base")}


def test_pickled_weights_are_never_opened(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    bomb = b"cos\nmkdir\n(S'" + str(tmp_path / "opened").encode() + b"'\ntR."
    (folder / "pytorch_model.bin").write_bytes(bomb)
    assert registry.validate(folder).is_whole
    (folder / WEIGHTS).unlink()
    assert ("pytorch_model.bin", "pickle") in found(registry.validate(folder))
    assert not (tmp_path / "opened").exists()


@pytest.mark.parametrize("keep", [3, 8, 30, 60, 100, -1])
def test_a_truncated_gguf_file_is_found(registry, tmp_path, keep):
    path = write_gguf(tmp_path / "m.gguf")
    path.write_bytes(path.read_bytes()[:keep])
    assert {problem.file for problem in registry.validate(path).errors} == {"m.gguf"}


def test_a_manifest_cannot_point_out_of_its_folder(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    manifest = make_manifest(folder)
    manifest.files[0].path = "../secret"
    manifest.write(folder / "manifest.json")
    assert {("../secret", "outside"), ("manifest.json", "manifest_sha256")} <= found(
        registry.validate(folder)
    )


@pytest.mark.skipif(os.name == "nt", reason="links")
def test_a_link_to_a_file_that_is_gone_is_found(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / WEIGHTS).rename(tmp_path / "blob")
    (folder / WEIGHTS).symlink_to(tmp_path / "blob")
    assert registry.validate(folder).is_whole
    (tmp_path / "blob").unlink()
    assert (WEIGHTS, "dangling") in found(registry.validate(folder))


def test_a_damaged_version_fails_and_comes_back_when_it_is_repaired(registry, tmp_path):
    reference = registry.register(write_run(tmp_path / "run"), copy=True).version.reference
    weights = registry.resolve(reference) / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    report = registry.validate(reference)
    assert (report.exit_code, report.state) == (3, "failed")
    with pytest.raises(VersionFailed):
        registry.resolve(reference)
    weights.write_bytes(whole)
    assert registry.validate(reference).state == "ready" and registry.resolve(reference).is_dir()


def test_a_person_may_write_the_readme_of_a_version(registry, tmp_path):
    reference = registry.register(write_run(tmp_path / "run")).version.reference
    (registry.resolve(reference) / "README.md").write_text("my notes", encoding="utf-8")
    assert registry.validate(reference).is_whole


def test_what_the_registry_writes_beside_a_version_is_no_difference_to_its_manifest(registry, tmp_path):
    place = registry.resolve(registry.register(write_run(tmp_path / "run"), copy=True).version.reference)
    manifest = Manifest.read(place / "manifest.json")
    assert (place / "registration.json").is_file() and (place / "README.md").is_file()
    assert manifest_problems(place, manifest) == []
    (place / "sub").mkdir()
    (place / "sub" / "README.md").write_text("not the registry's")
    (place / "base.json").write_text("{}")
    (place / "adapter_config.json").unlink()
    different = {(path, code) for path, code, _ in manifest_problems(place, manifest)}
    assert different == {
        ("sub/README.md", "extra"),
        ("base.json", "size"),
        ("adapter_config.json", "missing"),
    }


def test_a_listed_readme_is_held_against_its_hash(tmp_path):
    folder = write_model(tmp_path / "m")
    (folder / "README.md").write_text("one")
    manifest = make_manifest(folder)
    (folder / "README.md").write_text("two")
    [(path, code, params)] = manifest_problems(folder, manifest)
    assert (path, code) == ("README.md", "sha256") and params["expected"] != params["found"]
    assert manifest_problems(folder, manifest, hashes=False) == []


def test_a_place_that_is_not_there_is_said_so(registry):
    with pytest.raises(MissingFile):
        registry.validate("no/such/place")


def test_every_problem_has_words_in_both_languages():
    sources = [path.read_text(encoding="utf-8") for path in Path(catalog.__file__).parent.glob("*.py")]
    pattern = r"(?:fault|remark)\([^,()]*(?:\([^()]*\))?[^,()]*, \"(\w+)\""
    codes = {code for source in sources for code in re.findall(pattern, source)}
    codes |= {f"safetensors_{code}" for code in CODES}
    codes |= {f"gguf_{code}" for code in GGUF_CODES}
    assert len(codes) > 35
    for lang in LANGUAGES:
        assert {f"problem.{code}" for code in codes} <= set(page_texts(lang, "registry"))


def test_a_report_reads_well_in_both_languages(registry, tmp_path):
    folder = write_model(tmp_path / "m")
    certify(folder, ok=False)
    (folder / WEIGHTS).write_bytes(b"")
    report = registry.validate(folder)
    for lang in LANGUAGES:
        set_language(lang)
        try:
            assert all("{" not in problem.line() for problem in report.problems)
        finally:
            set_language(None)
