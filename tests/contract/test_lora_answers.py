"""A26 to A29, A37, A40, A41: what seed 004 prints on adapters, in corrected forms; the printed calls are answered."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import mozhu
from mozhu.engine.inference.loaded import LoadedModel
from mozhu.engine.weights.fingerprint import fingerprint
from mozhu.engine.weights.load import load_model
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel.errors import AdapterDoesNotFit, BaseMismatch, MissingExtra, NoSuchAdapter
from mozhu.testing import make_tiny_adapter, make_tiny_model

torch.set_num_threads(1)
PROMPT = "您的提示文本"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lora")
    base = make_tiny_model(root / "base", "qwen2")
    make_tiny_adapter(root / "first_adapter", base, record=True)
    make_tiny_adapter(root / "second_adapter", base, seed=1, rank=2, record=True)
    mozhu.merge(
        base_model=base, adapter=root / "first_adapter", output_path=root / "merged_model", quiet=True
    )
    return root


def loaded(place: Path, *names: str) -> LoadedModel:
    model: LoadedModel = mozhu.load(place / "first_adapter", dtype="float32")
    for name in names:
        model.load_adapter(place / "second_adapter", adapter_name=name)
    return model


@pytest.fixture(autouse=True)
def _here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("MOZHU_LANG", "en")


def alone(place: Path, name: str) -> str:
    """The adapter by itself, loaded as any other model."""
    with mozhu.chat(place / name, dtype="float32", max_new_tokens=24) as chat:
        return chat.ask(PROMPT)


def test_a26_an_adapter_answers_by_the_printed_call(place: Path) -> None:
    model = loaded(place)
    assert model.generate_text(PROMPT, max_new_tokens=24) == alone(place, "first_adapter") != ""
    assert model.generate_text(PROMPT, adapter_name="__base__", max_new_tokens=24) == alone(place, "base")


def test_a27_a_merged_model_answers_by_the_printed_call(place: Path) -> None:
    model = mozhu.load("merged_model", dtype="float32")
    assert model.generate_text(PROMPT, max_new_tokens=24) == alone(place, "first_adapter")
    assert model.adapters == [] and model.tokenizer.eos_token_id is not None


def test_a28_each_answer_by_the_adapter_that_it_names(place: Path) -> None:
    model = loaded(place, "adapter2")
    one, two = (alone(place, name) for name in ("first_adapter", "second_adapter"))
    assert one != two
    assert model.generate_text(PROMPT, adapter_name="adapter2", max_new_tokens=24) == two
    assert model.generate_text(PROMPT, max_new_tokens=24) == one, "the other one stays in force"
    names = ["adapter2", "default", "__base__"]
    mixed = model.generate_texts([PROMPT] * 3, adapter_names=names, max_new_tokens=24)
    assert mixed == [two, one, alone(place, "base")]


def test_a28_several_adapters_together_are_their_weighted_sum(place: Path) -> None:
    model = loaded(place, "adapter2")
    assert model.set_adapter(["default", "adapter2"]) == "default+adapter2"
    ids = torch.tensor([[5, 9, 3, 7]])
    found = model.model(input_ids=ids).logits
    mozhu.merge(
        base_model="base",
        adapter="first_adapter",
        more_adapters=["second_adapter"],
        output_path="both",
        quiet=True,
    )
    both = load_model(FoundModel("both", Path("both"), None, Path("both")), dtype="float32", device="cpu")
    assert torch.allclose(found, both(input_ids=ids).logits, atol=1e-4)
    assert mozhu.verify("both", deep=True).holds, "a merge of several has its certificate"
    model.set_adapter(["default", "adapter2"], [0.5, 0.5])
    assert not torch.allclose(found, model.model(input_ids=ids).logits, atol=1e-3)
    assert model.set_adapter("default") == "default"


def test_a28_an_adapter_that_is_not_there_is_named_with_the_call_that_loads_it(place: Path) -> None:
    with pytest.raises(NoSuchAdapter, match=r"load_adapter.*adapter_name=\"adapter2\""):
        loaded(place).generate_text(PROMPT, adapter_name="adapter2")


def test_a28_an_adapter_of_another_base_is_refused(place: Path, tmp_path: Path) -> None:
    model = mozhu.load(make_tiny_model(tmp_path / "other", "qwen2", seed=5), dtype="float32")
    with pytest.raises((BaseMismatch, AdapterDoesNotFit)):
        model.load_adapter(place / "first_adapter", adapter_name="adapter2")


def test_a37_the_printed_merge_and_the_command_make_the_same_model_and_both_are_proved(place: Path) -> None:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained("base"), "first_adapter")
    tokenizer = AutoTokenizer.from_pretrained("base")
    merged_model = model.merge_and_unload()
    merged_model.save_pretrained("path/to/merged_model")
    tokenizer.save_pretrained("path/to/merged_model")
    printed, ours = fingerprint("path/to/merged_model"), fingerprint("merged_model")
    assert printed["weights"] == ours["weights"] and ours["template"] == fingerprint("base")["template"]
    for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (place / "merged_model" / name).is_file()
    assert mozhu.verify("merged_model").holds
    proved = mozhu.certify("path/to/merged_model", source="base", adapter="first_adapter").certificate
    assert proved.kind == "merge" and proved.passed


def test_a40_a41_a_merged_model_is_saved_as_printed_and_by_convert(place: Path) -> None:
    """The printed calls are transformers' own; ``mozhu convert`` writes the same files, with their proof."""
    merged_model = AutoModelForCausalLM.from_pretrained("merged_model")
    merged_model.save_pretrained("path/to/save", safe_serialization=True)
    assert [path.name for path in Path("path/to/save").glob("model*")] == ["model.safetensors"]
    for size, name in (("2GB", "whole"), ("60KB", "cut")):
        merged_model.save_pretrained(f"printed/{name}", max_shard_size=size)
        run = mozhu.convert(
            model="merged_model", format="safetensors", max_shard_size=size, output_path=name, quiet=True
        )
        assert run.artefact == Path(name).absolute()
        printed, ours = (
            sorted(p.name for p in Path(d).glob("*.safetensors*")) for d in (f"printed/{name}", name)
        )
        assert printed == ours and (name == "whole") == (len(ours) == 1)
        assert mozhu.verify(name).holds


@pytest.mark.parametrize("kind", ["4bit", "8bit"])
def test_a29_a_quantised_base_with_an_adapter_or_what_it_needs(place: Path, kind: str) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(MissingExtra, match=r"mozhu\[quant\]"):
            mozhu.load("first_adapter", quantization=kind)
        return
    model = mozhu.load("first_adapter", quantization=kind, dtype="float32")
    assert model.adapters == ["default"]
    assert model.generate_text(PROMPT, max_new_tokens=8) is not None
    assert getattr(model.model.get_base_model().config, "quantization_config", None) is not None
