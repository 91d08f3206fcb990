"""Every kind of adapter, merged, is what PEFT makes of it: equal to the last bit, or to a tolerance that is said."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from models import make_adapter, make_model, merged_by_peft, save_adapter, tensors
from peft import IA3Config, LoraConfig, PeftModel, TrainableTokensConfig
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mozhu.engine.export import refusals, stream
from mozhu.engine.export.merge import run_merge
from mozhu.kernel.errors import AdapterMismatch, NotMergeable, SumNotPossible
from mozhu.specs.export import MergeSpec

BF16 = {"dtype": torch.bfloat16}
GPT2 = {"family": "gpt2", "tie": True, "n_embd": 64, "n_layer": 2, "n_head": 4}
EXPERTS = {
    "target_modules": ["q_proj"],
    "target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
}
LORA_KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "Conv1D": (GPT2, {"target_modules": ["c_attn", "c_proj", "c_fc"]}),
    "Conv1D in bfloat16": ({**GPT2, **BF16}, {"target_modules": ["c_attn", "c_proj", "c_fc"]}),
    "DoRA on Conv1D": (GPT2, {"target_modules": ["c_attn", "c_proj"], "use_dora": True}),
    "DoRA with a scaling that is no power of two": (BF16, {"use_dora": True, "lora_alpha": 7}),
    "DoRA on an embedding": (BF16, {"target_modules": ["embed_tokens", "q_proj"], "use_dora": True}),
    "a scaling that is no power of two": (BF16, {"lora_alpha": 7}),
    "rsLoRA with patterns": (
        BF16,
        {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"layers.1.mlp.up_proj": 5}},
    ),
    "embedding and head": (BF16, {"target_modules": ["embed_tokens", "lm_head", "v_proj"]}),
    "saved embedding and head": (
        BF16,
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
    ),
    "biases of the adapted layers": (
        {"family": "qwen2", **BF16},
        {"target_modules": ["q_proj"], "bias": "lora_only"},
    ),
    "LoRA's own bias": (
        {"family": "qwen2", **BF16},
        {"target_modules": ["q_proj", "v_proj"], "lora_bias": True, "lora_alpha": 7},
    ),
    "trained tokens": (BF16, {"target_modules": ["q_proj"], "trainable_token_indices": [3, 17, 299]}),
    "trained tokens of both ends": (
        {},
        {
            "target_modules": ["q_proj"],
            "trainable_token_indices": {"embed_tokens": [3, 5], "lm_head": [0, 299, 4]},
        },
    ),
    "trained tokens of a tied model": (
        {"family": "qwen2", "tie": True},
        {"target_modules": ["q_proj"], "trainable_token_indices": [3, 17, 299]},
    ),
    "experts in one tensor, (in, out)": ({"family": "gpt_oss", **BF16}, EXPERTS),
    "experts in files of their own": ({"family": "qwen3_moe", **BF16}, EXPERTS),
    "experts by other names": ({"family": "mixtral"}, {**EXPERTS, "lora_alpha": 7}),
    "one parameter of the experts": (
        {"family": "qwen3_moe"},
        {**EXPERTS, "target_parameters": ["mlp.experts.down_proj"]},
    ),
    "a plain layer by its parameter": (
        BF16,
        {"target_modules": ["q_proj"], "target_parameters": ["mlp.up_proj.weight"]},
    ),
}


def merge(base: Path, adapter: Path, target: Path, **more: Any) -> Any:
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target), **more)
    return run_merge(spec, target.parent, lambda *_, **__: None)


def differing(ours: Path, theirs: Path, tolerance: float = 0.0) -> list[str]:
    found, wanted = tensors(ours), tensors(theirs)
    assert set(found) == set(wanted)
    return [
        name
        for name in wanted
        if found[name].dtype != wanted[name].dtype
        or not torch.allclose(found[name].float(), wanted[name].float(), rtol=0, atol=tolerance)
    ]


@pytest.mark.parametrize("kind", LORA_KINDS)
def test_every_kind_of_lora_equals_peft_to_the_last_bit(kind, tmp_path):
    model, settings = LORA_KINDS[kind]
    base = make_model(tmp_path / "base", **model)
    adapter = make_adapter(tmp_path / "adapter", base, **settings)
    assert merge(base, adapter, tmp_path / "ours").details["changed"]
    assert differing(tmp_path / "ours", merged_by_peft(base, adapter, tmp_path / "peft")) == []


@pytest.mark.parametrize("kind", ["Conv1D in bfloat16", "DoRA on Conv1D", "experts in one tensor, (in, out)"])
def test_small_blocks_give_the_same_bits(kind, tmp_path, monkeypatch):
    model, settings = LORA_KINDS[kind]
    base = make_model(tmp_path / "base", **model)
    adapter = make_adapter(tmp_path / "adapter", base, **settings)
    merge(base, adapter, tmp_path / "whole")
    monkeypatch.setattr(stream, "_MOST_VALUES", 1500)
    merge(base, adapter, tmp_path / "blocks")
    assert differing(tmp_path / "blocks", tmp_path / "whole") == []


@pytest.mark.parametrize(
    ("model", "targets", "feedforward"),
    [
        ({"family": "qwen2", **BF16}, ["k_proj", "v_proj", "down_proj"], ["down_proj"]),
        (
            {"family": "gpt2", "n_embd": 64, "n_layer": 2, "n_head": 4},
            ["c_attn", "mlp.c_proj"],
            ["mlp.c_proj"],
        ),
    ],
    ids=["Linear with biases", "Conv1D"],
)
def test_ia3_equals_peft_to_the_last_bit(model, targets, feedforward, tmp_path):
    base = make_model(tmp_path / "base", **model)
    config = IA3Config(task_type="CAUSAL_LM", target_modules=targets, feedforward_modules=feedforward)
    adapter = save_adapter(tmp_path / "adapter", AutoModelForCausalLM.from_pretrained(base), config)
    merge(base, adapter, tmp_path / "ours")
    assert differing(tmp_path / "ours", merged_by_peft(base, adapter, tmp_path / "peft")) == []


@pytest.mark.parametrize("tie", [False, True])
def test_trainable_tokens_alone_equal_peft(tie, tmp_path):
    base = make_model(tmp_path / "base", "qwen2", tie=tie, **BF16)
    config = TrainableTokensConfig(task_type="CAUSAL_LM", token_indices=[0, 7, 401])
    adapter = save_adapter(tmp_path / "adapter", AutoModelForCausalLM.from_pretrained(base), config)
    assert not merge(base, adapter, tmp_path / "ours").details["untied"]
    assert differing(tmp_path / "ours", merged_by_peft(base, adapter, tmp_path / "peft")) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]},
        {"target_modules": ["q_proj", "embed_tokens"]},
    ],
    ids=["saved", "low rank"],
)
def test_layers_that_were_trained_as_one_stay_one(settings, tmp_path):
    base = make_model(tmp_path / "base", "qwen2", tie=True)
    adapter = make_adapter(tmp_path / "adapter", base, ensure_weight_tying=True, **settings)
    assert not merge(base, adapter, tmp_path / "ours").details["untied"]
    ids = torch.tensor([[5, 9, 300, 17]])
    trained = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    with torch.no_grad():
        assert torch.allclose(trained(ids).logits, merged(ids).logits, atol=1e-4)


def test_the_sum_of_several_adapters_is_exact(tmp_path):
    """One rounding of W + Σ wᵢ·ΔWᵢ, whatever the ranks; the oracle is the same sum in float64."""
    base = make_model(tmp_path / "base", **BF16)
    first = make_adapter(tmp_path / "first", base, r=4)
    second = make_adapter(tmp_path / "second", base, r=2, seed=2, target_modules=["q_proj", "up_proj"])
    outcome = merge(base, first, tmp_path / "ours", more_adapters=[str(second)], weights=[0.7, -1.5])
    assert outcome.details["changed"] == 21
    found, old = tensors(tmp_path / "ours"), tensors(base)
    for name in old:
        exact = old[name].double()
        for folder, scaling in ((first, 0.7 * 2), (second, -1.5 * 4)):
            held = load_file(folder / "adapter_model.safetensors")
            key = f"base_model.model.{name.removesuffix('.weight')}"
            if f"{key}.lora_A.weight" in held:
                a, b = held[f"{key}.lora_A.weight"].double(), held[f"{key}.lora_B.weight"].double()
                exact = exact + scaling * (b @ a)
        # Where the exact sum lies a hair from the middle of two bfloat16 numbers float32 may fall to the other side.
        assert (found[name] == exact.to(torch.bfloat16)).float().mean() > 0.999, name
        assert torch.allclose(found[name].double(), exact, rtol=2**-8, atol=1e-6)


def test_adapters_that_do_not_add_up_are_refused(tmp_path):
    base = make_model(tmp_path / "base")
    plain = make_adapter(tmp_path / "plain", base)
    dora = make_adapter(tmp_path / "dora", base, use_dora=True)
    with pytest.raises(SumNotPossible) as caught:
        merge(base, plain, tmp_path / "ours", more_adapters=[str(dora)])
    assert "dora" in str(caught.value)


def test_all_reasons_against_an_adapter_are_told_at_once_without_reading_weights(tmp_path):
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    path = adapter / "adapter_config.json"
    more = {"layer_replication": [[0, 2]], "kasa_config": {"beta": 1}, "init_lora_weights": "pissa"}
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    weights = adapter / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100:] = b"\xff" * 100  # a header is read, no tensor is
    weights.write_bytes(content)
    with pytest.raises(NotMergeable) as caught:
        merge(base, adapter, tmp_path / "ours")
    for name in ("layer_replication", "kasa_config", "pissa"):
        assert name in str(caught.value)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    "strange", ["base_model.model.model.layers.0.self_attn.q_proj.lora_C.weight", "x.weight"]
)
def test_a_tensor_that_has_no_place_is_refused_by_name(strange, tmp_path):
    base = make_model(tmp_path / "base")
    adapter = make_adapter(tmp_path / "adapter", base)
    held = load_file(adapter / "adapter_model.safetensors")
    save_file({**held, strange: torch.ones(2, 2)}, adapter / "adapter_model.safetensors")
    with pytest.raises(AdapterMismatch) as caught:
        merge(base, adapter, tmp_path / "ours")
    assert strange.removeprefix("base_model.model.") in str(caught.value)


def test_an_adapter_of_a_packed_base_goes_into_the_original_and_the_record_says_so(tmp_path):
    original = make_model(tmp_path / "original", **BF16)
    packed = make_model(tmp_path / "packed", **BF16)
    adapter = make_adapter(tmp_path / "adapter", packed)
    config = json.loads((packed / "config.json").read_text())
    (packed / "config.json").write_text(
        json.dumps({**config, "quantization_config": {"quant_method": "gptq", "bits": 4}})
    )
    with pytest.raises(NotMergeable):
        run_merge(
            MergeSpec(adapter=str(adapter), output_path=str(tmp_path / "no")), tmp_path, lambda *_, **__: None
        )
    merge(original, adapter, tmp_path / "ours")
    record = json.loads((tmp_path / "ours" / "merge.json").read_text())
    assert record["adapter"]["trained_on"] == {"base": "packed", "quantization": "gptq"}
    assert differing(tmp_path / "ours", merged_by_peft(original, adapter, tmp_path / "peft")) == []


def test_every_setting_of_lora_today_is_known():
    """A variant that PEFT adds later is refused by its name until somebody has looked at it."""
    variants = {
        field.name
        for field in fields(LoraConfig)
        if field.name.startswith("use_") or field.name.endswith("_config")
    }
    assert variants <= refusals.KNOWN | set(refusals.REFUSED)
    plain = LoraConfig(use_rslora=True, use_dora=True, bias="all", lora_bias=False, target_modules=["q_proj"])
    assert refusals.reasons_against({**plain.to_dict(), "peft_type": "LORA"}) == []
