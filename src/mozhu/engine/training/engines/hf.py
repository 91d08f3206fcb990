"""The ``hf`` engine: Transformers' Trainer with PEFT, in the main environment."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments, set_seed

from mozhu.engine.training.checkpoints import is_whole, link_final, remove_incomplete
from mozhu.engine.training.defaults import WITH_OWN_INPUTS, learning_rate
from mozhu.engine.training.engine import Trained, TrainingData
from mozhu.engine.training.engines.callbacks import RunCallback
from mozhu.engine.training.engines.flat.forward import make_flat
from mozhu.engine.training.engines.flat.fuse import fuse
from mozhu.engine.training.engines.flat.probe import keeps_rows_apart
from mozhu.engine.training.engines.flat.thrift import keep_few_products
from mozhu.engine.training.engines.hf_network import trainable_network
from mozhu.engine.training.engines.hf_save import save_artefact
from mozhu.engine.training.engines.hf_trainer import EventTrainer, Pace
from mozhu.engine.training.engines.marked import ClassObjective, KtoObjective
from mozhu.engine.training.engines.noise import EmbeddingNoise
from mozhu.engine.training.engines.objective import Objective
from mozhu.engine.training.engines.pissa import begin_pissa
from mozhu.engine.training.engines.preference import DpoObjective, OrpoObjective, RewardObjective
from mozhu.engine.training.engines.quality import Best, Quality
from mozhu.engine.training.engines.reference import reference_of
from mozhu.engine.training.engines.samples import choose_samples
from mozhu.engine.training.engines.sft import FlatSft, PaddedSft
from mozhu.engine.training.engines.vision import VisionSft
from mozhu.engine.training.optimiser import optimiser_arguments
from mozhu.engine.training.processes.group import this_group
from mozhu.engine.training.processes.sharding import is_sharded, shard, whole_state
from mozhu.engine.training.processes.trainer import facts_of_all, resume_together, trainer_of
from mozhu.engine.training.quantisation import quantisation_finding
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.device import pick_device
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import FoundModel
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.engine.weights.vision import Vision
from mozhu.kernel.errors import StageNeedsFlatRows
from mozhu.kernel.machine import free_core_count
from mozhu.kernel.paths import checkpoint_name, checkpoint_step
from mozhu.kernel.progress import Emit
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec


class HfEngine:
    """LoRA, QLoRA and full fine-tuning of causal language models."""

    def check(self, spec: TrainSpec) -> list[Finding]:
        told = quantisation_finding(spec, has_gpu=pick_device(spec.device).type == "cuda")
        return [told] if told else []

    def run(
        self, spec: TrainSpec, model: FoundModel, data: TrainingData, folder: Path, emit: Emit
    ) -> Trained:
        """Train and leave ``lora_adapter/`` (or ``model/`` for a full fine-tune) in ``folder``."""
        group = this_group()
        keep_few_products()
        torch.set_num_threads(spec.threads or max(1, free_core_count() // group.local_size))
        set_seed(spec.seed)
        described = ModelFolder.open(model.base)
        place = group.place(pick_device(spec.device))
        device = place.type
        is_shared_out = spec.strategy == "fsdp2" and group.size > 1
        lies = torch.device("cpu") if is_shared_out else place
        network = trainable_network(spec, described, place, data.classes, lies=lies)
        beginning = begin_pissa(network, folder) if spec.lora_init == "pissa" else None
        objective = _objective(spec, network, described, data, emit)
        if spec.neftune_noise_alpha:
            EmbeddingNoise(spec.neftune_noise_alpha).attach(network)
        if is_shared_out:
            shard(network, device, group.size)
        pace = Pace(total=_total_steps(spec, len(data.train)))
        stop = StopFlag()
        trainer = _trainer(spec, network, objective, described, data, folder, emit, pace, device, stop)
        resume = resume_together(folder, emit, group)
        if resume:
            emit("checkpoint", step=checkpoint_step(resume.name), path=resume.name)
            trainer.take_pace(resume)
            trainer.remember(resume)
        try:
            with stop.listening():
                if not resume:
                    trainer.validate()
                if resume and _is_last(resume, trainer):
                    trainer.restore(resume)  # cut off after its last step, before the artefact was whole
                else:
                    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        except BaseException:
            if group.is_local_main:
                remove_incomplete(folder)  # the one the disk had no room for leaves its room to the result
            raise
        if stop.is_set and trainer.state.global_step < pace.total and not trainer.quality.stopped_at:
            raise KeyboardInterrupt
        trainer.validate()
        best = _take_best(spec, trainer, folder, emit)
        kind, artefact = (
            ("model", folder / "model") if spec.train_type == "full" else ("adapter", folder / "lora_adapter")
        )
        state = whole_state(network, keep=group.is_local_main) if is_sharded(network) else None
        if group.is_local_main:
            save_artefact(
                network, spec, model.base, artefact, beginning=beginning, classes=data.classes, state=state
            )
            link_final(folder, artefact)
        metrics = {"train_loss": best.train_loss, **_named(best.found)}
        facts = {**pace.facts(device), **facts_of_all(group, device), **_ends(spec, trainer)}
        return Trained(kind, artefact, best.step, metrics, facts)


def _is_last(checkpoint: Path, trainer: EventTrainer) -> bool:
    """Whether nothing is left to train after ``checkpoint``: its steps are all done, or it was stopped early."""
    step = checkpoint_step(checkpoint.name) or 0
    return step >= trainer.pace.total or trainer.quality.stopped_at == step


def _take_best(spec: TrainSpec, trainer: EventTrainer, folder: Path, emit: Emit) -> Best:
    """The network has the weights that become the artefact: the best evaluation's where ``keep_best`` asks for them."""
    here = trainer.state.global_step
    best = trainer.quality.best
    if not spec.keep_best or best is None or best.step == here:
        return Best(here, trainer.validate() or {}, trainer.pace.loss_smooth)
    checkpoint = folder / checkpoint_name(best.step)
    if not is_whole(checkpoint):
        emit("finding", level="warning", code="TRAIN-085", params={"path": str(checkpoint), "last": here})
        return Best(here, trainer.validate() or {}, trainer.pace.loss_smooth)
    trainer.take_weights(checkpoint)
    params = {"step": best.step, "loss": round(best.found["loss"], 6), "last": here}
    emit("finding", level="info", code="TRAIN-082", params=params)
    return best


def _ends(spec: TrainSpec, trainer: EventTrainer) -> dict[str, int]:
    """Which step the run ended with, and which evaluation was the best one, where that was asked for."""
    quality = trainer.quality
    found = {"last_step": trainer.state.global_step}
    if (spec.keep_best or spec.early_stopping) and quality.best is not None:
        found["best_step"] = quality.best.step
    if quality.stopped_at is not None:
        found["stopped_early_at"] = quality.stopped_at
    return found


def _objective(
    spec: TrainSpec, network: Any, described: ModelFolder, data: TrainingData, emit: Emit
) -> Objective:
    """Rows end to end where the model keeps them apart, which is tried; else padded.

    Raises:
        StageNeedsFlatRows: TRAIN-009, the stage cannot be padded.
    """
    plain = spec.stage in {"sft", "pt"}
    in_pieces = spec.tensor_parallel > 1  # the output layer's weight lies in several processes
    if (spec.packing or not plain) and spec.train_type not in WITH_OWN_INPUTS and not in_pieces:
        if keeps_rows_apart(network, data.train):
            found = _flat_objective(spec, network)
            make_flat(network)
            fuse(network)
            return found
        if plain:
            emit("finding", level="info", code="TRAIN-041", params={"family": described.family})
    if not plain:
        raise StageNeedsFlatRows(stage=spec.stage, family=described.family, train_type=spec.train_type)
    pad = load_tokenizer(described.path).pad_token_id
    if isinstance(data.keep, Vision):
        return VisionSft(pad if pad is not None else 0, data.keep)
    return PaddedSft(pad if pad is not None else 0)


def _flat_objective(spec: TrainSpec, network: Any) -> Objective:
    if spec.stage == "dpo":
        return DpoObjective(spec, reference_of(network))
    if spec.stage == "kto":
        return KtoObjective(spec, reference_of(network))
    others: dict[str, Callable[[], Objective]] = {
        "orpo": lambda: OrpoObjective(spec),
        "rm": RewardObjective,
        "classification": ClassObjective,
    }
    return others.get(spec.stage, FlatSft)()


def _trainer(
    spec: TrainSpec,
    network: Any,
    objective: Objective,
    described: ModelFolder,
    data: TrainingData,
    folder: Path,
    emit: Emit,
    pace: Pace,
    device: str,
    stop: StopFlag,
) -> EventTrainer:
    steps = pace.total
    an_epoch = _steps_an_epoch(spec, len(data.train))
    samples = choose_samples(spec, described, data.validation)
    if spec.eval_samples and samples is None:
        emit(
            "finding",
            level="warning",
            code="TRAIN-084",
            params={"stage": spec.stage, "strategy": spec.strategy},
        )
    return trainer_of(spec, stop)(
        model=network,
        args=TrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=spec.batch_size,
            gradient_accumulation_steps=spec.gradient_accumulation_steps,
            max_steps=steps,
            learning_rate=learning_rate(spec, described),
            **optimiser_arguments(spec, steps),
            activation_checkpointing=bool(spec.gradient_checkpointing),
            use_cpu=device == "cpu",
            bf16=False,
            fp16=False,
            logging_strategy="steps",
            logging_steps=spec.logging_steps,
            logging_nan_inf_filter=False,
            save_strategy="steps",
            save_steps=spec.save_steps or an_epoch,
            eval_strategy="steps" if data.validation else "no",
            eval_steps=spec.eval_steps or an_epoch,
            seed=spec.seed,
            data_seed=spec.seed,
            dataloader_num_workers=0,
            dataloader_pin_memory=device == "cuda",
            remove_unused_columns=False,
            report_to=[],
            disable_tqdm=True,
            deepspeed=spec.deepspeed_config,
            save_on_each_node=spec.nodes > 1,
        ),
        objective=objective,
        train_examples=data.train,
        validation=data.validation,
        kept=spec.save_total_limit,
        quality=Quality(spec.early_stopping, spec.early_stopping_delta),
        keep_best=spec.keep_best,
        samples=samples,
        masters=spec.train_type == "full" and spec.master_weights,
        pace=pace,
        emit=emit,
        callbacks=[RunCallback(stop)],
    )


def _named(final: dict[str, float] | None) -> dict[str, float]:
    """What a validation found; perplexity only says the loss in other words."""
    return {f"eval_{name}": value for name, value in (final or {}).items() if name != "perplexity"}


def _steps_an_epoch(spec: TrainSpec, rows: int) -> int:
    return max(1, math.ceil(rows / spec.total_batch))


def _total_steps(spec: TrainSpec, rows: int) -> int:
    return spec.max_steps or max(1, math.ceil(_steps_an_epoch(spec, rows) * spec.num_train_epochs))
