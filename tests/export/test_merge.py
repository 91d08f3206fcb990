"""A merged model is the trained model: equal to PEFT's merge to the last bit, or refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from models import make_adapter, make_model, merged_by_peft, tensors
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from mozhu.engine.export import targets
from mozhu.engine.export.merge import run_merge
from mozhu.engine.weights.base_record import write_base_record
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.kernel import slots
from mozhu.kernel.errors import (
    AdapterMismatch,
    CertificateFailed,
    DiskFull,
    MozhuError,
    NoEffect,
    NotMergeable,
    OutputInsideInput,
    TargetExists,
)
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.manifest import Manifest, manifest_problems
from mozhu.specs.records.sidecars import ABOUT


def merge(base: Path, adapter: Path, target: Path, **more: object):
    events = []
    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target), **more)
    outcome = run_merge(spec, target.parent, lambda kind, **fields: events.append({"kind": kind, **fields}))
    return outcome, events


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "base", "llama")


@pytest.fixture(scope="module")
def adapter(base) -> Path:
    return make_adapter(base.parent / "adapter", base)


CASES = {
    "plain": ({}, {}),
    "tied": ({"family": "qwen2", "tie": True}, {}),
    "bfloat16": ({"family": "qwen2", "dtype": torch.bfloat16}, {}),
    "float16": ({"dtype": torch.float16}, {}),
    "shards": ({"family": "mistral", "shard": "200KB", "dtype": torch.bfloat16}, {}),
    "rank-stabilised": ({}, {"use_rslora": True}),
    "patterns": (
        {},
        {"rank_pattern": {"q_proj": 2, "layers.1.mlp.up_proj": 8}, "alpha_pattern": {"v_proj": 32}},
    ),
    "saved head": ({}, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    "dora": ({"dtype": torch.bfloat16}, {"use_dora": True}),
    "embedding": ({"dtype": torch.bfloat16}, {"target_modules": ["embed_tokens", "o_proj"]}),
    "biases": ({"family": "qwen2"}, {"target_modules": ["q_proj"], "lora_bias": True}),
    "trained biases": ({"family": "qwen2"}, {"target_modules": ["q_proj", "o_proj"], "bias": "all"}),
    "gemma": ({"family": "gemma3", "tie": True, "head_dim": 16}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_merge_equals_peft_to_the_last_bit(case, tmp_path):
    model, settings = CASES[case]
    base = make_model(tmp_path / "base", **model)
    adapter = make_adapter(tmp_path / "adapter", base, **settings)
    outcome, _ = merge(base, adapter, tmp_path / "ours")
    wanted = tensors(merged_by_peft(base, adapter, tmp_path / "peft", model.get("shard", "5GB")))
    ours = tensors(tmp_path / "ours")
    assert set(ours) == set(wanted)
    different = [name for name in wanted if not torch.equal(ours[name], wanted[name])]
    assert different == []
    assert outcome.details["changed"] > 0
    assert outcome.metrics["adapter_effect"].value > 0


def test_shards_index_and_metadata_stay_as_in_the_base(tmp_path):
    base = make_model(tmp_path / "base", shard="200KB")
    merge(base, make_adapter(tmp_path / "adapter", base), tmp_path / "merged")
    files = sorted(path.name for path in base.glob("*.safetensors"))
    assert len(files) > 2
    assert sorted(path.name for path in (tmp_path / "merged").glob("*.safetensors")) == files
    index = "model.safetensors.index.json"
    assert json.loads((tmp_path / "merged" / index).read_text()) == json.loads((base / index).read_text())
    for name in files:
        first, second = (base / name).read_bytes(), (tmp_path / "merged" / name).read_bytes()
        length = int.from_bytes(first[:8], "little")
        assert first[: 8 + length] == second[: 8 + length]


def test_the_folder_is_a_whole_model_with_tokenizer_template_and_true_manifest(base, adapter, tmp_path):
    merge(base, adapter, tmp_path / "merged")
    ids = torch.tensor([[5, 9, 300, 17]])
    with_adapter = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        assert torch.allclose(with_adapter(ids).logits, merged(ids).logits, atol=1e-4)
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").chat_template
    manifest = Manifest.read(tmp_path / "merged" / "manifest.json")
    assert manifest_problems(tmp_path / "merged", manifest) == []


def test_what_the_registry_wrote_about_the_base_is_not_said_of_the_result(base, adapter, tmp_path):
    registered = shutil.copytree(base, tmp_path / "registered")
    for name in ABOUT:
        (registered / name).write_text("{}")
    merge(registered, adapter, tmp_path / "merged")
    assert not {path.name for path in (tmp_path / "merged").iterdir()} & ABOUT


@pytest.mark.parametrize("touched", ["lm_head", "embed_tokens"])
def test_a_tied_layer_that_was_trained_alone_becomes_its_own(touched, tmp_path):
    """In training only one of the two layers saw the adapter; writing it to both would be another model."""
    base = make_model(tmp_path / "base", "qwen2", tie=True, shard="200KB")
    adapter = make_adapter(tmp_path / "adapter", base, target_modules=["q_proj", touched])
    for file in adapter.glob("*.safetensors"):
        kept = {name: value for name, value in load_file(file).items() if "lora_" in name}
        save_file(kept, file)
    outcome, _ = merge(base, adapter, tmp_path / "merged")
    assert outcome.details["untied"]
    ids = torch.tensor([[5, 9, 300, 17]])
    trained = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval()
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").eval()
    with torch.no_grad():
        assert torch.allclose(trained(ids).logits, merged(ids).logits, atol=1e-4)


def _edit(folder: Path, **settings: object) -> Path:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"peft_type": "PREFIX_TUNING"},
        {"peft_type": "PROMPT_TUNING"},
        {"peft_type": "P_TUNING"},
        {"peft_type": "OFT"},
        {"layer_replication": [[0, 2], [1, 3]]},
        {"alora_invocation_tokens": [1, 2]},
        {"init_lora_weights": "pissa_niter_16"},
        {"init_lora_weights": "loftq"},
        {"use_qalora": True},
        {"use_bdlora": {"nblocks": 2}},
        {"kasa_config": {"beta": 1}},
        {"monteclora_config": {"num_samples": 2}},
        {"velora_config": {"num_groups": 2}},
        {"arrow_config": {"top_k": 1}},
        {"use_something_of_tomorrow": True},
    ],
)
def test_what_cannot_be_merged_is_refused_by_name(settings, base, tmp_path):
    adapter = _edit(make_adapter(tmp_path / "adapter", base), **settings)
    with pytest.raises(NotMergeable) as caught:
        merge(base, adapter, tmp_path / "merged")
    name, value = next(iter(settings.items()))
    assert name in str(caught.value) or str(value) in str(caught.value)
    assert not (tmp_path / "merged").exists()


def test_a_quantised_base_is_refused(base, adapter, tmp_path):
    quantised = tmp_path / "quantised"
    shutil.copytree(base, quantised)
    config = json.loads((quantised / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes"}
    (quantised / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotMergeable):
        merge(quantised, adapter, tmp_path / "merged")


def test_an_adapter_without_effect_is_refused_and_nothing_is_written(base, tmp_path):
    adapter = make_adapter(tmp_path / "adapter", base, zero=True)
    with pytest.raises(NoEffect):
        merge(base, adapter, tmp_path / "merged")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]


@pytest.mark.parametrize(
    "other", [{"family": "llama", "hidden_size": 96}, {"family": "llama", "num_hidden_layers": 2}]
)
def test_another_base_is_refused_with_the_misfits(other, adapter, tmp_path):
    wrong = make_model(tmp_path / "wrong", **other)
    with pytest.raises(AdapterMismatch) as caught:
        merge(wrong, adapter, tmp_path / "merged")
    assert "layers." in str(caught.value)
    assert caught.value.exit_code == 3


def test_a_folder_of_somebody_else_is_not_replaced_but_an_earlier_merge_is(base, adapter, tmp_path):
    target = tmp_path / "merged"
    target.mkdir()
    (target / "thesis.txt").write_text("mine")
    with pytest.raises(TargetExists):
        merge(base, adapter, target)
    assert (target / "thesis.txt").read_text() == "mine"
    merge(base, adapter, target, overwrite=True)
    first = (target / "model.safetensors").read_bytes()
    merge(base, adapter, target)
    assert (target / "model.safetensors").read_bytes() == first


def test_the_output_may_not_be_the_base_or_hold_it(base, adapter):
    for target in (base, base / "merged", base.parent):
        with pytest.raises(OutputInsideInput):
            merge(base, adapter, target, overwrite=True)


def test_the_base_that_the_adapter_names_is_used(base, adapter, tmp_path):
    spec = MergeSpec(adapter=str(adapter), output_path=str(tmp_path / "merged"))
    run_merge(spec, tmp_path, lambda *_, **__: None)
    assert (tmp_path / "merged" / "config.json").is_file()


def test_a_failed_certificate_leaves_nothing(base, adapter, tmp_path, monkeypatch):
    seen = []

    def certify(base: Path, adapter: Path, merged: Path, rows: list | None) -> Certificate:
        seen.append((merged / "model.safetensors").is_file() and (merged / "tokenizer.json").is_file())
        bad = Check(name="max_abs_logit_difference", value=0.7, limit=0.0001, ok=False)
        return Certificate(kind="merge", checks=[bad], passed=False)

    slots.register("mozhu.rooms_of_this_test", "certify_merge", certify)
    try:
        with pytest.raises(CertificateFailed) as caught:
            merge(base, adapter, tmp_path / "merged")
    finally:
        slots._added["mozhu.rooms_of_this_test"].pop("certify_merge")
    assert seen == [True]
    assert "max_abs_logit_difference" in str(caught.value) and caught.value.exit_code == 5
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_every_tensor(base, adapter, tmp_path):
    _, events = merge(base, adapter, tmp_path / "merged")
    last = [event for event in events if event["kind"] == "step"][-1]
    assert last["step"] == last["total"] == len(tensors(base))


def test_a_truncated_base_is_named(base, adapter, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(base, damaged)
    with open(damaged / "model.safetensors", "r+b") as file:
        file.truncate((damaged / "model.safetensors").stat().st_size - 10)
    with pytest.raises(MozhuError) as caught:
        merge(damaged, adapter, tmp_path / "merged")
    assert caught.value.code == "MODEL-004"


def test_an_adapter_of_another_training_base_is_refused_though_its_shapes_fit(base, tmp_path):
    adapter = make_adapter(tmp_path / "adapter", base)
    write_base_record(adapter, str(base), fingerprint(base))
    merge(base, adapter, tmp_path / "right")
    twin = make_model(tmp_path / "twin", "llama", seed=7)
    with pytest.raises(AdapterMismatch) as caught:
        merge(twin, adapter, tmp_path / "merged")
    assert "weights" in str(caught.value)
    assert not (tmp_path / "merged").exists()


def test_a_stop_in_the_middle_leaves_the_old_model_as_it_was(base, adapter, tmp_path):
    target = tmp_path / "merged"
    merge(base, adapter, target)
    before = {path.name: path.read_bytes() for path in target.iterdir()}

    def stop(kind: str, **_: object) -> None:
        raise KeyboardInterrupt

    spec = MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(target))
    with pytest.raises(KeyboardInterrupt):
        run_merge(spec, tmp_path, stop)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]


def test_a_full_disk_is_told_before_anything_is_written(base, adapter, tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "free_bytes", lambda _: 1000)
    with pytest.raises(DiskFull):
        merge(base, adapter, tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []
