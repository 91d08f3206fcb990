"""Transformers' Trainer, reporting every step as an event: rows, tokens, speed, memory, ETA."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import psutil
import torch
from torch.utils.data import Dataset
from transformers import Trainer, TrainerState

from mozhu.engine.training.checkpoints import mark_complete, remove_oldest
from mozhu.engine.training.engines.callbacks import RunCallback
from mozhu.engine.training.engines.finite import require_finite, require_finite_loss
from mozhu.engine.training.engines.flat.thrift import tokens_at_once
from mozhu.engine.training.engines.length_groups import LengthGroupedSampler
from mozhu.engine.training.engines.masters import MasterWeights, needs_masters
from mozhu.engine.training.engines.objective import Divisible, Objective
from mozhu.engine.training.engines.quality import Quality
from mozhu.engine.training.engines.samples import Samples
from mozhu.kernel.errors import LossNotFinite
from mozhu.kernel.files import read_json, write_json
from mozhu.kernel.paths import checkpoint_name
from mozhu.kernel.progress import Emit

_SMOOTHING = 0.9
_PACE = "pace.json"  # beside the other files of a checkpoint
_KEPT = ("tokens", "smooth", "weight", "step_tokens", "step_rows", "items")


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

    def to_json(self) -> dict[str, Any]:
        """What a run needs to go on as if it had not stopped: its curve, and what is not told yet."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return {**kept, "figures": dict(self.figures)}

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on where :meth:`to_json` was asked."""
        for name in _KEPT:
            setattr(self, name, kept[name])
        self.figures = Counter(kept["figures"])
        self.tokens_before = self.tokens + self.step_tokens

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
        quality: Quality | None = None,
        keep_best: bool = False,
        samples: Samples | None = None,
        masters: bool = False,
        **options: Any,
    ) -> None:
        self.objective: Objective = objective
        arguments: Any = options["args"]
        arguments._n_gpu = min(
            1, arguments.n_gpu
        )  # a process trains on one device; Trainer would take them all
        super().__init__(
            train_dataset=_Rows(train_examples),
            eval_dataset=_Rows(validation) if len(validation) else None,
            data_collator=cast(Any, objective.collate),
            callbacks=list(callbacks),
            **options,
        )
        self.train_examples = train_examples
        self.validation = validation
        self.pace = pace
        self.emit = emit
        self.kept = kept
        self.quality = quality or Quality()
        self.keep_best = keep_best
        self.samples = samples
        self.masters = masters
        self._validated: tuple[int, dict[str, float]] | None = None
        self._untold: tuple[float, int] | None = None
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

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Over float32 copies of weights of half the width, where that is asked for."""
        is_new = self.optimizer is None
        found = super().create_optimizer(model)
        if is_new and self.masters and not self.is_deepspeed_enabled and needs_masters(self.model):
            found = self.optimizer = MasterWeights(found)
        return found

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> tuple[list[Any], torch.Tensor]:
        """The batches of one step, and over how many items the loss is a mean: those of all processes."""
        batches = list(islice(epoch_iterator, num_batches))
        items = torch.tensor(sum(batch.items for batch in batches), device=device)
        if self.args.world_size > 1:
            items = self.accelerator.gather(items).sum()
        return batches, items

    def training_step(
        self, model: Any, inputs: Any, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """A part of the batch at a time, forward and back, where that needs less memory; gradients add up."""
        found = torch.zeros((), device=self.args.device)
        for part in self._parts(inputs):
            found += super().training_step(model, part, num_items_in_batch)
        return found

    def _parts(self, batch: Any) -> Sequence[Any]:
        alone = self.args.device.type == "cpu" and self.args.world_size == 1 and not self.is_deepspeed_enabled
        most = tokens_at_once(self.model) if alone and self.model is not None else None
        return batch.parts(most) if most and isinstance(batch, Divisible) else [batch]

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
        model: Any = self.model
        return int(6 * inputs.tokens * sum(item.numel() for item in model.parameters()))

    def log(self, logs: dict[str, float], *args: Any, **options: Any) -> None:
        """A logged step becomes an event; the summary at the end does not."""
        if "loss" in logs and "learning_rate" in logs:
            self._emit_step(logs)
        self.state.log_history.append({**logs, "step": self.state.global_step})

    def take_pace(self, checkpoint: Path) -> None:
        """The curve, and the losses of steps that ``checkpoint`` holds and no event has told yet."""
        if not (checkpoint / _PACE).is_file():
            return  # made by an earlier Mozhu
        kept = read_json(checkpoint / _PACE)
        self.pace.restore(kept["pace"])
        self._untold = (kept["loss_sum"], kept["told_step"])

    def take_untold(self) -> None:
        """Where several steps make one event, a resumed run's next event is of all of them."""
        if self._untold is not None:
            loss_sum, self._globalstep_last_logged = self._untold
            self._tr_loss += loss_sum
            self._untold = None

    def restore(self, checkpoint: Path) -> None:
        """The weights and the step of ``checkpoint``, with nothing left to train."""
        self.take_weights(checkpoint)
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    def take_weights(self, checkpoint: Path) -> None:
        self._load_from_checkpoint(str(checkpoint))

    def held_memory(self) -> int:
        return memory_bytes(str(self.args.device))

    def restart_clock(self) -> None:
        self._clock = time.monotonic()

    def evaluate(self, *args: Any, **options: Any) -> dict[str, float]:
        """Trainer's own moment to validate, with our loss: the mean an item, whatever the batches.

        The best evaluation so far gets its checkpoint, and after too many that are no better the run ends.
        """
        self.control.should_evaluate = False  # done: the end of an epoch asks once more
        found = self.validate()
        if found is not None:
            self._judge(self.state.global_step, found)
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
            require_finite_loss(found["loss"], step, self.args.learning_rate)
            self._validated = (step, found)
            self._emit_samples(step)
            self.restart_clock()  # the next step's speed must not pay for this
        return self._validated[1]

    def remember(self, checkpoint: Path) -> None:
        """What the run knew of its evaluations when ``checkpoint`` was written."""
        self.quality.read(checkpoint)
        self._validated = self.quality.last

    def _judge(self, step: int, found: dict[str, float]) -> None:
        quality = self.quality
        is_best = quality.take(step, found, self.pace.loss_smooth)
        if is_best and self.keep_best:
            self.control.should_save = True
        if quality.stopped_at == step:
            self.control.should_save = self.control.should_training_stop = True
            best = quality.best
            params = {
                "step": step,
                "count": quality.waited,
                "target": round(quality.mark - quality.delta, 6),
                "loss": round(best.found["loss"], 6) if best else "nan",
                "best": best.step if best else 0,
            }
            self.emit("finding", level="info", code="TRAIN-081", params=params)

    def _emit_samples(self, step: int) -> None:
        """Samples are there to be looked at: what goes wrong with them is told once and costs nothing else."""
        if self.samples is None:
            return
        try:
            told = self.samples.answers(self.model)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            self.emit("finding", level="warning", code="TRAIN-083", params={"reason": reason})
            self.samples = None
            return
        for fields in told:
            self.emit("sample", step=step, **fields)

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
        mean = {name: value / max(1, items) for name, value in figures.items()}
        return {"loss": total / max(1, items), **mean}

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A checkpoint counts once it is whole, and only then may an older one go; none is made of spoilt weights."""
        require_finite(model, self.state.global_step, self.args.learning_rate)
        super()._save_checkpoint(model, trial)
        if self.args.should_save:
            folder = Path(str(self.args.output_dir))
            untold = {"loss_sum": self._tr_loss.item(), "told_step": self._globalstep_last_logged}
            place = folder / checkpoint_name(self.state.global_step)
            self.quality.write(place)
            write_json(place / _PACE, {"schema": 1, "pace": self.pace.to_json(), **untold})
            mark_complete(place)
            best = self.quality.best if self.keep_best else None
            remove_oldest(folder, self.kept, spare=best.step if best else None)

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
            "memory_bytes": self.held_memory(),
            "eta_s": round((pace.total - step) * pace.trained_seconds / max(1, pace.done_here), 1),
            **pace.shown_figures(),
            "rows": rows,
        }
        pace.step_tokens = 0
        self.emit("step", **fields)
        if not math.isfinite(loss):
            raise LossNotFinite(step=step, loss=str(loss), rows=rows[:8])


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
