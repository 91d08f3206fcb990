"""A model is loaded whole, from safetensors, and an adapter only onto the base it was trained on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mozhu.engine.weights.adapter_fit import adapter_problems
from mozhu.engine.weights.device import pick_device, pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_model, open_model, tokenizer_folder
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import (
    AdapterDoesNotFit,
    BaseMismatch,
    DamagedWeights,
    NotAModel,
    UnreadableTokenizer,
    UnsupportedModel,
    WrongDevice,
)
from mozhu.testing import TINY_FAMILIES, make_tiny_adapter, make_tiny_model

Copy = Callable[[Path], Path]
IDS = torch.tensor([[5, 6, 7, 8]])


def _logits(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS).logits


def test_the_loaded_model_is_the_one_of_transformers(llama: Path) -> None:
    ours = open_model(str(llama), device="cpu")
    theirs = AutoModelForCausalLM.from_pretrained(llama, local_files_only=True).eval()
    assert not ours.model.training and ours.dtype == torch.float32 and ours.device.type == "cpu"
    assert torch.equal(_logits(ours.model), _logits(theirs))


def test_an_adapter_has_its_effect_and_merges_to_the_same_model(adapter: Path) -> None:
    found = find_model(str(adapter))
    base, with_it = load_model(find_model(str(found.base)), device="cpu"), load_model(found, device="cpu")
    merged = load_model(found, device="cpu", merge=True)
    assert (_logits(with_it) - _logits(base)).abs().max() > 0.1
    torch.testing.assert_close(_logits(merged), _logits(with_it), atol=1e-4, rtol=1e-4)
    assert not any("lora" in name for name, _ in merged.named_parameters())


@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_an_adapter_of_every_family_fits_its_own_base(family: str, tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base", family)
    lora = make_tiny_adapter(tmp_path / "lora", base)
    assert adapter_problems(ModelFolder.open(lora), ModelFolder.open(base)) == []


def test_another_base_is_refused_before_it_is_loaded(adapter: Path, qwen: Path, tmp_path: Path) -> None:
    other = make_tiny_model(tmp_path / "other", "qwen2", seed=1)
    with pytest.raises(BaseMismatch) as caught:
        load_model(find_model(str(adapter), base=str(other)))
    assert caught.value.params["parts"] == ["weights"] and caught.value.exit_code == 5


def test_a_base_whose_template_was_changed_is_another_base(adapter: Path, qwen: Path, copied: Copy) -> None:
    other = copied(qwen)
    template = (other / "chat_template.jinja").read_text()
    (other / "chat_template.jinja").write_text(template.replace("helpful", "evil"))
    with pytest.raises(BaseMismatch) as caught:
        load_model(find_model(str(adapter), base=str(other)))
    assert caught.value.params["parts"] == ["template"]


def test_a_foreign_adapter_that_records_no_base_is_checked_by_shape(qwen: Path, tmp_path: Path) -> None:
    lora = make_tiny_adapter(tmp_path / "lora", qwen)
    assert not (lora / "base.json").exists()
    wide = make_tiny_model(tmp_path / "wide", "qwen2", hidden=128)
    short = make_tiny_model(tmp_path / "short", "qwen2", layers=1)
    with pytest.raises(AdapterDoesNotFit) as caught:
        load_model(find_model(str(lora), base=str(wide)))
    assert "q_proj" in caught.value.what and "[128, 128]" in caught.value.what
    with pytest.raises(AdapterDoesNotFit, match=r"layers\.1"):
        load_model(find_model(str(lora), base=str(short)))


def test_a_weight_that_no_file_holds_is_never_made_up(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DamagedWeights, match="up_proj"):
        load_model(find_model(str(folder)))


def test_a_weight_of_another_shape_than_configured_is_never_made_up(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 96}))
    with pytest.raises(DamagedWeights, match=r"gate_proj.*\[128, 64\]"):
        load_model(find_model(str(folder)))


def test_an_adapter_s_settings_left_in_a_model_folder_are_not_passed_over(
    qwen: Path, adapter: Path, copied: Copy, tmp_path: Path
) -> None:
    # transformers goes by these settings and puts an adapter onto the folder's own weights
    folder = copied(make_tiny_model(tmp_path / "other", "qwen2", seed=9))
    shutil.copy(adapter / "adapter_config.json", folder)
    with pytest.raises(NotAModel, match="adapter_model.safetensors"):
        load_model(find_model(str(folder)))


def test_code_in_a_model_folder_is_not_run(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    config = json.loads((folder / "config.json").read_text())
    auto_map = {"AutoConfig": "evil.EvilConfig", "AutoModelForCausalLM": "evil.EvilModel"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": auto_map}))
    (folder / "evil.py").write_text("import pathlib; pathlib.Path('hacked').touch()")
    with pytest.raises(UnsupportedModel):
        load_model(find_model(str(folder)))
    assert not Path("hacked").exists()


def test_an_adapter_s_own_tokenizer_counts(adapter: Path, qwen: Path, copied: Copy) -> None:
    assert tokenizer_folder(find_model(str(adapter))) == qwen
    folder = copied(adapter)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(qwen / name, folder / name)
    assert tokenizer_folder(find_model(str(folder))) == folder
    # What it was not saved with still comes from the base.
    renderer = open_model(str(folder), device="cpu").renderer
    assert renderer.stop_ids == Renderer.from_folder(qwen).stop_ids


def test_a_damaged_tokenizer_is_named(qwen: Path, copied: Copy) -> None:
    folder = copied(qwen)
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(UnreadableTokenizer):
        load_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UnreadableTokenizer):
        load_tokenizer(folder)


def test_the_device_and_type_asked_for_are_given_or_refused(qwen: Path) -> None:
    folder, cpu = ModelFolder.open(qwen), pick_device("cpu")
    assert pick_dtype(cpu, folder) == torch.float32
    assert pick_dtype(cpu, folder, "bfloat16") == torch.bfloat16
    if not torch.cuda.is_available():
        with pytest.raises(WrongDevice):
            pick_device("cuda")
    if not (torch.cuda.is_available() or torch.backends.mps.is_available()):
        assert pick_device().type == "cpu"
