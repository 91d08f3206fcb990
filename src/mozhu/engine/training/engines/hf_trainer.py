"""Transformers' Trainer, reporting every step as an event: rows, tokens, speed, memory, ETA."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mozhu.engine.data.tokens import Example
from mozhu.engine.training.checkpoints import mark_complete
from mozhu.engine.training.stop import StopFlag
from mozhu.kernel.errors import LossNotFinite
from mozhu.kernel.paths import checkpoint_name
from mozhu.kernel.progress import Emit

_SMOOTHING = 0.9
_IGNORED = -100


@dataclass
class Pace:
    """Where a run is: its loss curve's smooth value, its tokens, its speed since it was (re)started."""

    total: int
    tokens: int = 0
    smooth: float = 0.0
    weight: float = 0.0
    started: float = field(default_factory=time.monotonic)
    step_tokens: int = 0
    step_rows: list[str] = field(default_factory=list)
    trained_seconds: float = 0.0
    done_here: int = 0
    tokens_before: int = 0

    @property
    def loss_smooth(self) -> float:
        """Exponential mean of the loss without the bias of its start."""
        return self.smooth / self.weight if self.weight else math.nan

    def take_loss(self, loss: float) -> None:
        self.smooth = _SMOOTHING * self.smooth + (1 - _SMOOTHING) * loss
        self.weight = _SMOOTHING * self.weight + (1 - _SMOOTHING)

    def restore(self, events: Iterable[dict[str, Any]], step: int) -> None:
        """Go on where a run stopped: the curve and the tokens of its steps up to the checkpoint at ``step``."""
        losses: dict[int, float] = {}
        for event in events:
            if event["kind"] == "step" and event["step"] <= step:
                losses[event["step"]] = float(event["loss"])
                self.tokens = int(event["tokens"])
        for number in sorted(losses):
            self.take_loss(losses[number])
        self.tokens_before = self.tokens

    def facts(self, device: str) -> dict[str, Any]:
        here = self.tokens - self.tokens_before
        speed = here / self.trained_seconds if self.trained_seconds else 0.0
        return {
            "tokens": self.tokens,
            "tokens_here": here,
            "train_seconds": round(self.trained_seconds, 2),
            "tokens_per_s": round(speed, 1),
            "peak_memory_bytes": peak_memory_bytes(device),
            "device": device,
            "threads": torch.get_num_threads(),
        }


class _Rows(Dataset[Example]):
    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Example:
        return self._examples[index]


class _Collator:
    """Pads a batch to its longest row; ``row_ids`` travels beside the tensors and is taken out before the model."""

    def __init__(self, pad_id: int) -> None:
        self._pad_id = pad_id

    def __call__(self, batch: Sequence[Example]) -> dict[str, Any]:
        length = max(len(example.ids) for example in batch)
        ids = torch.full((len(batch), length), self._pad_id, dtype=torch.long)
        labels = torch.full((len(batch), length), _IGNORED, dtype=torch.long)
        mask = torch.zeros((len(batch), length), dtype=torch.long)
        for index, example in enumerate(batch):
            size = len(example.ids)
            ids[index, :size] = torch.tensor(example.ids)
            labels[index, :size] = torch.tensor(example.labels)
            mask[index, :size] = 1
        row_ids = [example.row_id for example in batch]
        return {"input_ids": ids, "labels": labels, "attention_mask": mask, "row_ids": row_ids}


class EventTrainer(Trainer):
    """Adds events to Trainer and nothing else; its loss is Trainer's own."""

    def __init__(
        self,
        *,
        train_examples: Sequence[Example],
        validation: Sequence[Example],
        pad_id: int,
        pace: Pace,
        emit: Emit,
        callbacks: list[RunCallback],
        **options: Any,
    ) -> None:
        super().__init__(
            train_dataset=_Rows(train_examples),
            eval_dataset=_Rows(validation) if validation else None,
            data_collator=_Collator(pad_id),
            callbacks=list(callbacks),
            **options,
        )
        self.validation = validation
        self.pace = pace
        self.emit = emit
        self._batches = _Collator(pad_id)
        self._validated: tuple[int, float] | None = None
        self.restart_clock()
        for callback in callbacks:
            callback.trainer = self

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        rows = inputs.pop("row_ids", [])
        self.pace.step_rows.extend(rows)
        self.pace.step_tokens += int(inputs["attention_mask"].sum())
        prepared: dict[str, Any] = super()._prepare_inputs(inputs)
        return prepared

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """A logged step becomes an event; the summary at the end does not."""
        if "loss" in logs and "learning_rate" in logs:
            self._emit_step(logs)
        self.state.log_history.append({**logs, "step": self.state.global_step})

    def restore(self, checkpoint: Path) -> None:
        """The weights and the step of ``checkpoint``, with nothing left to train."""
        self._load_from_checkpoint(str(checkpoint))
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    def restart_clock(self) -> None:
        self._clock = time.monotonic()

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Trainer's own moment to validate, with our loss: the mean a label token, whatever the batches."""
        loss = self.validate()
        return {} if loss is None else {"eval_loss": loss}

    def validate(self) -> float | None:
        """Mean loss a label token over the validation rows, as an event; ``None`` where there are none."""
        step = self.state.global_step
        if not self.validation:
            return None
        if self._validated is None or self._validated[0] != step:
            loss = self._validation_loss()
            perplexity = math.exp(min(loss, 700.0))
            self.emit("eval", step=step, loss=loss, perplexity=perplexity, rows=len(self.validation))
            self._validated = (step, loss)
        return self._validated[1]

    def _validation_loss(self) -> float:
        model: Any = self.model
        was_training = model.training
        model.eval()
        total: float = 0.0
        counted: int = 0
        size = self.args.per_device_train_batch_size
        with torch.no_grad():
            for start in range(0, len(self.validation), size):
                batch = self._batches(self.validation[start : start + size])
                batch.pop("row_ids")
                labels = batch.pop("labels").to(model.device)
                logits = model(**{name: value.to(model.device) for name, value in batch.items()}).logits
                shifted = labels[:, 1:]
                total += torch.nn.functional.cross_entropy(
                    logits[:, :-1].float().reshape(-1, logits.shape[-1]),
                    shifted.reshape(-1),
                    ignore_index=_IGNORED,
                    reduction="sum",
                ).item()
                counted += int((shifted != _IGNORED).sum())
        model.train(was_training)
        self.restart_clock()  # the next step's speed must not pay for this
        return total / max(1, counted)

    def _emit_step(self, logs: dict[str, float]) -> None:
        pace, step, loss = self.pace, self.state.global_step, float(logs["loss"])
        now = time.monotonic()
        seconds = now - self._clock
        self._clock = now
        pace.trained_seconds += seconds
        pace.done_here += int(self.args.logging_steps)
        pace.tokens += pace.step_tokens
        pace.take_loss(loss)
        rows, pace.step_rows = pace.step_rows, []
        fields = {
            "step": step,
            "total": pace.total,
            "epoch": round(float(self.state.epoch or 0.0), 4),
            "loss": loss,
            "loss_smooth": round(pace.loss_smooth, 6),
            "lr": float(logs["learning_rate"]),
            "grad_norm": float(logs.get("grad_norm", math.nan)),
            "tokens": pace.tokens,
            "tokens_per_s": round(pace.step_tokens / seconds, 1) if seconds > 0 else 0.0,
            "memory_bytes": memory_bytes(str(self.args.device)),
            "eta_s": round((pace.total - step) * pace.trained_seconds / max(1, pace.done_here), 1),
            "rows": rows,
        }
        pace.step_tokens = 0
        self.emit("step", **fields)
        if not math.isfinite(loss):
            raise LossNotFinite(step=step, loss=str(loss), rows=rows[:8])


class RunCallback(TrainerCallback):
    """Stops after the step that is under way when asked to, and marks a checkpoint once all of it is written."""

    trainer: EventTrainer

    def __init__(self, stop: StopFlag) -> None:
        self._stop = stop

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.restart_clock()

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._stop.is_set:
            control.should_save = True
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        checkpoint = Path(str(args.output_dir)) / checkpoint_name(state.global_step)
        mark_complete(checkpoint)
        self.trainer.emit("checkpoint", step=state.global_step, path=checkpoint.name)
        self.trainer.restart_clock()


def memory_bytes(device: str) -> int:
    """Memory held now: the GPU's allocation, else this process's resident set."""
    if device.startswith("cuda"):
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes(device: str) -> int:
    """The most held so far; on a CPU the system's own high-water mark where it keeps one."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    info = psutil.Process().memory_info()
    return int(getattr(info, "peak_wset", 0)) or _peak_resident_bytes() or int(info.rss)


def _peak_resident_bytes() -> int:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
