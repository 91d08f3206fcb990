"""The rows are only an index: the sidecars below 5_models are the truth."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from registry_artefacts import write_adapter, write_gguf, write_model, write_run
from sqlalchemy import delete

from mozhu.kernel.errors import DamagedRegistry, UnknownReference
from mozhu.platform.catalog.service import Registry
from mozhu.platform.database.engine import CATALOG, open_database
from mozhu.platform.database.tables_assets import Table


def fill(registry, tmp_path) -> None:  # type: ignore[no-untyped-def]
    registry.register(write_run(tmp_path / "a"), name="m", tags=("医疗", "qa"), description="说明")
    registry.register(write_run(tmp_path / "b", 1), name="m", version="free name")
    registry.register(write_run(tmp_path / "c", 2), name="m", version="v0.1")
    registry.register(write_model(tmp_path / "base"))
    registry.register(write_gguf(tmp_path / "tiny.gguf"))
    registry.register(write_adapter(registry.models / "finetuned" / "lora" / "in_place", 5))


def drop(registry) -> None:  # type: ignore[no-untyped-def]
    """The database is lost: its file, or every row on the server."""
    registry.close()
    for path in registry.models.glob(f"{CATALOG}*"):
        path.unlink()
    url = os.environ.get("MOZHU_UP__DATABASE")
    if url:
        database = open_database(url)
        with database.writing() as session:
            for table in reversed(Table.metadata.sorted_tables):
                session.execute(delete(table))
        database.close()


def test_rows_are_the_same_after_the_database_was_lost(registry, tmp_path):
    fill(registry, tmp_path)
    before, listed = registry.fingerprint(), registry.list_models()
    drop(registry)
    report = registry.rescan()
    assert (report.models, report.versions, report.refused) == (4, 6, ())
    assert registry.fingerprint() == before and registry.list_models() == listed
    assert registry.show("m@latest").chosen.label == "v0.1"


def test_a_second_rescan_changes_nothing(registry, tmp_path, files_of):
    fill(registry, tmp_path)
    files, rows = files_of(registry.models / "finetuned"), registry.fingerprint()
    for _ in range(2):
        report = registry.rescan()
        assert (report.added, report.gone) == ((), ())
    assert (files_of(registry.models / "finetuned"), registry.fingerprint()) == (files, rows)


def test_what_cannot_be_taken_is_named_with_its_reason(registry, tmp_path):
    fill(registry, tmp_path)
    models = registry.models / "finetuned" / "lora"
    (models / "m" / "v0.1" / "model_info.json").write_text("{", encoding="utf-8")
    shutil.copytree(models / "m" / "v1", models / "copy")
    shutil.rmtree(models / "in_place")
    report = registry.rescan()
    assert {refused.path for refused in report.refused} == {
        "finetuned/lora/m/v0.1",
        "finetuned/lora/m/v1",
    } or {refused.path for refused in report.refused} == {"finetuned/lora/m/v0.1", "finetuned/lora/copy"}
    assert all(refused.reason for refused in report.refused)
    assert report.gone == ("in_place:v1", "m:v0.1")
    with pytest.raises(UnknownReference):
        registry.resolve("in_place")


def test_a_version_whose_weights_are_gone_is_failed_not_forgotten(registry, tmp_path):
    fill(registry, tmp_path)
    (registry.models / "finetuned" / "lora" / "m" / "v1" / "adapter_model.safetensors").unlink()
    assert registry.rescan().failed == ("m:v1",)
    assert registry.show("m:v1").chosen.state == "failed"


def test_a_folder_of_seed_000_laid_down_by_hand_is_taken(registry):
    folder = write_adapter(registry.models / "finetuned" / "lora" / "Qwen2.5-7B-medical-lora")
    info = {
        "model_name": "Qwen2.5-7B-medical-lora",
        "base_model": "Qwen/Qwen2.5-7B-Instruct",
        "model_type": "lora",
        "task": "medical_qa",
        "version": "v1.0.0",
        "created_time": "2024-10-14T10:00:00Z",
        "training_dataset": "medical_qa_dataset",
        "training_steps": 1000,
        "performance": {"bleu": 0.75, "rouge-l": 0.68, "f1": 0.72},
        "file_size": "15.2GB",
        "checksum": "sha256:abc123...",
        "tags": ["medical", "qa", "chinese"],
        "description": "基于Qwen2.5-7B的医疗问答LoRA微调模型",
    }
    (folder / "model_info.json").write_text(json.dumps(info), encoding="utf-8")
    assert registry.rescan().added == ("Qwen2.5-7B-medical-lora:v1.0.0",)
    shown = registry.show("Qwen2.5-7B-medical-lora").chosen
    assert (shown.tags, shown.state, shown.created) == (
        ("medical", "qa", "chinese"),
        "checking",
        "2024-10-14T10:00:00Z",
    )


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_damaged_database_is_said_so_and_rebuilt_after_it_is_moved_away(registry, workspace, tmp_path):
    fill(registry, tmp_path)
    before = registry.fingerprint()
    drop(registry)
    (registry.models / CATALOG).write_bytes(b"not a database" * 1000)
    with Registry(workspace) as broken, pytest.raises(DamagedRegistry) as said:
        broken.list_models()
    assert "rescan" in str(said.value)
    drop(registry)
    registry.rescan()
    assert registry.fingerprint() == before
