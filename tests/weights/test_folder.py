"""A model folder is described as it is, and every fault in it is told at once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM

from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import DamagedWeights, MissingFile, NotAModel, UnsafeWeights
from mozhu.testing import make_tiny_model

Copy = Callable[[Path], Path]
_INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize("name", ["qwen", "llama", "gemma"])
def test_a_folder_says_what_transformers_says(name: str, request: pytest.FixtureRequest) -> None:
    folder = ModelFolder.open(request.getfixturevalue(name))
    model = AutoModelForCausalLM.from_pretrained(folder.path, local_files_only=True)
    assert folder.kind == "model"
    assert folder.family == model.config.model_type
    assert folder.architecture == type(model).__name__
    assert folder.parameter_count == sum(value.numel() for value in model.parameters())
    assert folder.weight_bytes == 4 * folder.parameter_count
    assert folder.dtype == "float32"
    assert folder.tied == model.config.tie_word_embeddings
    assert folder.max_length == model.config.max_position_embeddings
    assert folder.has_tokenizer and folder.template
    told = model.generation_config.eos_token_id
    assert set(folder.eos_ids) == set(told if isinstance(told, list) else [told])


def test_a_vision_model_is_read_through_its_nested_configuration(tmp_path: Path) -> None:
    folder = ModelFolder.open(make_tiny_model(tmp_path / "vl", "qwen2_vl", dtype="bfloat16"))
    assert folder.is_vision and folder.max_length == 512 and folder.tied and folder.dtype == "bfloat16"
    assert folder.eos_ids


def test_an_adapter_tells_its_rank_and_its_base(adapter: Path, qwen: Path) -> None:
    folder = ModelFolder.open(adapter)
    assert (folder.kind, folder.family, folder.rank, folder.alpha) == ("adapter", "lora", 4, 8)
    assert folder.base_name == str(qwen)
    assert "q_proj" in folder.targets and folder.parameter_count > 0


def test_a_folder_without_config_says_what_is_missing(qwen: Path, copied: Copy, tmp_path: Path) -> None:
    folder = copied(qwen)
    (folder / "config.json").unlink()
    with pytest.raises(NotAModel) as caught:
        ModelFolder.open(folder)
    assert caught.value.params["missing"] == ["config.json"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NotAModel) as caught:
        ModelFolder.open(empty)
    assert caught.value.params["missing"] == ["config.json", "model.safetensors"]
    with pytest.raises(MissingFile):
        ModelFolder.open(tmp_path / "nowhere")


def test_pickled_weights_are_named_and_never_opened(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
    with pytest.raises(UnsafeWeights) as caught:
        ModelFolder.open(folder)
    assert "pytorch_model.bin" in str(caught.value) and not Path("hacked").exists()


def test_a_missing_shard_and_a_cut_shard_are_told_together(llama: Path, copied: Copy) -> None:
    folder = copied(llama)
    (folder / "model-00001-of-00003.safetensors").unlink()
    cut = folder / "model-00003-of-00003.safetensors"
    cut.write_bytes(cut.read_bytes()[:-10])
    with pytest.raises(DamagedWeights) as caught:
        ModelFolder.open(folder)
    assert "model-00001-of-00003" in caught.value.what and "model-00003-of-00003" in caught.value.what


def test_an_index_that_forgets_or_invents_tensors_is_refused(llama: Path, copied: Copy) -> None:
    folder = copied(llama)
    index = json.loads((folder / _INDEX).read_text())
    forgotten = sorted(index["weight_map"])[0]
    file = index["weight_map"].pop(forgotten)
    index["weight_map"]["invented.weight"] = file
    (folder / _INDEX).write_text(json.dumps(index))
    with pytest.raises(DamagedWeights) as caught:
        ModelFolder.open(folder)
    assert forgotten in caught.value.what and "invented.weight" in caught.value.what


def test_an_index_without_one_of_its_shards_is_refused(llama: Path, copied: Copy) -> None:
    folder = copied(llama)
    index = json.loads((folder / _INDEX).read_text())
    index["weight_map"] = {key: file for key, file in index["weight_map"].items() if "00002" not in file}
    (folder / _INDEX).write_text(json.dumps(index))
    with pytest.raises(DamagedWeights, match="2 of 3"):
        ModelFolder.open(folder)


def test_an_index_cannot_point_outside_its_folder(llama: Path, copied: Copy) -> None:
    folder = copied(llama)
    (folder / _INDEX).write_text(json.dumps({"weight_map": {"w": "../secret.safetensors"}}))
    with pytest.raises(DamagedWeights, match="outside"):
        ModelFolder.open(folder)


def test_a_layer_that_the_configuration_counts_must_be_there(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 4}))
    with pytest.raises(DamagedWeights, match="2, 3"):
        ModelFolder.open(folder)


def test_describing_a_folder_needs_no_torch(qwen: Path) -> None:
    code = (
        "import sys; from mozhu.engine.weights.folder import ModelFolder\n"
        "from mozhu.engine.weights.references import find_model\n"
        "from mozhu.engine.weights.fingerprint import fingerprint\n"
        f"found = find_model({str(qwen)!r}); ModelFolder.open(found.path); fingerprint(found.path)\n"
        "names = ('torch', 'numpy', 'transformers', 'peft', 'tokenizers')\n"
        "print([name for name in names if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
