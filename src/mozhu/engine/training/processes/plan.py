"""What stands against a training in several processes, found before any is started; needs no torch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mozhu.engine.training.quantisation import method_of, used_quantisation
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel import slots
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_text
from mozhu.kernel.machine import Machine, library_version
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec

_STAGES_OF_ZERO = (0, 1, 2, 3)


def process_findings(spec: TrainSpec, model: ModelFolder | None, machine: Machine) -> list[Finding]:
    """Every finding about processes, in one pass."""
    gpus = gpu_count(spec, machine)
    findings = [*_deepspeed(spec)]
    if spec.world_size > 1 or spec.strategy == "deepspeed":
        findings += [
            *_devices(spec, machine, gpus),
            *_method(spec, model),
            *_tensor_parallel(spec),
        ]
    elif gpus > 1:
        findings.append(Finding("info", "TRAIN-077", {"gpus": gpus}))
    return findings


def gpu_count(spec: TrainSpec, machine: Machine) -> int:
    """The GPUs that this training may use; CUDA_VISIBLE_DEVICES may hide some."""
    if spec.device not in {"auto", "cuda"}:
        return 0
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if seen is None:
        return len(machine.gpus)
    return min(len(machine.gpus), len([name for name in seen.split(",") if name.strip() not in {"", "-1"}]))


def _devices(spec: TrainSpec, machine: Machine, gpus: int) -> Iterator[Finding]:
    there = gpus or machine.cores
    kind = text("train.processes.gpus" if gpus else "train.processes.cores")
    if spec.processes > there:
        params = {"processes": spec.processes, "devices": there, "kind": kind}
        yield Finding("error", "TRAIN-070", params)


def _method(spec: TrainSpec, model: ModelFolder | None) -> Iterator[Finding]:
    def refused(field: str, reason: str, **places: str) -> Finding:
        value, words = str(getattr(spec, field)), text(f"train.processes.{reason}", **places)
        params = {"field": field, "value": value, "strategy": spec.strategy, "reason": words}
        return Finding("error", "TRAIN-073", params)

    if spec.engine != "hf" and spec.engine not in slots.names(
        "mozhu.engine_checks"
    ):  # which check it themselves
        yield refused("engine", "engine", engine=spec.engine)
    if spec.strategy == "ddp" and spec.tensor_parallel == 1:
        return
    if model is not None and (used_quantisation(spec, model) != "none" or method_of(model)):
        yield refused("quantization", "quantised")
    if spec.optimizer != "adamw" and spec.strategy == "fsdp2":
        yield refused("optimizer", "optimizer")
    if spec.lora_init == "pissa":
        yield refused("lora_init", "pissa")
    if spec.train_type == "full" and spec.stage in {"dpo", "kto"}:
        yield refused("stage", "reference")
    if spec.train_type in {"prefix", "multimodal"}:
        yield refused("train_type", "inputs")


def _tensor_parallel(spec: TrainSpec) -> Iterator[Finding]:
    """PEFT's layers and flat rows read weights of which each process has a piece only."""
    if spec.tensor_parallel == 1:
        return
    if spec.train_type != "full":
        yield Finding("error", "TRAIN-076", {"field": "train_type", "value": spec.train_type})
    if spec.stage not in {"sft", "pt"}:
        yield Finding("error", "TRAIN-076", {"field": "stage", "value": spec.stage})


def _deepspeed(spec: TrainSpec) -> Iterator[Finding]:
    if spec.deepspeed_config is None:
        return
    if library_version("deepspeed") is None:
        yield Finding("error", "TRAIN-075", {})
    problems = list(deepspeed_problems(spec, Path(spec.deepspeed_config)))
    if problems:
        params = {"path": spec.deepspeed_config, "problems": "; ".join(problems)}
        yield Finding("error", "TRAIN-074", params)


def deepspeed_problems(spec: TrainSpec, path: Path) -> Iterator[str]:
    """What is wrong with DeepSpeed's own configuration for this training."""
    try:
        config = json.loads(read_text(path))
    except MozhuError as error:
        yield error.what
        return
    except ValueError as error:
        yield text("train.processes.not_json", reason=str(error))
        return
    if not isinstance(config, dict):
        yield text("train.processes.not_object")
        return
    zero = config.get("zero_optimization")
    stage = zero.get("stage", 0) if isinstance(zero, dict) else 0
    if stage not in _STAGES_OF_ZERO:
        yield text("train.processes.no_zero", value=json.dumps(stage))
    yield from _numbers(spec, config)


def _numbers(spec: TrainSpec, config: dict[str, Any]) -> Iterator[str]:
    """The numbers that both say must be the same."""
    asked = {
        "train_micro_batch_size_per_gpu": spec.batch_size,
        "gradient_accumulation_steps": spec.gradient_accumulation_steps,
        "train_batch_size": spec.total_batch,
        "gradient_clipping": spec.max_grad_norm,
    }
    for name, wanted in asked.items():
        value = config.get(name, "auto")
        if value not in ("auto", wanted):
            yield text("train.processes.wrong_number", name=name, value=json.dumps(value), wanted=wanted)
