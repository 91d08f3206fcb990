"""A converted model is the same model: same ids, same numbers, same end, in llama.cpp as in transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from models import LLAMA3_REGEX, byte_level_tokenizer, make_adapter, make_model, sentence_tokenizer, tensors
from transformers import AutoModelForCausalLM, AutoTokenizer

from mozhu.engine.export.convert import run_convert
from mozhu.engine.export.gguf.readback import check_gguf
from mozhu.engine.export.gguf.write import plan_gguf, write_gguf
from mozhu.engine.export.merge import run_merge
from mozhu.engine.export.modelfile import parse_modelfile
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    CertificateFailed,
    LlamaCppRefused,
    MergeFirst,
    MozhuError,
    ReadBackFailed,
    TargetExists,
    UnsupportedFamily,
    UnsupportedModelSetting,
    UnsupportedTokenizer,
)
from mozhu.specs.export import ConvertSpec, MergeSpec
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.manifest import Manifest, manifest_problems

TEXTS = [
    "It's 机器学习 test 12345!\n\n  tabs\tand  spaces",
    "<|im_start|>user\n你好 we'll see 2026年<|im_end|>\n<|im_start|>assistant\n",
    "模铸 é ñ 😀 don't STOP",
]
SMALL = {"head_dim": 32, "query_pre_attn_scalar": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "qwen2": {"tie": True},
    "qwen3": {"head_dim": 32},
    "gemma": {"head_dim": 32, "tie": True},
    "gemma2": {**SMALL, "tie": True},
    "gemma3": {**SMALL, "tie": True, "num_hidden_layers": 6, "sliding_window": 16},
}


# Largest difference of a logit in float32. Gemma's GELU goes through a float16 table in ggml.
TIGHT = {family: 2e-2 if family.startswith("gemma") else 1e-4 for family in FAMILIES}


def tokenizer_of(family: str) -> Any:
    if family == "mistral":
        return sentence_tokenizer(prefix=True)
    if family.startswith("gemma"):
        return sentence_tokenizer(prefix=False)
    return byte_level_tokenizer(LLAMA3_REGEX) if family == "llama" else byte_level_tokenizer()


def convert(model: Path, quantization: str = "F32", **more: Any) -> tuple[Path, Any, list[dict[str, Any]]]:
    events: list[dict[str, Any]] = []
    spec = ConvertSpec(model=str(model), quantization=quantization, **more)
    outcome = run_convert(spec, model.parent, lambda kind, **fields: events.append({"kind": kind, **fields}))
    return Path(outcome.details["path"]), outcome, events


def reference(model: Path, ids: list[int]) -> np.ndarray:
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        return loaded(torch.tensor([ids])).logits[0].numpy()


def divergence(reference: np.ndarray, found: np.ndarray) -> float:
    """Mean KL(reference || found) over places, in nats."""
    first, second = (torch.log_softmax(torch.from_numpy(rows), -1) for rows in (reference, found))
    return float((first.exp() * (first - second)).sum(-1).mean())


@pytest.fixture(scope="module")
def qwen(tmp_path_factory) -> Path:
    settings = {"initializer_range": 0.04, "dtype": torch.bfloat16}
    return make_model(
        tmp_path_factory.mktemp("models") / "qwen", "qwen2", tie=True, hidden_size=256, **settings
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_llama_cpp_answers_as_transformers_does(family, tmp_path):
    model = make_model(tmp_path / family, family, tokenizer=tokenizer_of(family), **FAMILIES[family])
    path, _, _ = convert(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    with LlamaCpp(path, context=128) as llama:
        for line in TEXTS:
            wanted = tokenizer(line, add_special_tokens=False)["input_ids"]
            assert llama.tokenize(line) == wanted
            assert llama.tokenize(line, add_special=True) == tokenizer(line)["input_ids"]
        ids = wanted = tokenizer(TEXTS[0] + TEXTS[1], add_special_tokens=False)["input_ids"][:48]
        rows = reference(model, ids)
        assert np.abs(llama.logits(ids) - rows).max() < TIGHT[family]
        loaded = AutoModelForCausalLM.from_pretrained(model).eval()
        made = loaded.generate(torch.tensor([ids[:12]]), max_new_tokens=24, do_sample=False)[0, 12:].tolist()
        assert llama.greedy(ids[:12], 24, [tokenizer.eos_token_id]) == made
        assert llama.eos_id == tokenizer.eos_token_id and llama.is_end(llama.eos_id)
        assert llama.chat_template == tokenizer.chat_template


@pytest.mark.parametrize(
    "rope",
    [
        {
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
        {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0},
        {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64},
    ],
    ids=lambda rope: rope["rope_type"],
)
def test_scaled_positions_are_kept(rope, tmp_path):
    model = make_model(tmp_path / "model", "llama", rope_parameters=rope)
    path, _, _ = convert(model)
    ids = torch.randint(0, 400, (120,), generator=torch.Generator().manual_seed(3)).tolist()
    with LlamaCpp(path, context=128) as llama:
        assert divergence(reference(model, ids), llama.logits(ids)) < 1e-5


@pytest.mark.parametrize("regex", [None, LLAMA3_REGEX], ids=["gpt-2", "llama-bpe"])
def test_locally_trained_tokenizers_split_the_same_way(regex, tmp_path):
    tokenizer = byte_level_tokenizer(regex)
    model = make_model(tmp_path / "model", "qwen2", tokenizer=tokenizer)
    path, _, _ = convert(model)
    with LlamaCpp(path) as llama:
        for line in TEXTS:
            assert llama.tokenize(line) == tokenizer(line, add_special_tokens=False)["input_ids"]


def test_an_unknown_splitting_is_refused_by_its_regex(tmp_path):
    model = make_model(tmp_path / "model", tokenizer=byte_level_tokenizer(r"\p{L}+|[^\p{L}]+"))
    with pytest.raises(UnsupportedTokenizer) as caught:
        convert(model)
    assert r"\p{L}+|[^\p{L}]+" in str(caught.value)
    assert not (tmp_path / "gguf").exists()


# Mean KL in nats on this random model (about four times what was measured), relative error of a weight
# matrix.
LIMITS = {
    "F16": (1e-6, 3e-4),
    "BF16": (1e-4, 1e-9),
    "Q8_0": (4e-4, 6e-3),
    "Q6_K": (3e-3, 0.02),
    "Q5_K_M": (0.012, 0.04),
    "Q5_K_S": (0.012, 0.04),
    "Q4_K_M": (0.03, 0.08),
    "Q4_K_S": (0.03, 0.08),
}


@pytest.mark.parametrize("quantization", LIMITS)
def test_every_quantisation_stays_near_the_model(quantization, qwen, tmp_path):
    path, outcome, _ = convert(qwen, quantization, output_path=str(tmp_path / "out"))
    ids = torch.randint(0, 400, (64,), generator=torch.Generator().manual_seed(3)).tolist()
    limit, error = LIMITS[quantization]
    with LlamaCpp(path, context=64) as llama:
        assert divergence(reference(qwen, ids), llama.logits(ids)) < limit
    held = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert set(outcome.details["types"]) == {tensor.tensor_type.name for tensor in held.values()}
    up = held["blk.0.ffn_up.weight"]
    source = tensors(qwen)["model.layers.0.mlp.up_proj.weight"].float().numpy()
    found = gguf.quants.dequantize(up.data, up.tensor_type).reshape(source.shape)
    assert np.linalg.norm(found - source) <= error * np.linalg.norm(source)


def test_the_mix_is_llama_cpp_s_and_falls_back_where_rows_do_not_fit(tmp_path):
    """Rows of 64 hold no block of 256: Q4_K becomes Q5_0, Q6_K becomes Q8_0, as in ``llama-quantize``."""
    model = make_model(
        tmp_path / "model", "llama", hidden_size=64, intermediate_size=256, num_hidden_layers=8
    )
    path, outcome, _ = convert(model, "Q4_K_M")
    kinds = {tensor.name: tensor.tensor_type.name for tensor in gguf.GGUFReader(path).tensors}
    assert kinds["output.weight"] == "Q8_0"
    assert kinds["token_embd.weight"] == "Q5_0"
    assert kinds["blk.0.attn_q.weight"] == "Q5_0"
    assert kinds["blk.0.attn_norm.weight"] == "F32"
    assert [kinds[f"blk.{i}.ffn_down.weight"] for i in range(8)] == [
        "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q4_K", "Q4_K", "Q6_K", "Q6_K",
    ]  # fmt: skip
    assert [kinds[f"blk.{i}.attn_v.weight"] for i in (0, 1, 3)] == ["Q8_0", "Q5_0", "Q8_0"]
    assert outcome.details["types"]["Q5_0"] == list(kinds.values()).count("Q5_0")


def test_q8_0_equals_the_reference_quantiser_byte_for_byte(tmp_path):
    model = make_model(tmp_path / "model", "llama", dtype=torch.bfloat16)
    path, _, _ = convert(model, "Q8_0")
    source = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).state_dict()
    for tensor in gguf.GGUFReader(path).tensors:
        if tensor.name.endswith("ffn_up.weight"):
            name = f"model.layers.{tensor.name.split('.')[1]}.mlp.up_proj.weight"
            wanted = gguf.quants.quantize(source[name].numpy(), gguf.GGMLQuantizationType.Q8_0)
            assert np.array_equal(tensor.data, wanted)


def test_more_ends_than_one_are_all_ends_and_all_stops(tmp_path):
    """A base model whose template ends turns with another token than its tokenizer does."""
    tokenizer = byte_level_tokenizer()
    tokenizer.eos_token = "<|endoftext|>"
    model = make_model(tmp_path / "model", "qwen2", tokenizer=tokenizer)
    path, _, _ = convert(model, create_modelfile=True, model_name="mine")
    own, turn = (tokenizer.convert_tokens_to_ids(token) for token in ("<|endoftext|>", "<|im_end|>"))
    with LlamaCpp(path) as llama:
        assert llama.eos_id == own and llama.is_end(own) and llama.is_end(turn)
    commands = parse_modelfile((path.parent / "Modelfile").read_text())
    assert [c.value for c in commands if c.name == "stop"] == ["<|endoftext|>", "<|im_end|>"]
    assert commands[0].value == f"./{path.name}"


def test_the_default_place_is_beside_the_model_with_true_records(qwen, tmp_path):
    path, outcome, events = convert(qwen, "Q8_0", create_modelfile=True, model_name="llama2-finetuned")
    assert path == qwen.parent / "gguf" / "llama2-finetuned-Q8_0" / "llama2-finetuned-Q8_0.gguf"
    assert sorted(file.name for file in path.parent.iterdir()) == [
        "Modelfile", "convert.json", "llama2-finetuned-Q8_0.gguf", "manifest.json",
    ]  # fmt: skip
    assert manifest_problems(path.parent, Manifest.read(path.parent / "manifest.json")) == []
    last = [event for event in events if event["kind"] == "step"][-1]
    assert last["step"] == last["total"] == len(gguf.GGUFReader(path).tensors)
    before = path.read_bytes()
    convert(qwen, "Q8_0", create_modelfile=True, model_name="llama2-finetuned")
    assert path.read_bytes() == before


def test_a_named_file_keeps_its_neighbours(qwen, tmp_path):
    (tmp_path / "other.gguf").write_bytes(b"mine")
    path, _, _ = convert(qwen, "F16", output_path=str(tmp_path / "a.gguf"))
    assert path == tmp_path / "a.gguf"
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "a.convert.json", "a.gguf", "a.manifest.json", "other.gguf",
    ]  # fmt: skip
    with pytest.raises(TargetExists):
        convert(qwen, "F16", output_path=str(tmp_path / "other.gguf"))
    assert (tmp_path / "other.gguf").read_bytes() == b"mine"


def test_an_adapter_is_sent_to_merge_with_the_command(qwen, tmp_path):
    adapter = make_adapter(tmp_path / "lora_adapter", qwen)
    with pytest.raises(MergeFirst) as caught:
        convert(adapter)
    assert f"mozhu merge --adapter {adapter}" in str(caught.value)


def _edit(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def test_unsupported_families_and_settings_are_named(tmp_path):
    model = make_model(tmp_path / "model", "llama")
    for settings, error in (
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            UnsupportedModelSetting,
        ),
        ({"hidden_act": "relu"}, UnsupportedModelSetting),
        ({"model_type": "falcon"}, UnsupportedFamily),
    ):
        _edit(model, **settings)
        with pytest.raises(error) as caught:
            convert(model)
        assert caught.value.exit_code == 3
    assert "qwen3" in str(caught.value)


def test_values_too_large_for_f16_are_not_made_infinite(tmp_path):
    model = make_model(tmp_path / "model", "llama", dtype=torch.bfloat16)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    loaded.model.layers[0].mlp.up_proj.weight.data[0, 0] = 1e6
    loaded.save_pretrained(model)
    with pytest.raises(UnsupportedModelSetting):
        convert(model, "F16")
    assert not (tmp_path / "gguf" / "model-F16").exists()
    convert(model, "BF16")


def test_a_failed_certificate_leaves_nothing(qwen, tmp_path):
    def certify(source: Path, file: Path, quantization: str, rows: list | None) -> Certificate:
        assert file.is_file() and quantization == "Q8_0"
        bad = Check(name="mean_kl", value=0.7, limit=0.01, ok=False)
        return Certificate(kind="gguf", checks=[bad], passed=False)

    slots.register("mozhu.rooms_of_this_test", "certify_gguf", certify)
    try:
        with pytest.raises(CertificateFailed) as caught:
            convert(qwen, "Q8_0", output_path=str(tmp_path / "out"))
        with pytest.raises(CertificateFailed):
            convert(qwen, "Q8_0", output_path=str(tmp_path / "a.gguf"))
    finally:
        slots._added["mozhu.rooms_of_this_test"].pop("certify_gguf")
    assert "mean_kl" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_llama_cpp_refuses_what_is_no_gguf_file_with_its_reason(tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"GGUF nonsense")
    with pytest.raises(LlamaCppRefused):
        LlamaCpp(tmp_path / "a.gguf")
    with pytest.raises(MozhuError):
        LlamaCpp(tmp_path / "absent.gguf")


def test_a_run_folder_with_its_merge_is_converted_and_a_stale_merge_is_not(qwen, tmp_path):
    adapter = make_adapter(tmp_path / "run" / "lora_adapter", qwen)
    merged = MergeSpec(
        base_model=str(qwen), adapter=str(adapter), output_path=str(tmp_path / "run/merged_model")
    )
    run_merge(merged, tmp_path / "run", lambda *_, **__: None)
    path, outcome, _ = convert(tmp_path / "run", "F16")
    assert path.parent.parent == tmp_path / "run" / "gguf"
    make_adapter(adapter, qwen, seed=5)
    with pytest.raises(MergeFirst):
        convert(tmp_path / "run", "F16")


def test_a_window_that_llama_cpp_lacks_limits_the_context_and_is_told(tmp_path):
    model = make_model(
        tmp_path / "model", "mistral", tokenizer=sentence_tokenizer(prefix=True), sliding_window=64
    )
    path, outcome, events = convert(model)
    assert outcome.details["narrowed"] == {"context_length": 64}
    assert [event["code"] for event in events if event["kind"] == "finding" and event["code"] == "EXPORT-015"]
    field = gguf.GGUFReader(path).fields["llama.context_length"]
    assert field.contents() == 64


def test_a_stop_in_the_middle_leaves_nothing(qwen, tmp_path):
    def stop(kind: str, **_: object) -> None:
        raise KeyboardInterrupt

    for place in ("out", "a.gguf"):
        with pytest.raises(KeyboardInterrupt):
            run_convert(ConvertSpec(model=str(qwen), output_path=str(tmp_path / place)), tmp_path, stop)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_write_is_found_when_the_file_is_read_back(qwen, tmp_path):
    plan = plan_gguf(ModelFolder.open(qwen), "F16", "tiny")
    path = tmp_path / "a.gguf"
    write_gguf(plan, path, lambda *_, **__: None, lambda *_: None)
    check_gguf(path, plan, shown_path=path)
    plan.vocab.template = "another"
    plan.tensors.pop()
    with pytest.raises(ReadBackFailed) as caught:
        check_gguf(path, plan, shown_path=path)
    assert "chat_template" in str(caught.value) and len(caught.value.params["checks"]) == 2
