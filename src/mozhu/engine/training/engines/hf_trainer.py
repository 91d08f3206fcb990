"""Transformers' Trainer, reporting every step as an event: rows, tokens, speed, memory, ETA."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psutil
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from mozhu.engine.training.checkpoints import mark_complete, remove_oldest
from mozhu.engine.training.engines.length_groups import LengthGroupedSampler
from mozhu.engine.training.engines.objective import Objective
from mozhu.engine.training.stop import StopFlag
from mozhu.kernel.errors import LossNotFinite
from mozhu.kernel.paths import checkpoint_name
from mozhu.kernel.progress import Emit

_SMOOTHING = 0.9


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
    figures: Counter[str] = field(default_factory=Counter)
    items: int = 0

    @property
    def loss_smooth(self) -> float:
        """Exponential mean of the loss without the bias of its start."""
        return self.smooth / self.weight if self.weight else math.nan

    def take_loss(self, loss: float) -> None:
        self.smooth = _SMOOTHING * self.smooth + (1 - _SMOOTHING) * loss
        self.weight = _SMOOTHING * self.weight + (1 - _SMOOTHING)

    def take_figures(self, told: dict[str, float], items: int) -> None:
        """Figures of a batch: sums over ``items``."""
        self.figures.update(told)
        self.items += items if told else 0

    def shown_figures(self) -> dict[str, float]:
        """The step's figures as means; the next step begins with none."""
        found = {name: round(value / max(1, self.items), 6) for name, value in self.figures.items()}
        self.figures, self.items = Counter(), 0
        return found

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


class _Rows(Dataset[Any]):
    def __init__(self, examples: Sequence[Any]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, index: int) -> Any:
        return self._examples[index]


class EventTrainer(Trainer):
    """Transformers' Trainer with our batches, losses and events. The loss is a mean over all items of a step,
    whatever its batches and processes.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        *,
        objective: Objective,
        train_examples: Sequence[Any],
        validation: Sequence[Any],
        pace: Pace,
        emit: Emit,
        callbacks: list[RunCallback],
        kept: int = 3,
        **options: Any,
    ) -> None:
        self.objective = objective
        super().__init__(
            train_dataset=_Rows(train_examples),
            eval_dataset=_Rows(validation) if len(validation) else None,
            data_collator=objective.collate,
            callbacks=list(callbacks),
            **options,
        )
        self.train_examples = train_examples
        self.validation = validation
        self.pace = pace
        self.emit = emit
        self.kept = kept
        self._validated: tuple[int, dict[str, float]] | None = None
        self.restart_clock()
        for callback in callbacks:
            callback.trainer = self

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Rows of like length together where batches are padded; chance alone where they are not."""
        if not self.objective.is_padded:
            return super()._get_train_sampler(train_dataset)
        lengths = [self.objective.length(example) for example in self.train_examples]
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return LengthGroupedSampler(size, lengths=lengths, seed=self.args.seed)

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """The batches of one step, and over how many items the loss is a mean: those of all processes."""
        batches = list(islice(epoch_iterator, num_batches))
        items = torch.tensor(sum(batch.items for batch in batches), device=device)
        if self.args.world_size > 1:
            items = self.accelerator.gather(items).sum()
        return batches, items

    def _prepare_inputs(self, inputs: Any) -> Any:
        self.pace.step_rows.extend(inputs.row_ids)
        self.pace.step_tokens += inputs.tokens
        return inputs

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """The batch's part of the step's mean. Processes average their gradients, which undoes their number."""
        count = int(num_items_in_batch) if num_items_in_batch is not None else inputs.items
        loss, told = self.objective.loss(model, inputs, self.args.world_size / max(1, count))
        self.pace.take_figures(told, inputs.items)
        return loss

    def floating_point_ops(self, inputs: Any) -> int:
        """Two operations forward and four back for each parameter and token."""
        return 6 * inputs.tokens * sum(item.numel() for item in self.model.parameters())

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
        """Trainer's own moment to validate, with our loss: the mean an item, whatever the batches."""
        found = self.validate()
        return {} if found is None else {f"eval_{name}": value for name, value in found.items()}

    def validate(self) -> dict[str, float] | None:
        """``loss`` (mean an item) and more over the validation rows, as an event; ``None`` where there are none."""
        step = self.state.global_step
        if not len(self.validation):
            return None
        if self._validated is None or self._validated[0] != step:
            found = self._validation()
            if self.objective.name == "sft":
                found["perplexity"] = math.exp(min(found["loss"], 700.0))
            self.emit("eval", step=step, rows=len(self.validation), **found)
            self._validated = (step, found)
        return self._validated[1]

    def _validation(self) -> dict[str, float]:
        model: Any = self.model_wrapped
        was_training = model.training
        model.eval()
        total: float = 0.0
        items = 0
        figures: Counter[str] = Counter()
        size = self.args.per_device_train_batch_size
        with torch.no_grad():
            for start in range(0, len(self.validation), size):
                batch = self.objective.collate(self.validation[start : start + size])
                loss, told = self.objective.loss(model, batch, 1.0)
                total += float(loss)
                items += batch.items
                figures.update(told)
        model.train(was_training)
        self.restart_clock()  # the next step's speed must not pay for this
        mean = {name: value / max(1, items) for name, value in figures.items()}
        return {"loss": total / max(1, items), **mean}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A checkpoint counts once it is whole, and only then may an older one go."""
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(str(self.args.output_dir))
            mark_complete(folder / checkpoint_name(self.state.global_step))
            remove_oldest(folder, self.kept, spare=self.state.best_global_step)

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
            **pace.shown_figures(),
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
        self.trainer.emit("checkpoint", step=state.global_step, path=checkpoint_name(state.global_step))
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
