"""Tiny models are ordinary Hugging Face folders, and the same request gives the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from mozhu.specs.records.snapshot import PreparedRow
from mozhu.testing import TINY_FAMILIES, make_tiny_adapter, make_tiny_model
from mozhu.testing.rows import tiny_rows
from mozhu.testing.tiny_models import make_tiny_classifier
from mozhu.testing.tiny_tokenizers import TOKENIZERS, make_tiny_tokenizer


def _hashes(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("family", TINY_FAMILIES)
def test_every_family_loads_and_runs(family: str, tie: bool, tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m", family, tie=tie, shards=1 if tie else 3)
    auto = AutoModelForImageTextToText if family == "qwen2_vl" else AutoModelForCausalLM
    model, told = auto.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    assert not told["missing_keys"] and not told["unexpected_keys"]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    ids = tokenizer.apply_chat_template(
        [{"role": "user", "content": "你好, tiny model"}], add_generation_prompt=True, return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        logits = model(ids).logits
    assert logits.shape == (1, ids.shape[1], model.config.get_text_config().vocab_size)
    assert torch.isfinite(logits).all() and logits.std() > 0.1
    same = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert same == tie
    assert len(list(folder.glob("*.safetensors"))) == (1 if tie else 3)


def test_the_vision_tower_takes_pictures(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "vl", "qwen2_vl")
    model = AutoModelForImageTextToText.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # A grid of 1 x 4 x 4 patches is merged two by two into four places of the text.
    text = "<|vision_start|>" + "<|image_pad|>" * 4 + "<|vision_end|>看图"
    ids = tokenizer(text, return_tensors="pt")["input_ids"]
    places = (ids == model.config.image_token_id).int()
    grid = torch.tensor([[1, 4, 4]])
    generator = torch.Generator().manual_seed(0)
    pictures = [torch.randn(16, 3 * 2 * 14 * 14, generator=generator) for _ in range(2)]
    with torch.no_grad():
        one, other = (
            model(input_ids=ids, pixel_values=picture, image_grid_thw=grid, mm_token_type_ids=places).logits[
                0, -1
            ]
            for picture in pictures
        )
    assert (one - other).abs().max() > 1e-3


def test_the_same_seed_gives_the_same_bytes_in_another_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from mozhu.testing import make_tiny_model, make_tiny_adapter\n"
        f"for kind in {TOKENIZERS}: make_tiny_model(kind, 'qwen2', tokenizer=kind, shards=2, seed=3)\n"
        "make_tiny_adapter('lora', 'bpe', seed=3)"
    )
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.chdir(place)
    exec(code)
    here = {name: _hashes(place / name) for name in (*TOKENIZERS, "lora")}
    environment = {**os.environ, "PYTHONHASHSEED": "5"}
    subprocess.run([sys.executable, "-c", code], cwd=place, check=True, env=environment)
    assert {name: _hashes(place / name) for name in (*TOKENIZERS, "lora")} == here


def test_another_seed_gives_another_model_and_leaves_the_process_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(1)
    torch.manual_seed(7)
    one = make_tiny_model(tmp_path / "a", seed=0)
    assert torch.equal(torch.rand(1), wanted)
    other = make_tiny_model(tmp_path / "b", seed=1)
    names = {name for name, value in _hashes(one).items() if value != _hashes(other)[name]}
    assert names == {"model.safetensors"}


def test_the_adapter_changes_answers_unless_its_scale_is_zero(tmp_path: Path) -> None:
    base = make_tiny_model(tmp_path / "base", "llama")
    ids = torch.tensor([[1, 2, 3]])
    plain = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)(ids).logits
    for scale, changes in ((1.0, True), (0.0, False)):
        lora = make_tiny_adapter(tmp_path / "lora", base, rank=2, scale=scale)
        model = AutoModelForCausalLM.from_pretrained(base, local_files_only=True)
        model.load_adapter(str(lora))
        assert bool((model(ids).logits - plain).abs().max() > 0.05) == changes


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_no_text_is_unknown_to_the_tokenizers(kind: str) -> None:
    tokenizer = make_tiny_tokenizer(kind)
    for text in ("你好，世界 hello 123", "龘😀 ñ\n\ttab", "def f(x):\n    return x"):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert tokenizer.unk_token_id is None or tokenizer.unk_token_id not in ids


def test_a_width_for_k_quants_and_a_half_precision_are_given(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m", "qwen3", hidden=256, layers=1, dtype="bfloat16")
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    assert model.dtype == torch.bfloat16
    assert all(
        value.shape[-1] % 256 == 0 for name, value in model.named_parameters() if name.endswith("proj.weight")
    )


def test_the_classifier_scores_each_label(tmp_path: Path) -> None:
    folder = make_tiny_classifier(tmp_path / "c", labels=4)
    model = AutoModelForSequenceClassification.from_pretrained(folder, local_files_only=True)
    assert model(torch.tensor([[5, 6, 7]])).logits.shape == (1, 4)


def test_tiny_rows_are_prepared_rows_and_all_different() -> None:
    rows = tiny_rows(20, turns=2)
    assert len({str(row["messages"]) for row in rows}) == 20
    for row in rows:
        PreparedRow.model_validate(row)
    assert tiny_rows(20, turns=2) == rows


def test_unknown_families_and_tokenizers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="qwen2"):
        make_tiny_model(tmp_path / "m", "gpt9")
    with pytest.raises(ValueError, match="sentencepiece"):
        make_tiny_model(tmp_path / "m", tokenizer="word")
    assert not (tmp_path / "m").exists()


def test_importing_the_room_costs_no_torch() -> None:
    code = "import sys, mozhu.testing as t; t.starter_path(); print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
