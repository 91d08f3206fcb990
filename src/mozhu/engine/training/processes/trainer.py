"""The trainer of one of several processes: same rows, same steps and same files as one process alone."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import SeedableRandomSampler
from safetensors.torch import load_file
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from transformers import TrainerCallback, TrainerControl, TrainerState

from mozhu.engine.training.checkpoints import resume_point
from mozhu.engine.training.engines.hf_trainer import EventTrainer, memory_bytes, peak_memory_bytes
from mozhu.engine.training.engines.length_groups import LengthGroupedSampler
from mozhu.engine.training.engines.objective import Objective
from mozhu.engine.training.processes.batches import Idle, RankBatches, rank_loader
from mozhu.engine.training.processes.group import Group, this_group
from mozhu.engine.training.processes.sharding import (
    clip,
    is_sharded,
    let_go,
    put_optimizer,
    put_state,
    whole,
    whole_state,
)
from mozhu.engine.training.stop import StopFlag
from mozhu.kernel.paths import checkpoint_step
from mozhu.kernel.progress import Emit
from mozhu.specs.train import TrainSpec

_OPTIMIZER, _SCHEDULER = "optimizer.pt", "scheduler.pt"


class RankTrainer(EventTrainer):
    """``strategy``: ddp (each process has the whole network), fsdp2 (a share of it) or deepspeed.

    ``replicas``: so many parts a step's rows are shared out in; fewer than processes where several hold one network.
    Checkpoints are those of one process, whatever their number; only the states of chance are one for each.
    """

    objective: Objective
    model: Any
    optimizer: Any
    lr_scheduler: Any

    def __init__(self, *, group: Group, strategy: str, replicas: int, stop: StopFlag, **options: Any) -> None:
        self.group, self.strategy, self.replicas = group, strategy, replicas
        self._seat = group.rank * replicas // group.size
        if strategy != "ddp" and options.get("samples") is not None:  # a part of each weight answers nothing
            options["samples"] = None
            reason = {"reason": f"--strategy {strategy}"}
            options["emit"]("finding", level="warning", code="TRAIN-083", params=reason)
        if (
            replicas < group.size
        ):  # Trainer and accelerate then leave the pieces as they lie: they are our business
            options["model"]._tp_size = None
            options["model"]._is_distributed_loading_by_transformers = False
            options["model"].config.distributed_config = None  # nor is it what the result says of itself
        super().__init__(**options)
        self.is_distributed_loading_by_transformers = is_sharded(self.model)  # it is not wrapped then
        self.callback_handler.callbacks.insert(0, StopTogether(stop, group))
        torch.manual_seed(self.args.seed + group.rank)  # what is dropped out differs from process to process

    # -- rows

    def get_train_dataloader(self) -> Any:
        rows, args = self.train_examples, self.args
        size = args.per_device_train_batch_size
        steps = args.gradient_accumulation_steps
        order: Any = SeedableRandomSampler(range(len(rows)), data_seed=args.data_seed)
        if self.objective.is_padded:
            lengths = [self.objective.length(example) for example in rows]
            order = LengthGroupedSampler(size * steps * self.replicas, lengths=lengths, seed=args.seed)
        batches = RankBatches(order, len(rows), size=size, steps=steps, rank=self._seat, ranks=self.replicas)
        return rank_loader(rows, self.objective, batches, pin=args.dataloader_pin_memory)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], Any]:
        batches = list(islice(epoch_iterator, num_batches))
        items = sum(self.group.gather(sum(batch.items for batch in batches)))
        return batches, torch.tensor(items * self.replicas // self.group.size, device=device)

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        if isinstance(inputs, Idle):
            return self.objective.loss(model, inputs.batch, 0.0)[0]
        count = int(num_items_in_batch) if num_items_in_batch is not None else inputs.items
        loss, told = self.objective.loss(model, inputs, self.replicas / max(1, count))
        self.pace.take_figures(told, inputs.items)
        return loss

    def _validation(self) -> dict[str, float]:
        """Each process takes its part of the batches, and all of them know the whole."""
        model: Any = self.model_wrapped
        was_training = model.training
        model.eval()
        let_go(model)
        total, items, figures = 0.0, 0, Counter[str]()
        size = self.args.per_device_train_batch_size
        rows = len(self.validation)
        with torch.no_grad():
            for turn in range(math.ceil(rows / size / self.replicas)):
                start = (turn * self.replicas + self._seat) * size
                mine = self.validation[start : start + size]
                batch = self.objective.collate(mine or self.validation[:1])
                loss, told = self.objective.loss(model, batch, 1.0)
                if mine:
                    total += float(loss)
                    items += batch.items
                    figures.update(told)
        model.train(was_training)
        let_go(model)
        parts = self.group.gather([total, items, dict(figures)])
        parts = parts[:: self.group.size // self.replicas]
        total, items = sum(part[0] for part in parts), sum(part[1] for part in parts)
        figures = sum((Counter(part[2]) for part in parts), Counter[str]())
        for name in {name for part in parts for name in part[2]}:
            figures[name] = sum(
                part[2].get(name, 0.0) for part in parts
            )  # `+` of counters drops what is below 0
        return {
            "loss": total / max(1, items),
            **{name: value / max(1, items) for name, value in figures.items()},
        }

    # -- the network

    def _move_model_to_device(self, model: Any, device: Any) -> None:
        if not is_sharded(model):
            super()._move_model_to_device(model, device)

    def _wrap_model(self, model: Any, training: bool = True, dataloader: Any = None) -> Any:
        if self.strategy != "ddp" or self.replicas == 1:
            return super()._wrap_model(model, training, dataloader)
        if isinstance(model, DistributedDataParallel):
            return model
        for parameter in model.parameters():
            if parameter.requires_grad:  # the rest comes from the same files
                distributed.broadcast(parameter.data, 0)
        return DistributedDataParallel(
            model, broadcast_buffers=False, init_sync=False, gradient_as_bucket_view=True
        )

    def _defer_fsdp_gradient_reduction(self) -> Any:
        """Gradients are added up where they stay: whole ones of several batches would need the room of all weights."""
        return nullcontext()

    def _clip_grad_norm(self, model: Any) -> Any:
        return clip(model, self.args.max_grad_norm) if is_sharded(model) else super()._clip_grad_norm(model)

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        if grad_norm is None and is_sharded(model):
            return clip(model, math.inf)
        return super()._get_grad_norm(model, grad_norm=grad_norm)

    # -- what is told

    def share_pace(self) -> None:
        """The main process has counted what all of them have read; the others begin to count anew."""
        pace = self.pace
        mine = [pace.step_rows, pace.step_tokens, dict(pace.figures), pace.items]
        parts = self.group.gather(mine)[:: self.group.size // self.replicas]
        pace.step_rows, pace.step_tokens, pace.figures, pace.items = [], 0, Counter(), 0
        if self.group.is_local_main:
            for rows, tokens, figures, items in parts:
                pace.step_rows += rows
                pace.step_tokens += tokens
                pace.take_figures(figures, items)

    def take_pace(self, checkpoint: Path) -> None:
        super().take_pace(checkpoint)
        if not self.group.is_local_main:
            self.pace.step_rows, self.pace.step_tokens = [], 0
            self.pace.figures, self.pace.items = Counter(), 0

    def _emit_step(self, logs: dict[str, float]) -> None:
        self.share_pace()
        super()._emit_step(logs)

    def held_memory(self) -> int:
        """Of all processes on a CPU, of the one that holds most on GPUs."""
        told = self.group.gather(memory_bytes(str(self.args.device)))
        return max(told) if self.args.device.type == "cuda" else sum(told)

    # -- checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        if not is_sharded(self.model):
            super().save_model(output_dir, _internal_call)
            return
        state = whole_state(self.model, keep=self.args.should_save)
        if self.args.should_save:
            self.model.save_pretrained(str(output_dir), state_dict=state, is_main_process=True)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        self.share_pace()
        told = self.group.gather(self._tr_loss.item())
        self._tr_loss.fill_(sum(told) / len(told))  # what is not told yet is the same for all
        super()._save_checkpoint(model, trial)
        self.group.barrier()

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not is_sharded(self.model):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        state = whole(self.optimizer.state_dict())
        if self.args.should_save:
            torch.save(state, os.path.join(output_dir, _OPTIMIZER))
            torch.save(self.lr_scheduler.state_dict(), os.path.join(output_dir, _SCHEDULER))

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.group.barrier()  # the checkpoint is whole when every process has written its part

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        if not is_sharded(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        found: dict[str, torch.Tensor] = {}
        for path in sorted(Path(resume_from_checkpoint).glob("*.safetensors")):
            found.update(load_file(path))
        put_state(self.model, found)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None or not is_sharded(self.model):
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        folder = Path(checkpoint)
        put_optimizer(self.optimizer, _read(folder / _OPTIMIZER))
        self.lr_scheduler.load_state_dict(_read(folder / _SCHEDULER))


def _read(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True)


class StopTogether(TrainerCallback):
    """One process that is asked to stop is all of them asked, after the same step."""

    def __init__(self, stop: StopFlag, group: Group) -> None:
        self._stop, self._group = stop, group

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._stop.is_set = self._group.any(self._stop.is_set)


def trainer_of(spec: TrainSpec, stop: StopFlag) -> Callable[..., EventTrainer]:
    """The trainer's class, told what this process is among others."""
    group = this_group()
    if group.size == 1:
        return EventTrainer
    replicas = spec.world_size // spec.tensor_parallel
    return partial(RankTrainer, group=group, strategy=spec.strategy, replicas=replicas, stop=stop)


def resume_together(folder: Path, emit: Emit, group: Group) -> Path | None:
    """Where all processes go on: the newest checkpoint that can be trusted, and that each machine has."""
    own = resume_point(folder, emit) if group.is_local_main else None
    names = [
        name for is_local_main, name in group.gather([group.is_local_main, own and own.name]) if is_local_main
    ]
    if None in names:
        return None
    return folder / min(names, key=lambda name: checkpoint_step(name) or 0)


def facts_of_all(group: Group, device: str) -> dict[str, Any]:
    """What a result says of all processes together; nothing where there is one."""
    if group.size == 1:
        return {}
    told = group.gather(peak_memory_bytes(device))
    return {"processes": group.size, "peak_memory_bytes": max(told) if device == "cuda" else sum(told)}
