"""Adapters out of adapters: PEFT is the oracle where the method is PEFT's own, arithmetic where it is ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from models import make_adapter, make_model, tensors
from peft import PeftModel
from peft.tuners.lora import LoraModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from mozhu.engine.export.adapters.arithmetic import run_combine, run_scale
from mozhu.engine.export.adapters.extract import run_extract
from mozhu.engine.export.adapters.look import adapters_compare, adapters_list, adapters_show
from mozhu.engine.export.adapters.methods import module_seed
from mozhu.engine.export.merge import run_merge
from mozhu.kernel.errors import CannotCombine, NotSameModel
from mozhu.specs.adapters import (
    AdapterListSpec,
    AdapterShowSpec,
    CombineSpec,
    CompareSpec,
    ExtractSpec,
    ScaleSpec,
)
from mozhu.specs.export import MergeSpec
from mozhu.specs.records.manifest import Manifest, manifest_problems

WEIGHTS = [0.7, -1.5]
MODULE = "model.layers.0.self_attn.q_proj"


def quiet(*_: object, **__: object) -> None:
    pass


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    return make_model(tmp_path_factory.mktemp("models") / "base", num_hidden_layers=1)


@pytest.fixture(scope="module")
def pair(base) -> list[Path]:
    """Two of equal rank on one module, so that PEFT throws its dice in the same order."""
    settings = {"target_modules": [MODULE.removeprefix("model.")]}
    return [make_adapter(base.parent / f"a{n}", base, seed=n, **settings) for n in (1, 2)]


def combine(adapters: list[Path], target: Path, **more: Any) -> Path:
    spec = CombineSpec(adapters=adapters, output_path=str(target), **more)
    run_combine(spec, target.parent, quiet)
    return target


def delta(folder: Path) -> torch.Tensor:
    held, config = (
        load_file(folder / "adapter_model.safetensors"),
        json.loads((folder / "adapter_config.json").read_text()),
    )
    a, b = (held[f"base_model.model.{MODULE}.lora_{side}.weight"].double() for side in "AB")
    return b @ a * config["lora_alpha"] / a.shape[0]


@pytest.mark.parametrize(
    "method",
    [
        "linear",
        "cat",
        "svd",
        "ties",
        "ties_svd",
        "dare_linear",
        "dare_linear_svd",
        "dare_ties",
        "dare_ties_svd",
        "magnitude_prune",
        "magnitude_prune_svd",
    ],
)
def test_the_methods_of_peft_give_what_peft_gives(method, base, pair, tmp_path, monkeypatch):
    inject = LoraModel.inject_adapter

    def inject_then_seed(*words: Any, **more: Any) -> None:
        inject(*words, **more)  # throws dice for factors that are overwritten afterwards
        torch.manual_seed(module_seed(7, MODULE))

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), pair[0], adapter_name="one")
    model.load_adapter(pair[1], adapter_name="two")
    monkeypatch.setattr(LoraModel, "inject_adapter", inject_then_seed)
    density = 0.4 if method.startswith(("ties", "dare", "magnitude")) else None
    model.add_weighted_adapter(["one", "two"], WEIGHTS, "both", method, density=density)
    layer = model.base_model.model.model.layers[0].self_attn.q_proj
    wanted = layer.get_delta_weight("both").double()
    found = combine(pair, tmp_path / "both", method=method, weights=WEIGHTS, density=density, seed=7)
    assert torch.allclose(delta(found), wanted, atol=1e-5 * float(wanted.abs().max()))


def test_the_sum_is_exact_for_different_ranks_and_modules_and_merges_like_its_parts(base, tmp_path):
    one = make_adapter(tmp_path / "one", base, r=4, use_rslora=True)
    two = make_adapter(tmp_path / "two", base, r=2, seed=5, target_modules=["q_proj", "embed_tokens"])
    held = load_file(two / "adapter_model.safetensors")
    save_file({k: v for k, v in held.items() if "lora_" in k}, two / "adapter_model.safetensors")
    both = combine([one, two], tmp_path / "both", weights=WEIGHTS)
    halves = [
        combine([folder], tmp_path / f"{folder.name}-alone", weights=[weight])
        for folder, weight in zip((one, two), WEIGHTS, strict=True)
    ]
    for name, folder in (("both", both), ("first", halves[0])):
        run_merge(
            MergeSpec(base_model=str(base), adapter=str(folder), output_path=str(tmp_path / f"m-{name}")),
            tmp_path,
            quiet,
        )
    run_merge(
        MergeSpec(
            base_model=str(tmp_path / "m-first"),
            adapter=str(halves[1]),
            output_path=str(tmp_path / "m-second"),
        ),
        tmp_path,
        quiet,
    )
    at_once, in_turn = tensors(tmp_path / "m-both"), tensors(tmp_path / "m-second")
    assert all(torch.allclose(at_once[name], in_turn[name], atol=1e-5) for name in in_turn)
    assert manifest_problems(both, Manifest.read(both / "manifest.json")) == []


@pytest.mark.parametrize("factor", [0.5, 0.3, -1.0])
def test_a_scaled_adapter_is_that_many_times_as_strong(factor, pair, tmp_path):
    spec = ScaleSpec(adapter=str(pair[0]), factor=factor, output_path=str(tmp_path / "scaled"))
    outcome = run_scale(spec, tmp_path, quiet)
    assert torch.allclose(delta(tmp_path / "scaled"), factor * delta(pair[0]), rtol=1e-6, atol=1e-8)
    assert outcome.metrics["length"].value == pytest.approx(
        float(delta(tmp_path / "scaled").norm()), rel=1e-5
    )


def test_what_an_adapter_did_is_extracted_again_and_less_rank_says_its_error(base, tmp_path):
    adapter = make_adapter(tmp_path / "adapter", base, r=4, target_modules=["q_proj", "down_proj"])
    run_merge(
        MergeSpec(base_model=str(base), adapter=str(adapter), output_path=str(tmp_path / "tuned")),
        tmp_path,
        quiet,
    )

    def extract(rank: int) -> Any:
        spec = ExtractSpec(
            model=str(tmp_path / "tuned"),
            base_model=str(base),
            rank=rank,
            output_path=str(tmp_path / f"r{rank}"),
        )
        return run_extract(spec, tmp_path, quiet).metrics["error"].value

    assert extract(4) < 1e-4
    assert torch.allclose(delta(tmp_path / "r4"), delta(adapter), atol=1e-5)
    old, new = tensors(base), tensors(tmp_path / "tuned")
    lost = whole = 0.0
    for name in old:
        if not torch.equal(old[name], new[name]):
            values = torch.linalg.svdvals((new[name] - old[name]).double())
            lost, whole = lost + float((values[2:] ** 2).sum()), whole + float((values**2).sum())
    assert extract(2) == pytest.approx((lost / whole) ** 0.5, rel=1e-3)


def test_a_model_that_is_no_fine_tuning_of_the_base_is_refused(base, tmp_path):
    other = make_model(tmp_path / "other", num_hidden_layers=1, hidden_size=96)
    spec = ExtractSpec(model=str(other), base_model=str(base), output_path=str(tmp_path / "no"))
    with pytest.raises(NotSameModel):
        run_extract(spec, tmp_path, quiet)


def test_all_reasons_against_a_combination_are_told_at_once(base, tmp_path):
    dora = make_adapter(tmp_path / "dora", base, use_dora=True)
    saved = make_adapter(tmp_path / "saved", base, target_modules=["q_proj"], modules_to_save=["lm_head"])
    with pytest.raises(CannotCombine) as caught:
        combine([dora, saved], tmp_path / "no")
    assert "DoRA" in str(caught.value) and "lm_head" in str(caught.value)
    uneven = [make_adapter(tmp_path / f"r{r}", base, r=r, target_modules=["q_proj"]) for r in (2, 4)]
    with pytest.raises(CannotCombine):
        combine(uneven, tmp_path / "no", method="linear")
    assert not (tmp_path / "no").exists()


def test_looking_tells_what_the_files_hold(base, pair, tmp_path):
    listed = adapters_list(AdapterListSpec(folder=str(pair[0].parent)))
    assert {"a1", "a2"} <= {one.name for one in listed} and all(one.against == [] for one in listed)
    shown = adapters_show(AdapterShowSpec(adapter=str(pair[0])))
    values = torch.linalg.svdvals(delta(pair[0]))[:4]
    assert shown["modules"][0]["singular_values"] == pytest.approx(values.tolist(), rel=1e-6)
    assert shown["modules"][0]["length"] == pytest.approx(float(delta(pair[0]).norm()), rel=1e-6)
    found = adapters_compare(CompareSpec(adapter=str(pair[0]), other=str(pair[1])))
    one, two = delta(pair[0]).flatten(), delta(pair[1]).flatten()
    assert found["cosine"] == pytest.approx(float(one @ two / one.norm() / two.norm()), abs=1e-9)
    same = adapters_compare(CompareSpec(adapter=str(pair[0]), other=str(pair[0])))
    assert same["cosine"] == pytest.approx(1.0) and same["settings"] == {}
