"""A thousand real rows through seed 003's five steps, with the starter in place of the 7B model."""

from __future__ import annotations

import os
from pathlib import Path

import gguf
import pytest
from job import Place, check_self_contained, events, made_once, make_place

from mozhu.engine.export.modelfile import parse_modelfile
from mozhu.engine.inference.llama_cpp import LlamaCpp
from mozhu.kernel.files import read_json, read_jsonl
from mozhu.specs.records.certificate import Certificate

pytestmark = pytest.mark.slow
SHARED = Path(os.environ.get("MOZHU_SHARED_DATA") or Path(__file__).resolve().parents[3] / "shared/data")
RAW = SHARED / "alpaca_zh_demo.json"
KINDS = ("F16", "Q8_0", "Q4_K_M")


def _work(folder: Path) -> None:
    """The five steps, typed in the workspace as seed 003 prints them but for the model's name and the settings."""
    place = make_place(folder)
    steps = [
        f"finetune/prepare_data.py --input {RAW} --input-format json --format-type alpaca "
        "--output-dir data/finetune --output-name train",
        "finetune/train_lora.py --base-model starter --train-data data/finetune/train_train.jsonl "
        "--val-data data/finetune/train_validation.jsonl --output-dir models/finetuned --epochs 1 "
        "--batch-size 8 --learning-rate 2e-3 --lora-r 8 --lora-alpha 16",
        "finetune/evaluate_model.py --base-model starter --lora-model models/finetuned/lora_adapter "
        "--test-data data/finetune/train_test.jsonl --output evaluation_results.csv --max_new_tokens 64",
        "finetune/evaluate_model.py --base-model starter --lora-model models/finetuned/lora_adapter --merge",
        *(
            f"finetune/convert_to_gguf.py --model-path models/finetuned/merged_model --quantization {kind} "
            "--create-modelfile --model-name alpaca"
            for kind in KINDS
        ),
    ]
    for step in steps:
        said = place.script(step)
        assert said.code == 0 and "Traceback" not in said.out + said.err, said.out + said.err


@pytest.fixture(scope="module")
def job(shared_folder: Path) -> Place:
    if not RAW.is_file():
        pytest.skip(f"{RAW} is not there; MOZHU_SHARED_DATA names the folder of alpaca_zh_demo.json")
    return Place(made_once(shared_folder / "real", _work))


def test_no_row_is_lost(job: Place) -> None:
    raw = read_json(RAW)
    parts = {name: list(read_jsonl(job.path(f"data/finetune/train_{name}.jsonl"))) for name in _PARTS}
    rejected = list(read_jsonl(job.path("data/finetune/rejected.jsonl")))
    assert sum(map(len, parts.values())) + len(rejected) == len(raw) == 1000
    assert [len(rows) for rows in parts.values()] == pytest.approx([800, 100, 100], abs=len(rejected) + 5)
    asked = [{row["messages"][-2]["content"] for row in rows} for rows in parts.values()]
    assert not asked[0] & asked[1] and not asked[0] & asked[2] and not asked[1] & asked[2]


def test_training_and_validation_loss_fall(job: Place) -> None:
    folder = job.path("models/finetuned")
    losses = [event["loss"] for event in events(folder, "step")]
    checked = [event["loss"] for event in events(folder, "eval")]
    tenth = len(losses) // 10
    assert sum(losses[-tenth:]) < 0.9 * sum(losses[:tenth])
    assert len(checked) >= 2 and checked[-1] < checked[0]
    check_self_contained(folder / "report.html")


def test_numbers_before_and_after_are_reported_and_perplexity_falls(job: Place) -> None:
    found = list(job.path("6_output").glob("*/evaluation.json"))
    assert len(found) == 1, found
    scored = read_json(found[0])["sets"]["test"]
    for name in ("perplexity", "rouge1", "rouge2", "rougeL", "bleu"):
        metric = scored["metrics"][name]
        assert metric["signature"] and metric["rows"] == scored["rows"] >= 90
        for side in ("base", "tuned"):
            assert metric[side]["low"] <= metric[side]["value"] <= metric[side]["high"], (name, side)
    perplexity = scored["metrics"]["perplexity"]
    assert perplexity["tuned"]["value"] < perplexity["base"]["value"]
    assert perplexity["verdict"] == "better"
    check_self_contained(found[0].parent / "report.html")
    assert len(job.path("evaluation_results.csv").read_text(encoding="utf-8-sig").splitlines()) > 90


@pytest.mark.parametrize("kind", KINDS)
def test_every_gguf_has_its_type_its_certificate_and_a_modelfile(kind: str, job: Place) -> None:
    folder = job.path(f"models/finetuned/gguf/alpaca-{kind}")
    file = folder / f"alpaca-{kind}.gguf"
    assert kind.removesuffix("_M") in {tensor.tensor_type.name for tensor in gguf.GGUFReader(file).tensors}
    assert Certificate.read(folder / "certificate.json").passed
    commands = parse_modelfile((folder / "Modelfile").read_text(encoding="utf-8"))
    assert commands
    with LlamaCpp(file) as model:
        ids = model.tokenize("<|im_start|>user\n你好<|im_end|>\n<|im_start|>assistant\n")
        assert model.greedy(ids, 8)


def test_the_files_shrink_with_their_bits(job: Place) -> None:
    sizes = [
        job.path(f"models/finetuned/gguf/alpaca-{kind}/alpaca-{kind}.gguf").stat().st_size for kind in KINDS
    ]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == 3


_PARTS = ("train", "validation", "test")
