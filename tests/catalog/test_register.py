"""What a person relies on when something is registered."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from registry_artefacts import certify, sealed, write_adapter, write_gguf, write_json, write_model, write_run

from mozhu.kernel.errors import (
    BadName,
    DamagedArtefact,
    FailedCertificate,
    MissingFile,
    NothingToRegister,
    PlaceTaken,
    RunWithoutArtefact,
    UnknownReference,
    VersionTaken,
)
from mozhu.platform.catalog.service import Registry, find_reference
from mozhu.specs.records.manifest import ManifestFile, make_manifest
from mozhu.specs.records.sidecars import SIDECARS, ModelInfo

SEED_INFO_KEYS = [
    "model_name",
    "base_model",
    "model_type",
    "task",
    "version",
    "created_time",
    "training_dataset",
    "training_steps",
    "performance",
    "file_size",
    "checksum",
    "tags",
    "description",
]


def test_a_run_becomes_a_ready_version_with_the_four_sidecars_of_seed_000(registry, workspace, tmp_path):
    done = registry.register(write_run(tmp_path / "run"), tags=("medical", "qa"), description="一句说明")
    version = done.version
    assert (version.reference, version.state, version.kind) == (
        "starter-medical-lora-20261121:v1",
        "ready",
        "adapter",
    )
    assert version.path == "finetuned/lora/starter-medical-lora-20261121/v1"
    folder = registry.resolve(version.reference)
    assert all((folder / name).is_file() for name in SIDECARS)
    info = json.loads((folder / "model_info.json").read_text(encoding="utf-8"))
    assert list(info) == SEED_INFO_KEYS
    assert (info["base_model"], info["task"], info["training_dataset"]) == (
        "starter",
        "medical",
        "medical_qa:v3",
    )
    assert (info["training_steps"], info["performance"]) == (40, {"perplexity": 8.31})
    assert (info["tags"], info["created_time"]) == (["medical", "qa"], "2026-11-21T08:00:00Z")
    assert json.loads((folder / "training_config.json").read_text())["fields"]["dataset"] == "medical_qa"
    assert registry.validate(version.reference).is_whole


def test_the_same_content_again_changes_nothing_and_names_its_version(registry, tmp_path, files_of):
    run = write_run(tmp_path / "run")
    first = registry.register(run)
    before, rows = files_of(registry.models / "finetuned"), registry.fingerprint()
    again = registry.register(run)
    assert again.already and again.version == first.version
    assert registry.register(registry.resolve("starter-medical-lora-20261121")).already
    assert (files_of(registry.models / "finetuned"), registry.fingerprint()) == (before, rows)


def test_a_version_outlives_the_run_and_later_edits_of_it(registry, tmp_path):
    run = write_run(tmp_path / "run")
    reference = registry.register(run).version.reference
    write_json(run / "lora_adapter" / "adapter_config.json", {})
    shutil.rmtree(run)
    assert registry.validate(reference).is_whole


def test_weights_are_linked_on_one_file_system_and_copied_when_asked(registry, tmp_path):
    run = write_run(tmp_path / "run")
    weights = run / "lora_adapter" / "adapter_model.safetensors"
    linked = registry.register(run, name="linked").version
    copied = registry.register(run, name="copied", copy=True).version
    assert (registry.models / linked.path / weights.name).stat().st_ino == weights.stat().st_ino
    assert (registry.models / copied.path / weights.name).stat().st_ino != weights.stat().st_ino
    assert (registry.models / linked.path / "adapter_config.json").stat().st_nlink == 1


def test_versions_count_on_in_the_style_of_the_last_one(registry, tmp_path):
    labels = []
    for seed, version in enumerate([None, None, "v1.0.0", None, "v2.1", None]):
        labels.append(registry.register(write_run(tmp_path / str(seed), seed), version=version).version.label)
    assert labels == ["v1", "v2", "v1.0.0", "v1.0.1", "v2.1", "v2.2"]
    assert registry.show("starter-medical-lora-20261121@latest").chosen.label == "v2.2"


def test_a_taken_version_is_refused_and_nothing_is_written(registry, tmp_path, files_of):
    registry.register(write_run(tmp_path / "a"), version="v1")
    before = files_of(registry.models / "finetuned")
    with pytest.raises(VersionTaken) as refused:
        registry.register(write_run(tmp_path / "b", 1), version="v1")
    assert "v1" in str(refused.value) and files_of(registry.models / "finetuned") == before


def test_a_folder_of_5_models_is_registered_where_it_lies(registry, tmp_path):
    folder = write_adapter(registry.models / "finetuned" / "lora" / "my_model")
    inode = (folder / "adapter_model.safetensors").stat().st_ino
    version = registry.register(folder).version
    assert (version.reference, version.path, version.state) == (
        "my_model:v1",
        "finetuned/lora/my_model",
        "checking",
    )
    assert (folder / "adapter_model.safetensors").stat().st_ino == inode
    second = registry.register(write_adapter(tmp_path / "elsewhere", 1), name="my_model").version
    assert second.path == "finetuned/lora/my_model-v2"
    assert registry.validate("my_model:v1").is_whole and registry.validate("my_model:v2").is_whole


def test_a_registered_folder_is_not_registered_over(registry):
    folder = write_adapter(registry.models / "finetuned" / "lora" / "my_model")
    registry.register(folder)
    with pytest.raises(PlaceTaken):
        registry.register(folder, name="another")


def test_existing_sidecars_are_kept_and_their_version_is_updated(registry, tmp_path):
    info = ModelInfo(
        model_name="Qwen2.5-7B-medical-lora",
        base_model="Qwen/Qwen2.5-7B-Instruct",
        model_type="lora",
        task="medical_qa",
        version="v1.0.0",
        created_time="2024-10-14T10:00:00Z",
        training_dataset="medical_qa_dataset",
        training_steps=1000,
        performance={"bleu": 0.75, "rouge-l": 0.68, "f1": 0.72},
        file_size="15.2GB",
        checksum="sha256:abc123...",
        tags=["medical", "qa", "chinese"],
        description="基于Qwen2.5-7B的医疗问答LoRA微调模型",
    )
    for seed in (0, 1):
        folder = write_adapter(tmp_path / str(seed), seed)
        info.write(folder / "model_info.json")
        (folder / "README.md").write_text("mine", encoding="utf-8")
        write_json(folder / "training_config.json", {"mine": seed})
        registry.register(folder)
    versions = registry.show("Qwen2.5-7B-medical-lora").versions
    assert [version.label for version in versions] == ["v1.0.1", "v1.0.0"]
    kept = ModelInfo.read(registry.resolve("Qwen2.5-7B-medical-lora") / "model_info.json")
    changed = {"version": "v1.0.1", "file_size": kept.file_size, "checksum": versions[0].checksum}
    assert kept == info.model_copy(update=changed)
    assert (registry.resolve("Qwen2.5-7B-medical-lora") / "README.md").read_text() == "mine"
    assert json.loads((registry.resolve("Qwen2.5-7B-medical-lora") / "training_config.json").read_text()) == {
        "mine": 1
    }


@pytest.mark.parametrize(
    ("family", "room"),
    [("qwen2", "pretrained/qwen"), ("llama", "pretrained/llama"), ("gemma", "pretrained/custom")],
)
def test_a_plain_model_lies_under_its_family_and_stays_checking(registry, tmp_path, family, room):
    version = registry.register(write_model(tmp_path / "Some-7B-Chat", model_type=family)).version
    assert (version.path, version.state) == (f"{room}/Some-7B-Chat/v1", "checking")


def test_a_model_becomes_ready_when_a_passing_certificate_comes(registry, tmp_path):
    version = registry.register(write_model(tmp_path / "m")).version
    certify(registry.resolve("m"))
    report = registry.validate("m")
    assert (version.state, report.state, registry.show("m").chosen.state) == ("checking", "ready", "ready")
    assert [line.what for line in registry.show("m").history] == ["version.ready", "version.registered"]


def test_a_gguf_file_is_registered_by_itself(registry, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "private.txt").write_text("not part of it")
    version = registry.register(write_gguf(tmp_path / "downloads" / "tiny-q8_0.gguf")).version
    assert (version.kind, version.path) == ("gguf", "pretrained/llama/tiny-q8_0/v1")
    assert not (registry.resolve("tiny-q8_0") / "private.txt").exists()
    assert registry.validate("tiny-q8_0").is_whole


def test_a_gguf_file_brings_its_own_certificate(registry, tmp_path):
    path = write_gguf(tmp_path / "out" / "tiny-q8_0.gguf")
    write_gguf(tmp_path / "out" / "other.gguf", seed=1)
    own = sealed("gguf", [ManifestFile.of(path.parent, path)])
    own.write(path.parent / "tiny-q8_0.certificate.json")
    assert registry.register(path).version.state == "ready"
    assert registry.validate("tiny-q8_0").is_whole
    assert registry.register(path.parent / "other.gguf").version.state == "checking"


def test_a_trained_artefact_with_sidecars_in_its_manifest_stays_whole(registry, tmp_path):
    """Training writes the sidecars first and lists them; registration changes them and nothing else."""
    run = write_run(tmp_path / "run")
    (run / "lora_adapter" / "README.md").write_text("card", encoding="utf-8")
    (run / "lora_adapter" / "manifest.json").unlink()
    version = registry.register(run, name="m").version
    adapter = registry.resolve("m")
    trained = tmp_path / "trained"
    shutil.copytree(adapter, trained)
    (trained / "registration.json").unlink()
    make_manifest(trained).write(trained / "manifest.json")
    again = registry.register(trained, name="other", task="changed").version
    assert (again.checksum, again.state) == (version.checksum, "ready")
    assert registry.validate("other").is_whole and registry.resolve("other") != adapter


def test_a_left_over_folder_of_other_content_is_passed_by(registry, tmp_path, files_of):
    registry.register(write_run(tmp_path / "a"), name="m")
    left = registry.models / "finetuned" / "lora" / "m" / "v2"
    write_adapter(left, 7)
    before = files_of(left)
    with pytest.raises(PlaceTaken):
        registry.register(write_run(tmp_path / "b", 1), name="m", version="v2")
    assert registry.register(tmp_path / "b", name="m").version.label == "v3"
    assert files_of(left) == before


def test_a_checkpoint_is_registered_without_the_state_of_its_trainer(registry, tmp_path):
    run = write_run(tmp_path / "run")
    checkpoint = write_adapter(run / "checkpoint-40", 3)
    for name in ("optimizer.pt", "rng_state.pth", "training_args.bin", "trainer_state.json"):
        (checkpoint / name).write_bytes(b"{}")
    version = registry.register(checkpoint).version
    assert (version.name, version.state) == ("starter-medical-lora-20261121", "checking")
    names = {path.name for path in registry.resolve(version.reference).iterdir()}
    assert "adapter_model.safetensors" in names and not {"optimizer.pt", "trainer_state.json"} & names


def test_a_failing_certificate_is_refused_with_its_checks(registry, tmp_path):
    with pytest.raises(FailedCertificate) as refused:
        registry.register(write_run(tmp_path / "run", ok=False))
    assert "adapter_effect" in str(refused.value) and registry.list_models() == []


def test_a_damaged_artefact_is_refused_with_every_problem(registry, tmp_path):
    run = write_run(tmp_path / "run")
    weights = run / "lora_adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    (run / "lora_adapter" / "base.json").unlink()
    with pytest.raises(DamagedArtefact) as refused:
        registry.register(run)
    assert "adapter_model.safetensors" in str(refused.value) and "base.json" in str(refused.value)
    assert not (registry.models / "finetuned").exists()


def test_what_is_no_model_is_refused_by_name(registry, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(NothingToRegister):
        registry.register(tmp_path / "photos")
    with pytest.raises(MissingFile):
        registry.register(tmp_path / "nowhere")
    with pytest.raises(RunWithoutArtefact):
        registry.register(write_run(tmp_path / "run", state="failed"))
    for name in ("../escape", "a:b", "a@b"):
        with pytest.raises(BadName):
            registry.register(write_model(tmp_path / f"m{ord(name[1])}"), name=name)


def test_a_model_type_in_a_foreign_sidecar_cannot_lead_out_of_the_tree(registry, tmp_path):
    folder = registry.resolve(registry.register(write_adapter(tmp_path / "a")).version.reference)
    foreign = tmp_path / "foreign"
    shutil.copytree(write_adapter(tmp_path / "b", 1), foreign)
    info = ModelInfo.read(folder / "model_info.json").model_copy(update={"model_type": "../../../out"})
    info.write(foreign / "model_info.json")
    assert registry.register(foreign).version.path == "finetuned/lora/a/v2"


def test_references_name_versions_and_leave_other_words_alone(registry, workspace, tmp_path, monkeypatch):
    first = registry.register(write_run(tmp_path / "a"), name="m").version
    registry.register(write_run(tmp_path / "b", 1), name="m")
    assert find_reference(workspace, "m:v1") == registry.models / first.path
    assert (
        find_reference(workspace, "m")
        == find_reference(workspace, "m@latest")
        == registry.models / "finetuned/lora/m/v2"
    )
    for other in ("Qwen/Qwen2.5-0.5B", "starter", "C:\\models\\m", ""):
        assert find_reference(workspace, other) is None
    with pytest.raises(UnknownReference) as unknown:
        find_reference(workspace, "m:v9")
    assert "m:v2" in str(unknown.value)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").mkdir()
    assert find_reference(workspace, "m") is None


def test_search_finds_parts_of_names_tasks_and_tags_in_chinese_too(registry, tmp_path):
    registry.register(write_run(tmp_path / "a"), name="alpha", task="medical_qa", tags=("医疗",))
    registry.register(write_run(tmp_path / "b", 1), name="beta", description="100% sure")

    def found(search: str) -> list[str]:
        return [model.name for model in registry.list_models(search)]

    assert found("ALPH") == ["alpha"] and found("疗") == ["alpha"] and found("dical_q") == ["alpha"]
    assert found("0%") == ["beta"] and found("%") == ["beta"] and found("nothing") == []
    assert [model.name for model in registry.list_models()] == ["beta", "alpha"]


def test_reading_an_empty_workspace_makes_nothing(registry, workspace, tmp_path):
    assert registry.list_models() == [] and find_reference(workspace, "m:v1") is None
    registry.validate(write_model(tmp_path / "m"))
    assert not (workspace / "5_models").exists()


@pytest.mark.skipif(os.name == "nt", reason="POSIX rights")
def test_others_cannot_read_a_version(registry, tmp_path):
    folder = registry.resolve(registry.register(write_run(tmp_path / "run")).version.reference)
    assert folder.stat().st_mode & 0o777 == 0o750
    assert (folder / "model_info.json").stat().st_mode & 0o777 == 0o640


def test_views_travel_as_json(registry, tmp_path):
    done = registry.register(write_run(tmp_path / "run"), name="m")
    shown = (done, registry.show("m"), registry.list_models()[0], registry.validate("m"), registry.rescan())
    assert all(json.dumps(view.to_json()) for view in shown)
    assert isinstance(Registry(Path.cwd()).models, Path)
