"""Which layers are trained when nobody says so: found in the files, equal to the layers that the model really has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoTokenizer
from transformers.pytorch_utils import Conv1D

from mozhu.engine.export.merge import run_merge
from mozhu.engine.training.defaults import missing_modules, target_modules
from mozhu.engine.training.engines.hf_network import trainable_network
from mozhu.engine.training.forecast import forecast
from mozhu.engine.training.preflight import preflight
from mozhu.engine.training.run import run_training
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import find_model
from mozhu.kernel.machine import describe
from mozhu.specs.export import MergeSpec

SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "head_dim": 16,
}
EXPERTS: dict[str, Any] = {"moe_intermediate_size": 16, "num_experts_per_tok": 2}
LATENT: dict[str, Any] = {
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
    **EXPERTS,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "LlamaConfig": SIZES,
    "MistralConfig": SIZES,
    "Qwen2Config": {name: value for name, value in SIZES.items() if name != "head_dim"},
    "Qwen3Config": SIZES,
    "Gemma2Config": SIZES,
    "Gemma3TextConfig": SIZES,
    "Phi3Config": SIZES,
    "GlmConfig": SIZES,
    "Glm4Config": SIZES,
    "InternLM3Config": SIZES,
    "GPT2Config": {"n_embd": 32, "n_layer": 2, "n_head": 2},
    "GPTNeoXConfig": SIZES,
    "BloomConfig": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
    "OPTConfig": {**SIZES, "ffn_dim": 48, "word_embed_proj_dim": 32},
    "StableLmConfig": SIZES,
    "Starcoder2Config": SIZES,
    "DeepseekV2Config": {**SIZES, **LATENT},
    "DeepseekV3Config": {**SIZES, **LATENT},
    "Qwen3MoeConfig": {**SIZES, **EXPERTS, "num_experts": 4},
    "Qwen2MoeConfig": {**SIZES, **EXPERTS, "num_experts": 4, "shared_expert_intermediate_size": 16},
    "MixtralConfig": {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2},
    "GptOssConfig": {**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2},
}
LIKE_EXPERTS = {"gate_proj", "up_proj", "down_proj"}
ROUTERS = {"shared_expert_gate", "router", "gate"}


@pytest.fixture
def made(tiny: Path, tmp_path: Path) -> Any:
    def make(name: str) -> tuple[Any, Path]:
        tokenizer = AutoTokenizer.from_pretrained(tiny)
        eos = tokenizer.eos_token_id
        ids = {
            "vocab_size": 512,
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": eos,
        }
        config = getattr(transformers, name)(**ids, **FAMILIES[name])
        model: Any = transformers.AutoModelForCausalLM.from_config(config)
        model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
        return model, tmp_path / name

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_every_linear_layer_of_a_familys_blocks_is_trained(spec: Any, made: Any, name: str) -> None:
    model, folder = made(name)
    inside = {
        path.rpartition(".")[2]
        for path, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and any(part.isdigit() for part in path.split("."))
    }
    described = ModelFolder.open(folder)
    if any(".experts." in tensor for tensor in described.tensors):
        inside -= LIKE_EXPERTS
    assert set(target_modules(spec(), described)) == inside - ROUTERS
    network = trainable_network(spec(model=str(folder)), described, torch.device("cpu"))
    trained = sum(item.numel() for item in network.parameters() if item.requires_grad)
    assert forecast(spec(model=str(folder)), describe()).trainable_parameters == trained


@pytest.mark.parametrize("name", ["Qwen3MoeConfig", "MixtralConfig", "DeepseekV2Config"])
def test_experts_are_trained_where_that_is_asked_for_and_merged(
    spec: Any, made: Any, tmp_path: Path, events: Any, name: str
) -> None:
    _, folder = made(name)
    asked = spec(model=str(folder), train_experts=True, max_steps=3, max_rejected_share=0.9)
    assert "TRAIN-055" not in {each.code for each in preflight(asked, describe(), tmp_path / "run")}
    network = trainable_network(asked, ModelFolder.open(folder), torch.device("cpu"))
    trained = sum(item.numel() for item in network.parameters() if item.requires_grad)
    assert forecast(asked, describe()).trainable_parameters == trained
    assert [key for key, item in network.named_parameters() if item.requires_grad and ".experts." in key]
    _certified_and_merged(asked, tmp_path, events)
    adapter = load_file(tmp_path / "run" / "lora_adapter" / "adapter_model.safetensors")
    learned = [key for key, item in adapter.items() if ".experts." in key and "lora_B" in key and item.any()]
    assert learned, "experts have learned something"


def test_experts_take_plain_lora_only(spec: Any, tiny: Path, tmp_path: Path) -> None:
    for changes in (
        {"lora_dropout": 0.1},
        {"use_dora": True},
        {"train_type": "qlora"},
        {"train_type": "full"},
    ):
        with pytest.raises(ValueError, match="experts_take_plain_lora"):
            spec(train_experts=True, **changes)
    found = preflight(spec(train_experts=True), describe(), tmp_path / "run")
    assert [each.params["modules"] for each in found if each.code == "TRAIN-026"] == ["experts"]


def test_experts_are_said_to_stay_as_they_are(spec: Any, made: Any, tmp_path: Path) -> None:
    _, folder = made("Qwen3MoeConfig")
    found = preflight(spec(model=str(folder)), describe(), tmp_path / "run")
    assert [each.params["modules"] for each in found if each.code == "TRAIN-055"] == [
        "q_proj, k_proj, v_proj, o_proj"
    ]
    model = ModelFolder.open(folder)
    assert missing_modules(spec(target_modules="q_proj gate_proj"), model) == ["gate_proj"]
    assert missing_modules(spec(target_modules="q_.*"), model) == ["q_.*"], "names, not patterns"


@pytest.mark.parametrize(
    "name",
    ["Phi3Config", "GPT2Config", "Glm4Config", "Gemma3TextConfig", "DeepseekV2Config", "Qwen3MoeConfig"],
)
def test_a_familys_adapter_is_certified_and_merged(
    spec: Any, made: Any, tmp_path: Path, events: Any, name: str
) -> None:
    _, folder = made(name)
    _certified_and_merged(spec(model=str(folder), max_steps=3, max_rejected_share=0.9), tmp_path, events)


def _certified_and_merged(asked: Any, tmp_path: Path, events: Any) -> None:
    run_training(asked, tmp_path / "run", events)
    adapter = tmp_path / "run" / "lora_adapter"
    certificate = json.loads((adapter / "certificate.json").read_text(encoding="utf-8"))
    assert certificate["passed"], certificate["checks"]
    merged = tmp_path / "merged"
    run_merge(MergeSpec(adapter=str(tmp_path / "run"), output_path=str(merged)), tmp_path / "m", events)
    ids = torch.tensor([[5, 9, 33, 7, 120, 60, 2, 81, 14]])
    one = load_model(find_model(str(tmp_path / "run")), dtype="float32", device="cpu")
    two = load_model(find_model(str(merged)), dtype="float32", device="cpu")
    with torch.no_grad():
        torch.testing.assert_close(one(input_ids=ids).logits, two(input_ids=ids).logits, rtol=0, atol=1e-4)
