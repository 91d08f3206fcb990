"""What the trainer and its events cost: Mozhu's ``hf`` engine against a bare PyTorch loop.

The peer loads the same model the same way, trains the same LoRA on the same batches in the same order (taken from
the events of a first run) with the same optimiser, schedule and clipping, and does nothing else: no events, no
checkpoints, no sampler. The last losses are compared, so both did the same work. One thread.
Counted are the steps after the first (which pays for warming up); loading and saving are left out on both sides.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import get_scheduler, set_seed

from benchmarks.harness import Sample, alternate, cpu_seconds, forked, in_fork
from benchmarks.models import make_model
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.data.tokens import IGNORED, Example, tokenize_rows
from mozhu.engine.training.engine import TrainingData
from mozhu.engine.training.engines.hf import HfEngine
from mozhu.engine.weights.device import pick_device
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_base
from mozhu.engine.weights.references import find_model
from mozhu.engine.weights.template import Renderer
from mozhu.kernel.progress import EventLog
from mozhu.specs.train import TrainSpec
from mozhu.testing import tiny_rows

_BATCH = 4
_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_RATE = 1e-3


def measure(work: Path, size: Size) -> list[Comparison]:
    return [_compare(work / shape, shape, size["steps"]) for shape in size["shapes"]]


def _compare(work: Path, shape: str, steps: int) -> Comparison:
    base = make_model(work / "base", shape, dtype="float32")
    examples = tokenize_rows(
        tiny_rows(_BATCH * steps, turns=3), Renderer.from_folder(base), max_length=512
    ).examples
    run = work / "run"
    order, wanted = forked(lambda: _order(base, examples, run, steps))
    by_id = {example.row_id: example for example in examples}
    batches = [[by_id[name] for name in names] for names in order]
    tokens = sum(len(example.ids) for batch in batches[1:] for example in batch)

    def bare() -> Sample:
        loss, sample = _bare_loop(base, batches)
        assert abs(loss - wanted) < 1e-4 * max(1.0, abs(wanted)), f"same work: {loss} and {wanted}"
        return sample

    def clean() -> None:
        shutil.rmtree(run, ignore_errors=True)

    peers = {
        "mozhu hf engine": in_fork(lambda: _engine(base, examples, run, steps)[1], before=clean),
        "bare loop": in_fork(bare),
    }
    measured = alternate(peers)
    return Comparison(
        f"{steps - 1} steps of a {shape} Qwen2, LoRA r=8, batch {_BATCH}",
        measured,
        tokens,
        "tokens",
        against=[("mozhu hf engine", "bare loop")],
        facts={"parameters": ModelFolder.open(base).parameter_count, "last_loss": round(wanted, 6)},
    )


class _Clock:
    """The time from the end of the first step to the end of the last."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def step(self) -> None:
        self._last = (time.perf_counter(), cpu_seconds())
        self._first = self._first or self._last

    def sample(self) -> Sample:
        assert self._first is not None
        return Sample(self._last[0] - self._first[0], self._last[1] - self._first[1])


def _order(base: Path, examples: list[Example], run: Path, steps: int) -> tuple[list[list[str]], float]:
    """The rows of every step as the engine draws them, and its last loss."""
    events, _ = _engine(base, examples, run, steps)
    return [event["rows"] for event in events], events[-1]["loss"]


def _engine(
    base: Path, examples: list[Example], run: Path, steps: int
) -> tuple[list[dict[str, Any]], Sample]:
    """Train with events written to disk, as in any run."""
    spec = TrainSpec(
        model=str(base),
        dataset="given",
        max_steps=steps,
        batch_size=_BATCH,
        learning_rate=_RATE,
        validation_split=0.0,
        save_steps=steps,
        threads=1,
        device="cpu",
    )
    log, clock, events = EventLog(run / "events.jsonl"), _Clock(), []

    def emit(kind: str, **fields: Any) -> None:
        log.emit(kind, **fields)
        if kind == "step":
            clock.step()
            events.append(fields)

    HfEngine().run(spec, find_model(str(base)), TrainingData(examples, []), run, emit)
    return events, clock.sample()


def _bare_loop(base: Path, batches: list[list[Example]]) -> tuple[float, Sample]:
    torch.set_num_threads(1)
    set_seed(42)
    model: Any = load_base(ModelFolder.open(base), pick_device("cpu"), torch.float32)
    model.config.use_cache = False
    model = get_peft_model(
        model, LoraConfig(r=8, lora_alpha=16, target_modules=list(_MODULES), task_type="CAUSAL_LM")
    )
    model.train()
    weights = [value for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=_RATE, weight_decay=0.0, fused=True)
    schedule = get_scheduler("cosine", optimizer, -(-3 * len(batches) // 100), len(batches))
    clock, loss = _Clock(), 0.0
    for batch in batches:
        result = model(**_tensors(batch)).loss
        result.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        loss = result.item()
        clock.step()
    return loss, clock.sample()


def _tensors(batch: list[Example]) -> dict[str, torch.Tensor]:
    length = max(len(example.ids) for example in batch)

    def padded(values: Callable[[Example], list[int]], fill: int) -> torch.Tensor:
        return torch.tensor([values(item) + [fill] * (length - len(item.ids)) for item in batch])

    return {
        "input_ids": padded(lambda item: item.ids, 0),
        "labels": padded(lambda item: item.labels, IGNORED),
        "attention_mask": padded(lambda item: [1] * len(item.ids), 0),
    }
