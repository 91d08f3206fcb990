"""Every stage learns what it says: its first loss is the formula's, its loss falls, its tokens are the answers'."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM

from mozhu.engine.data.dataset import load_rows
from mozhu.engine.data.stage_tokens import fit_stage
from mozhu.engine.training.objectives import dpo_loss, kto_loss, orpo_loss
from mozhu.engine.training.run import run_training
from mozhu.engine.weights.template import Renderer

PAIRS = [
    {
        "messages": [{"role": "user", "content": f"第{number}个问题"}],
        "chosen": [{"role": "assistant", "content": f"好的回答，数字是{number}。"}],
        "rejected": [{"role": "assistant", "content": f"不知道{number}"}],
    }
    for number in range(12)
]
MARKED = [
    {
        "prompt": f"第{number}个问题",
        "completion": f"回答{number}" if number % 2 else "不知道",
        "label": bool(number % 2),
    }
    for number in range(12)
]
CLASSES = [
    {
        "text": f"这是{'很好' if number % 2 else '很坏'}的第{number}件东西",
        "label": "好" if number % 2 else "坏",
    }
    for number in range(12)
]


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    found = {}
    for name, rows in {"pairs": PAIRS, "marked": MARKED, "classes": CLASSES}.items():
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
        found[name] = str(path)
    return found


def _answer_logp(model: Any, ids: list[int], labels: list[int]) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].float()
    wanted = torch.tensor(labels[1:])
    told = torch.log_softmax(logits, -1)[torch.arange(len(wanted)), wanted.clamp(min=0)]
    return float(told[wanted != -100].sum())


def test_only_the_answers_of_a_pair_are_learned(tiny: Path, data: dict[str, str]) -> None:
    renderer = Renderer.from_folder(tiny)
    rows = load_rows(data["pairs"], stage="dpo").rows
    for row, staged in zip(rows, fit_stage(rows, renderer, stage="dpo", max_length=256, reject=True)):
        assert staged.marks == (1, 0)
        for example, side in zip(staged.fitted.examples, ("chosen", "rejected")):
            learned = [token for token, label in zip(example.ids, example.labels()) if label != -100]
            assert row[side][0]["content"] in renderer.tokenizer.decode(learned)
            prompt = renderer.prompt_ids(row["messages"])
            assert list(example.ids[: len(prompt)]) == prompt
            assert example.spans[0][0] == len(prompt)


@pytest.mark.parametrize(("kind", "start"), [("sigmoid", math.log(2)), ("hinge", 1.0), ("ipo", 25.0)])
def test_dpo_begins_where_the_model_is_its_own_reference(
    spec: Any, tmp_path: Path, events: Any, data: dict[str, str], kind: str, start: float
) -> None:
    run_training(
        spec(stage="dpo", dataset=data["pairs"], dpo_loss=kind, validation_split=0.0, max_steps=12),
        tmp_path / "run",
        events,
    )
    steps = events.of("step")
    assert steps[0]["loss"] == pytest.approx(start, rel=1e-4)
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["accuracy"] > 0.9
    assert steps[-1]["margin"] > 0


def test_orpo_and_kto_begin_with_the_formulas_value(
    spec: Any, tiny: Path, tmp_path: Path, events: Any, data: dict[str, str]
) -> None:
    whole = {"batch_size": 12, "max_steps": 1, "validation_split": 0.0}
    run_training(spec(stage="orpo", dataset=data["pairs"], **whole), tmp_path / "orpo", events)
    model, renderer = AutoModelForCausalLM.from_pretrained(tiny), Renderer.from_folder(tiny)
    rows = load_rows(data["pairs"], stage="orpo").rows
    means: list[list[float]] = [[], []]
    for staged in fit_stage(rows, renderer, stage="orpo", max_length=256, reject=True):
        for side, example in zip(means, staged.fitted.examples):
            labels = list(example.labels())
            count = sum(label != -100 for label in labels)
            side.append(_answer_logp(model, list(example.ids), labels) / count)
    wanted, unwanted = (torch.tensor(side) for side in means)
    expected = (orpo_loss(wanted, unwanted, 0.1) - wanted).mean()
    assert events.of("step")[0]["loss"] == pytest.approx(float(expected), rel=1e-4)

    events.all.clear()
    run_training(spec(stage="kto", dataset=data["marked"], **whole), tmp_path / "kto", events)
    # A model that has not moved: 1 - sigmoid(0) for every row.
    assert events.of("step")[0]["loss"] == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("stage", "kind"), [("orpo", "pairs"), ("kto", "marked"), ("rm", "pairs"), ("classification", "classes")]
)
def test_a_stage_learns(
    spec: Any, tmp_path: Path, events: Any, data: dict[str, str], stage: str, kind: str
) -> None:
    outcome = run_training(
        spec(
            stage=stage, dataset=data[kind], validation_split=0.0, max_steps=25, learning_rate=1e-2, beta=0.5
        ),
        tmp_path / "run",
        events,
    )
    steps = events.of("step")
    assert steps[-1]["loss"] < steps[0]["loss"]
    assert steps[-1]["accuracy"] >= 0.75
    assert outcome.artefacts[0].kind == "adapter"


@pytest.mark.parametrize("full", [False, True])
def test_the_reference_is_the_model_before_training(
    spec: Any, tmp_path: Path, events: Any, data: dict[str, str], full: bool
) -> None:
    kind = {"train_type": "full", "learning_rate": 1e-3} if full else {}
    run_training(
        spec(stage="dpo", dataset=data["pairs"], validation_split=0.25, max_steps=4, **kind),
        tmp_path / "run",
        events,
    )
    assert events.of("eval")[0]["loss"] == pytest.approx(math.log(2), rel=1e-4)
    assert events.of("eval")[-1]["loss"] < math.log(2)


def test_dpo_losses_are_those_of_the_papers() -> None:
    wanted, unwanted = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 1.0])
    torch.testing.assert_close(dpo_loss(wanted, unwanted, 0.1), -logsigmoid(0.1 * (wanted - unwanted)))
    smooth = dpo_loss(wanted, unwanted, 0.1, smoothing=0.2)
    apart = 0.1 * (wanted - unwanted)
    torch.testing.assert_close(smooth, -0.8 * logsigmoid(apart) - 0.2 * logsigmoid(-apart))
    torch.testing.assert_close(dpo_loss(wanted, unwanted, 0.1, "ipo"), ((wanted - unwanted) - 5.0) ** 2)
    label = torch.tensor([True, False])
    found = kto_loss(wanted, label, torch.tensor(0.25), 0.1, 2.0, 3.0)
    expected = torch.stack(
        [2 * (1 - torch.sigmoid(torch.tensor(0.1 * 0.75))), 3 * (1 - torch.sigmoid(torch.tensor(0.1 * 2.25)))]
    )
    torch.testing.assert_close(found, expected)
