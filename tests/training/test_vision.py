"""A vision-language model learns from rows with images, is saved, loaded again and answers about a picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

pytest.importorskip("PIL")

from safetensors.torch import load_file

from mozhu.engine.data.samples.generate import captioned_row, generated_rows
from mozhu.engine.export.merge import run_merge
from mozhu.engine.inference.chat import open_chat
from mozhu.engine.training.run import run_training
from mozhu.engine.training.vision_data import vision_data
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.vision import open_vision
from mozhu.kernel.errors import MissingFile, NoTrainableTokens, SeesNoImages, UnsupportedTraining
from mozhu.specs.export import MergeSpec
from mozhu.specs.serve import InferSpec
from mozhu.testing.rows import tiny_rows
from mozhu.testing.tiny_models import make_tiny_model


@pytest.fixture(scope="session")
def seeing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("seeing") / "vl", "qwen2_vl")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Six pictures with their captions and two rows without any."""
    found: list[dict[str, Any]] = []
    for number, row in enumerate(generated_rows("image_captions", 6, 7)):
        said, picture = captioned_row(row, f"{number}.png")
        (tmp_path / f"{number}.png").write_bytes(picture)
        found.append(said)
    found += [{"messages": row["messages"]} for row in tiny_rows(2)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    return path


@pytest.fixture
def seeing_spec(spec: Any, seeing: Path, rows: Path) -> Any:
    def make(**changes: Any) -> Any:
        fields = {"model": str(seeing), "dataset": str(rows), "train_type": "multimodal", "max_length": 512}
        return spec(**{**fields, "validation_split": 0.0, "max_steps": 10, "learning_rate": 2e-2, **changes})

    return make


def test_examples_have_a_place_for_every_piece_of_an_image(
    seeing_spec: Any, seeing: Path, events: Any
) -> None:
    model = ModelFolder.open(seeing)
    vision, token = open_vision(model, Renderer.from_folder(seeing)), model.config["image_token_id"]
    examples = vision_data(seeing_spec(), model, events).train
    tokenizer = Renderer.from_folder(seeing).tokenizer
    assert len(examples) == 8 and sum(bool(example.images) for example in examples) == 6
    for example in examples:
        grid = vision.inputs(example.images).get("image_grid_thw")
        pieces = int(grid.prod(-1).sum()) // 4 if grid is not None else 0
        assert example.ids.count(token) == pieces
        learned = tokenizer.decode([label for label in example.labels if label != -100])
        assert token not in example.labels and learned.strip() and "<|im_start|>" not in learned


def test_it_learns_saves_and_answers_about_a_picture(
    seeing_spec: Any, seeing: Path, tmp_path: Path, events: Any
) -> None:
    run_training(seeing_spec(), tmp_path / "run", events)
    steps = events.of("step")
    assert steps[-1]["loss"] < steps[0]["loss"] and all(math.isfinite(step["loss"]) for step in steps)
    adapter = tmp_path / "run" / "lora_adapter"
    assert json.loads((adapter / "certificate.json").read_text(encoding="utf-8"))["passed"]
    names = list(load_file(adapter / "adapter_model.safetensors"))
    assert names and not any("visual" in name for name in names), "the tower that sees stays as it is"
    assert (adapter / "preprocessor_config.json").is_file()
    said = {}
    for picture in ("0.png", "3.png"):
        asked = InferSpec(
            checkpoint=str(tmp_path / "run"), images=str(tmp_path / picture), max_new_tokens=6, device="cpu"
        )
        said[picture] = open_chat(asked).answer([{"role": "user", "content": "图里有什么？"}])
    assert all(answer.tokens > 0 for answer in said.values())


def test_it_is_merged_and_sees_as_before(seeing_spec: Any, tmp_path: Path, events: Any) -> None:
    run_training(seeing_spec(max_steps=3), tmp_path / "run", events)
    merged = tmp_path / "merged"
    run_merge(MergeSpec(adapter=str(tmp_path / "run"), output_path=str(merged)), tmp_path / "m", events)
    said = []
    for checkpoint in (tmp_path / "run", merged):
        asked = InferSpec(
            checkpoint=str(checkpoint), images=str(tmp_path / "0.png"), max_new_tokens=8, dtype="float32"
        )
        said.append(open_chat(asked).answer([{"role": "user", "content": "<image>图里有什么？"}]).text)
    assert said[0] == said[1]


def test_dora_learns_to_see_too(seeing_spec: Any, tmp_path: Path, events: Any) -> None:
    outcome = run_training(seeing_spec(max_steps=3, use_dora=True, batch_size=2), tmp_path / "run", events)
    assert outcome.artefacts[0].kind == "adapter" and len(events.of("step")) == 3


@pytest.fixture
def two_pictures(rows: Path) -> Path:
    """Rows of two pictures that differ in size, beside each other and with words between them."""
    content = ("<image><image>两张图里各有什么？", "<image>和<image>有什么不同？")
    found = [
        {
            "messages": [
                {"role": "user", "content": content[number % 2]},
                {"role": "assistant", "content": f"第{number}张与第{number + 1}张"},
            ],
            "images": [f"{number}.png", f"{number + 1}.png"],
        }
        for number in range(4)
    ]
    path = rows.with_name("two.jsonl")
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found), encoding="utf-8")
    return path


@pytest.mark.parametrize("pictures", ["one", "two"])
def test_the_loss_is_that_of_the_model_row_by_row(
    pictures: str, seeing_spec: Any, seeing: Path, two_pictures: Path, tmp_path: Path, events: Any
) -> None:
    more = {"dataset": str(two_pictures)} if pictures == "two" else {}
    asked = seeing_spec(max_steps=1, batch_size=8, lr_scheduler="constant", **more)
    run_training(asked, tmp_path / "run", events)
    from transformers import AutoModelForImageTextToText

    model, folder = AutoModelForImageTextToText.from_pretrained(seeing).eval(), ModelFolder.open(seeing)
    vision, total, count = open_vision(folder, Renderer.from_folder(seeing)), 0.0, 0
    examples = vision_data(asked, folder, events).train
    assert {len(example.images) for example in examples} == ({0, 1} if pictures == "one" else {2})
    for example in examples:
        ids = torch.tensor([example.ids])
        shown = vision.inputs(example.images)
        if shown:
            shown["mm_token_type_ids"] = (ids == vision.token).int()
        with torch.no_grad():
            logits = model(input_ids=ids, **shown).logits[0, :-1]
        labels = torch.tensor(example.labels[1:])
        total += torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum").item()
        count += int((labels != -100).sum())
    assert events.of("step")[0]["loss"] == pytest.approx(total / count, rel=1e-4)


def test_an_image_is_never_cut(seeing_spec: Any, seeing: Path, events: Any) -> None:
    model = ModelFolder.open(seeing)
    whole = vision_data(seeing_spec(), model, events).train
    pictured = [example for example in whole if example.images]
    token = model.config["image_token_id"]
    last = max(len(e.ids) - e.ids[::-1].index(token) for e in pictured)
    cut = vision_data(seeing_spec(max_length=last + 30, max_rejected_share=0.99), model, events).train
    counts = {example.row_id: example.ids.count(token) for example in pictured}
    assert any(example.images for example in cut)
    assert all(example.ids.count(token) == counts.get(example.row_id, 0) for example in cut)
    with pytest.raises((NoTrainableTokens, Exception)) as caught:
        vision_data(seeing_spec(max_length=20), model, events)
    assert caught.value.code in {"TRAIN-001", "TRAIN-008"}


def test_a_model_that_sees_nothing_is_refused(spec: Any, tmp_path: Path, events: Any) -> None:
    with pytest.raises(UnsupportedTraining):
        run_training(spec(train_type="multimodal"), tmp_path / "run", events)
    asked = InferSpec(checkpoint=spec().model, images=str(tmp_path), device="cpu")
    with pytest.raises(MissingFile):
        open_chat(asked).answer([{"role": "user", "content": "?"}])
    picture = tmp_path / "a.png"
    picture.write_bytes(b"-")
    with pytest.raises(SeesNoImages):
        open_chat(asked.model_copy(update={"images": (str(picture),)})).answer(
            [{"role": "user", "content": "?"}]
        )
