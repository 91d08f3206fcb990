"""What a person may write for a model leads to the right folder, or to an error that says the next step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.engine.weights.references import find_model, known_names
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    AdapterWithoutBase,
    AmbiguousModel,
    MissingFile,
    NotAModel,
    OfflineHub,
    UnknownModel,
    UnsafeWeights,
)
from mozhu.testing import starter_path

Copy = Callable[[Path], Path]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "ws"
    (root / "0_configs").mkdir(parents=True)
    monkeypatch.chdir(root)
    return root


def _configure(workspace: Path, **models: str) -> None:
    content = {"models": {name.replace("__", "/"): {"path": path} for name, path in models.items()}}
    (workspace / "0_configs" / "1_model_config.json").write_text(json.dumps(content))


def test_a_model_folder_is_itself(qwen: Path) -> None:
    found = find_model(str(qwen))
    assert (found.path, found.base, found.adapter, found.name) == (qwen, qwen, None, "qwen")


def test_an_adapter_folder_brings_its_base(adapter: Path, qwen: Path) -> None:
    found = find_model(str(adapter))
    assert (found.path, found.adapter, found.base) == (adapter, adapter, qwen)


def test_a_base_that_is_told_counts_before_the_recorded_one(adapter: Path, llama: Path) -> None:
    assert find_model(str(adapter), base=str(llama)).base == llama


@pytest.mark.parametrize("reference", ["starter", "starter:v1", "starter@latest"])
@pytest.mark.skipif(not (starter_path() / "config.json").is_file(), reason="the starter is not built")
def test_the_starter_is_always_there(reference: str) -> None:
    assert find_model(reference).path == starter_path()


def test_a_run_folder_stands_for_what_it_made(tmp_path: Path, adapter: Path, qwen: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "spec.json").write_text("{}")
    for step in (9, 10):
        shutil.copytree(adapter, run / f"checkpoint-{step}")
    assert find_model(str(run)).path == run / "checkpoint-10"
    (run / "checkpoint-final").symlink_to("checkpoint-9")
    assert find_model(str(run)).path == run / "checkpoint-final"
    shutil.copytree(qwen, run / "merged_model")
    assert find_model(str(run)).base == run / "merged_model"
    shutil.copytree(adapter, run / "lora_adapter")
    assert find_model(str(run)).adapter == run / "lora_adapter"


def test_a_folder_that_holds_one_run_stands_for_it_and_two_are_ambiguous(tmp_path: Path, qwen: Path) -> None:
    outer = tmp_path / "versions"
    shutil.copytree(qwen, outer / "v1" / "merged_model")
    assert find_model(str(outer)).path == outer / "v1" / "merged_model"
    shutil.copytree(qwen, outer / "v2")
    with pytest.raises(AmbiguousModel) as caught:
        find_model(str(outer))
    assert "v1" in str(caught.value) and "v2" in str(caught.value)


def test_a_configured_name_leads_to_its_place(workspace: Path, qwen: Path) -> None:
    shutil.copytree(qwen, workspace / "5_models" / "pretrained" / "q")
    _configure(workspace, small="5_models/pretrained/q", Qwen__Tiny=str(qwen))
    assert find_model("small").path == workspace / "5_models" / "pretrained" / "q"
    assert find_model("Qwen/Tiny").path == qwen
    assert {"small", "starter"} <= set(known_names())


def test_an_adapter_finds_a_base_by_name(workspace: Path, qwen: Path, adapter: Path, copied: Copy) -> None:
    _configure(workspace, mine=str(qwen))
    folder = copied(adapter)
    (folder / "base.json").write_text(json.dumps({"schema": 1, "ref": "mine", "fingerprint": {}}))
    assert find_model(str(folder)).base == qwen


def test_an_adapter_moved_with_its_base_finds_it_beside_itself(
    adapter: Path, qwen: Path, tmp_path: Path
) -> None:
    shutil.copytree(qwen, tmp_path / "moved" / "base")
    folder = Path(shutil.copytree(adapter, tmp_path / "moved" / "lora"))
    (folder / "base.json").unlink()
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": "base"}))
    assert find_model(str(folder)).base == tmp_path / "moved" / "base"


def test_an_adapter_without_its_base_says_which_one(adapter: Path, copied: Copy) -> None:
    folder = copied(adapter)
    (folder / "base.json").unlink()
    settings = json.loads((folder / "adapter_config.json").read_text())
    for name in ("org/gone", "/gone/model", None):
        (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": name}))
        with pytest.raises(AdapterWithoutBase) as caught:
            find_model(str(folder))
        assert name is None or f"`{name}`" in caught.value.what


def test_an_adapter_is_no_base(adapter: Path) -> None:
    with pytest.raises(AdapterWithoutBase):
        find_model(str(adapter), base=str(adapter))


def test_a_hub_name_is_found_in_the_cache_or_refused_without_a_network(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OfflineHub) as caught:
        find_model("Qwen/Qwen2.5-0.5B")
    assert caught.value.params == {"name": "Qwen/Qwen2.5-0.5B"}
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    repository = tmp_path / "hf" / "hub" / "models--Qwen--Qwen2.5-0.5B"
    shutil.copytree(qwen, repository / "snapshots" / "abc123")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc123\n")
    assert find_model("Qwen/Qwen2.5-0.5B").path == repository / "snapshots" / "abc123"


def test_the_modelscope_cache_is_looked_into(
    qwen: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "ms"))
    place = tmp_path / "ms" / "hub" / "models" / "Qwen" / "Qwen2___5-0___5B"
    shutil.copytree(qwen, place)
    assert find_model("Qwen/Qwen2.5-0.5B").path == place


def test_an_unknown_name_is_answered_with_near_ones(workspace: Path, qwen: Path) -> None:
    _configure(workspace, medical_qwen=str(qwen))
    with pytest.raises(UnknownModel) as caught:
        find_model("medical_qwem")
    assert "`medical_qwen`" in str(caught.value)
    with pytest.raises(UnknownModel) as caught:
        find_model("startr")
    assert "`starter`" in str(caught.value)


@pytest.mark.parametrize("path", ["./gone", "/gone/model", "a/b/c", "~/gone-model"])
def test_a_path_that_is_not_there_is_a_missing_file(path: str) -> None:
    with pytest.raises(MissingFile):
        find_model(path)


def test_a_wrong_name_in_a_folder_that_exists_is_no_hub_name(tmp_path: Path, qwen: Path) -> None:
    shutil.copytree(qwen, Path("models") / "medical")
    with pytest.raises(UnknownModel) as caught:
        find_model("models/medcal")
    assert "models/medical" in str(caught.value)


def test_a_file_or_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    Path("model.gguf").write_bytes(b"GGUF")
    Path("pytorch_model.bin").write_bytes(b"x")
    Path("empty").mkdir()
    for ref in ("./model.gguf", "empty"):
        with pytest.raises(NotAModel):
            find_model(ref)
    with pytest.raises(UnsafeWeights):
        find_model("./pytorch_model.bin")


def test_a_finder_answers_for_references_of_its_own(qwen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        slots._added, "mozhu.model_finders", {"registry": lambda ref: qwen if ref == "medical:v2" else None}
    )
    assert find_model("medical:v2").path == qwen
    with pytest.raises(UnknownModel):
        find_model("medical:v3")
