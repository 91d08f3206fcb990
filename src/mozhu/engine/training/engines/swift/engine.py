"""The ``swift`` engine: the same spec, rows and labels as with ``hf``, trained by ms-swift."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import torch

from mozhu.engine.training.checkpoints import last_checkpoint, link_final, remove_incomplete, remove_oldest
from mozhu.engine.training.defaults import learning_rate, max_length, target_modules
from mozhu.engine.training.engine import Trained, TrainingData
from mozhu.engine.training.engines.swift.artefact import keep_adapter, keep_model
from mozhu.engine.training.engines.swift.check import (
    ENGINE,
    TITLE,
    check,
    lays_flat,
    used_quantisation,
    wanted_device,
)
from mozhu.engine.training.engines.swift.curve import Curve, perplexity
from mozhu.engine.training.engines.swift.fields import SCORING, Setting, arguments, verb_of
from mozhu.engine.training.engines.swift.hand_over import PLUGIN, Link, hand_over
from mozhu.engine.training.engines.swift.process import SwiftProcess
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.device import pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.new_head import new_head
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel.errors import EngineMissing, EngineStopped, LossNotFinite, UnsupportedByEngine
from mozhu.kernel.files import read_jsonl, write_json
from mozhu.kernel.machine import free_core_count
from mozhu.kernel.paths import checkpoint_name, checkpoint_step
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec
from mozhu.workspace.environments.record import Environment, find_environment

LOG = "swift.log"
_PRIVATE = ".swift"


class SwiftEngine:
    """ms-swift in its own environment, as a process; runs stop and resume as with any other engine."""

    def check(self, spec: TrainSpec) -> list[Finding]:
        return check(spec)

    def run(
        self, spec: TrainSpec, model: FoundModel, data: TrainingData, folder: Path, emit: Emit
    ) -> Trained:
        """Train and leave ``lora_adapter/`` (or ``model/`` for a full fine-tune) in ``folder``.

        Raises:
            EngineMissing: TRAIN-060. UnsupportedByEngine: TRAIN-062. EngineStopped: TRAIN-063.
            LossNotFinite: TRAIN-003.
        """
        environment = _usable(spec)
        threads = spec.threads or free_core_count()
        remove_incomplete(folder)
        link = hand_over(data, folder / _PRIVATE, threads, spec.stage, _head(spec, model, data))
        resume = last_checkpoint(folder)
        setting = _setting(spec, model, data, folder, environment, resume)
        write_json(link.arguments, arguments(setting))
        done = checkpoint_step(resume.name) or 0 if resume else 0
        before = folder / "events.jsonl"
        curve = Curve.restored(setting.steps, read_jsonl(before) if resume and before.is_file() else (), done)
        if done < setting.steps:  # else cut off after its last step, before the artefact was whole
            version = environment.version(TITLE)
            emit(
                "log",
                message=text("train.swift.started", title=TITLE, version=version, device=setting.device),
            )
            _train(environment, link, setting, threads, curve, emit)
        return _finish(setting, model, curve, threads, environment, data.classes)


def _usable(spec: TrainSpec) -> Environment:
    """The engine's environment, when it can do all that ``spec`` asks for."""
    problems = [finding for finding in check(spec) if finding.level == "error"]
    environment = find_environment(ENGINE)
    if environment is None:
        raise EngineMissing(engine=ENGINE)
    if problems:
        lines = [text(f"train.{finding.code}.what", **finding.params) for finding in problems]
        raise UnsupportedByEngine(engine=ENGINE, problems="\n  ".join(lines))
    return environment


def _head(spec: TrainSpec, model: FoundModel, data: TrainingData) -> torch.Tensor | None:
    if spec.stage not in SCORING:
        return None
    return new_head(ModelFolder.open(model.base), len(data.classes) or 1, spec.seed)


def _setting(
    spec: TrainSpec,
    model: FoundModel,
    data: TrainingData,
    folder: Path,
    environment: Environment,
    resume: Path | None,
) -> Setting:
    described = ModelFolder.open(model.base)
    device = wanted_device(spec, environment)
    an_epoch = max(1, math.ceil(len(data.train) / (spec.batch_size * spec.gradient_accumulation_steps)))
    return Setting(
        spec=spec,
        base=model.base.absolute(),
        folder=folder.absolute(),
        steps=spec.max_steps or max(1, math.ceil(an_epoch * spec.num_train_epochs)),
        an_epoch=an_epoch,
        validates=len(data.validation) > 0,
        learning_rate=learning_rate(spec, described),
        max_length=max_length(spec, described),
        targets=tuple(target_modules(spec, described)),
        device=device,
        dtype=str(pick_dtype(torch.device(device), described, spec.dtype)).removeprefix("torch."),
        quantization=used_quantisation(spec, environment),
        flat=lays_flat(spec, environment),
        plugin=PLUGIN,
        labels=len(data.classes) or 1,
        resume=resume.absolute() if resume else None,
    )


def _train(
    environment: Environment, link: Link, setting: Setting, threads: int, curve: Curve, emit: Emit
) -> None:
    """Run ms-swift to its end; its words become our events as they come."""
    stop, asked = StopFlag(), False
    log = setting.folder / LOG
    try:
        with (
            stop.listening(),
            SwiftProcess(environment, link, log, threads, setting.device, verb_of(setting.spec)) as process,
        ):
            for told in process.events():
                if stop.is_set and not asked:
                    asked = True
                    process.ask_to_stop()
                if told is not None:
                    _tell(told, setting, curve, emit)
    finally:
        shutil.rmtree(link.folder / "cache", ignore_errors=True)
    if stop.is_set and curve.last < setting.steps:
        raise KeyboardInterrupt


def _tell(told: dict[str, object], setting: Setting, curve: Curve, emit: Emit) -> None:
    kind, step = told["kind"], int(str(told["step"]))
    if kind == "step":
        fields = curve.take_step(told)
        emit("step", **fields)
        if not math.isfinite(fields["loss"]):
            raise LossNotFinite(step=step, loss=str(fields["loss"]), rows=fields["rows"][:8])
    elif kind == "eval":
        curve.evals[step] = float(str(told["loss"]))
        rows = int(str(told["rows"]))
        words = (
            {} if setting.spec.stage not in {"sft", "pt"} else {"perplexity": perplexity(curve.evals[step])}
        )
        emit("eval", step=step, rows=rows, loss=curve.evals[step], **words)
    elif kind == "checkpoint":
        remove_oldest(setting.folder, setting.spec.save_total_limit)
        emit("checkpoint", step=step, path=checkpoint_name(step))
    elif kind == "end":
        curve.peak_memory_bytes = int(str(told["peak_memory_bytes"]))


def _finish(
    setting: Setting,
    model: FoundModel,
    curve: Curve,
    threads: int,
    environment: Environment,
    classes: Sequence[str],
) -> Trained:
    """The last checkpoint as our artefact.

    Raises:
        EngineStopped: TRAIN-063, it ended without an error and without its last checkpoint.
    """
    folder, spec = setting.folder, setting.spec
    last = last_checkpoint(folder)
    step = checkpoint_step(last.name) if last else None
    if last is None or step is None or step < setting.steps:
        raise EngineStopped(engine=ENGINE, status=0, tail=f"{step} / {setting.steps}", log=str(folder / LOG))
    if spec.train_type == "full":
        kind, artefact = "model", folder / "model"
        keep_model(last, model.base, artefact, setting.dtype)
    else:
        kind, artefact = "adapter", folder / "lora_adapter"
        keep_adapter(last, model.base, artefact, spec.stage, classes)
    link_final(folder, artefact)
    _tidy(folder)
    facts = curve.facts(setting.device, threads, f"{TITLE} {environment.version(TITLE)}")
    return Trained(kind, artefact, step, curve.metrics(of_tokens=spec.stage in {"sft", "pt"}), facts)


def _tidy(folder: Path) -> None:
    """What only the engine's process needed goes; ``swift.json``, ``swift.log`` and ``logging.jsonl`` stay."""
    shutil.rmtree(folder / _PRIVATE, ignore_errors=True)
    with suppress(OSError):
        (folder / "last-checkpoint").unlink()  # ms-swift's own link, beside our checkpoint-final
