"""How much memory and time a training run will take, before it starts; needs no torch.

Memory is added up from the model's headers (weights, adapter, gradients, optimiser state, activations, logits).
Time is tokens x floating-point operations a token / a speed: this machine's own, learnt from finished runs
(``forecast.json`` in the workspace's ``6_output/training/``), else an estimate by device.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.training.defaults import (
    expert_lora_parameters,
    ia3_parameters,
    is_expert,
    learning_rate,
    max_length,
    target_modules,
)
from mozhu.engine.training.optimiser import STATE_BYTES
from mozhu.engine.training.quantisation import method_of, quantised_parameters, used_quantisation
from mozhu.engine.training.row_facts import RowFacts, kept_facts, row_facts
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import human_size, read_json, write_json
from mozhu.kernel.machine import Machine
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.progress import Emit
from mozhu.specs.train import TrainSpec

_GIB = 1 << 30
_LIBRARIES_BYTES = int(0.6 * _GIB)  # torch, transformers and their buffers
# Floating-point operations a second and core (or GPU), before this machine has been measured.
_CPU_CORE_FLOPS = 2.0e10
_GPU_FLOPS = 5.0e13
_SHARED_OUT = ("weights", "adapter", "gradients", "optimizer")
_START_S = 12.0  # imports and loading


@dataclass(frozen=True)
class Forecast:
    """Bytes, seconds and counts; ``memory`` names its terms, ``learnt`` says whether this machine was measured."""

    rows: int
    validation_rows: int
    tokens_per_epoch: int
    tokens: int
    steps: int
    epochs: float
    trainable_parameters: int
    parameters: int
    learning_rate: float
    max_length: int
    device: str
    memory: dict[str, int]
    peak_memory_bytes: int
    memory_free_bytes: int
    seconds: float
    learnt: bool
    checkpointing: bool = False

    @property
    def fits(self) -> bool:
        return self.peak_memory_bytes <= self.memory_free_bytes

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "fits": self.fits}


def forecast(spec: TrainSpec, machine: Machine) -> Forecast:
    """The forecast of ``spec`` on ``machine``.

    Where the spec leaves it to the machine, activations are recomputed on a GPU that could not hold them and then can.

    Raises:
        What the model or the data raise when they cannot be read.
    """
    found = _forecast(spec, machine)
    if spec.gradient_checkpointing is not None or found.device == "cpu" or found.fits:
        return found
    if spec.train_type == "prefix":  # which cannot
        return found
    again = _forecast(spec.model_copy(update={"gradient_checkpointing": True}), machine)
    return again if again.fits else found


def with_checkpointing(spec: TrainSpec, machine: Machine, emit: Emit) -> TrainSpec:
    """``spec`` with activations recomputed where only that fits into the GPU, which is told."""
    on_gpu = bool(machine.gpus) and spec.device in {"auto", "cuda"}
    if spec.gradient_checkpointing is not None or not on_gpu:
        return spec
    found = forecast(spec, machine)
    if not found.checkpointing:
        return spec
    emit("finding", level="info", code="TRAIN-057", params={"free": human_size(found.memory_free_bytes)})
    return spec.model_copy(update={"gradient_checkpointing": True})


def _forecast(spec: TrainSpec, machine: Machine) -> Forecast:
    model = ModelFolder.open(find_model(spec.model).base)
    facts = kept_facts(spec, model) or list(row_facts(spec))
    data, limit = facts[0], max_length(spec, model)
    validation = _validation_rows(spec, facts)
    trained = data.rows if spec.val_dataset else data.rows - validation
    if data.exact:  # rows that give no example, or several
        trained = max(1, round(trained * data.lengths.total() / data.rows))
    per_epoch = int(data.total_tokens(limit) * trained / max(1, data.lengths.total()))
    steps_an_epoch = max(1, math.ceil(trained / spec.total_batch))
    steps = spec.max_steps or math.ceil(steps_an_epoch * spec.num_train_epochs)
    trainable = _trainable(spec, model)
    gpu = machine.gpus[0] if machine.gpus and spec.device in {"auto", "cuda"} else None
    memory = _memory_terms(spec, model, trainable, trained, data.longest(limit), gpu is not None)
    memory = _of_processes(spec, memory, gpu is not None)
    flops, learnt = _speed(model, machine, gpu is not None)
    flops *= _gpus_that_share(spec) if gpu else 1
    seen = rows_of_steps(steps, trained, spec.total_batch)
    tokens = int(per_epoch * seen / trained)
    return Forecast(
        rows=trained,
        validation_rows=validation,
        tokens_per_epoch=per_epoch,
        tokens=tokens,
        steps=steps,
        epochs=round(steps / steps_an_epoch, 2),
        trainable_parameters=trainable,
        parameters=model.parameter_count,
        learning_rate=learning_rate(spec, model),
        max_length=limit,
        device=gpu.name if gpu else "cpu",
        memory=memory,
        peak_memory_bytes=sum(memory.values()),
        memory_free_bytes=gpu.free_bytes if gpu else machine.memory_free_bytes,
        seconds=round(_START_S + tokens * _flops_a_token(spec, model) / flops, 1),
        learnt=learnt,
        checkpointing=bool(spec.gradient_checkpointing),
    )


def rows_of_steps(steps: int, rows: int, batch: int) -> int:
    """How many rows ``steps`` read: an epoch ends with a smaller batch where ``rows`` are no multiple of ``batch``."""
    epochs, rest = divmod(steps, max(1, math.ceil(rows / batch)))
    return epochs * rows + min(rest * batch, rows)


def learn_speed(model: ModelFolder, spec: TrainSpec, tokens: int, seconds: float, device: str) -> None:
    """Keep the speed of a finished run, so that the next forecast on this machine is better."""
    if seconds <= 0 or tokens <= 0:
        return
    path = _speed_file()
    known = _known_speeds(path)
    sharing = _gpus_that_share(spec) if device == "cuda" else 1
    known[_speed_key(model, device)] = tokens * _flops_a_token(spec, model) / seconds / sharing
    try:
        write_json(path, known)
    except MozhuError:  # a convenience: an unwritable workspace must not fail a finished run
        return


def _validation_rows(spec: TrainSpec, facts: list[RowFacts]) -> int:
    if spec.val_dataset:
        return facts[1].rows
    rows = facts[0].rows
    if rows < 3 or spec.validation_split == 0:
        return 0
    return max(1, round(rows * spec.validation_split))


def _trainable(spec: TrainSpec, model: ModelFolder) -> int:
    """Parameters that get gradients: every one, r x (in + out) for each target module, a vector for each layer that
    IA3 scales, or the keys and values of a prefix.
    """
    if spec.train_type == "full":
        return model.parameter_count
    if spec.train_type == "prefix":
        config = model.text_config
        layers, heads = int(config.get("num_hidden_layers") or 0), int(config.get("num_attention_heads") or 1)
        size = int(config.get("head_dim") or int(config.get("hidden_size") or 0) // heads)
        return spec.virtual_tokens * layers * 2 * size * int(config.get("num_key_value_heads") or heads)
    if spec.train_type == "ia3":
        return ia3_parameters(spec, model)
    targets = set(target_modules(spec, model))
    shapes = [
        info.shape
        for name, info in model.tensors.items()
        if name.endswith(".weight")
        and name.split(".")[-2] in targets
        and len(info.shape) == 2
        and not is_expert(name)
    ]
    experts = expert_lora_parameters(model, spec.lora_rank) if spec.train_experts else 0
    return experts + sum(spec.lora_rank * (shape[0] + shape[1]) for shape in shapes)


def _memory_terms(
    spec: TrainSpec, model: ModelFolder, trainable: int, rows: int, longest: int, on_gpu: bool
) -> dict[str, int]:
    config = model.text_config
    hidden = int(config.get("hidden_size") or 1024)
    layers = int(config.get("num_hidden_layers") or 24)
    feed_forward = int(config.get("intermediate_size") or 4 * hidden)
    vocabulary = model.vocab_size or 32000
    quantised = used_quantisation(spec, model)
    large_cpu = not on_gpu and model.parameter_count > 300_000_000
    number = 2 if on_gpu or large_cpu else 4
    small = {"4bit": 0.53, "8bit": 1.02}.get(quantised)
    weights = model.weight_bytes if method_of(model) else model.parameter_count * number
    if (
        small is not None
    ):  # the linear layers of the blocks alone: embeddings, norms and the head stay as they are
        inside = quantised_parameters(model)
        weights = int(inside * small) + (model.parameter_count - inside) * number
    tokens = min(spec.batch_size, rows) * longest
    kept = 2 if spec.gradient_checkpointing else 34
    activations = tokens * layers * (kept * hidden + (0 if spec.gradient_checkpointing else 6) * feed_forward)
    if spec.train_experts:  # the sum of each expert's weight and what is learned is kept for the way back
        experts = sum(math.prod(info.shape) for name, info in model.tensors.items() if is_expert(name))
        activations += 4 * experts
    return {
        "weights": weights,
        "adapter": 0 if spec.train_type == "full" else trainable * 4,
        "gradients": trainable * 4,
        "optimizer": int(trainable * _state_bytes(spec, half=number == 2)),
        "activations": activations * number // 4,
        "logits": tokens * vocabulary * 4 * 3,
        "libraries": _LIBRARIES_BYTES,
    }


def _state_bytes(spec: TrainSpec, *, half: bool) -> float:
    """Bytes the optimiser keeps for each trained number; of weights in half the width a float32 copy, or states as
    narrow as they are.
    """
    found = STATE_BYTES[spec.optimizer]
    if spec.train_type != "full" or not half:
        return found
    if spec.master_weights:
        return found + 4.0
    return found / 2 if spec.optimizer == "adamw" else found


def _of_processes(spec: TrainSpec, memory: dict[str, int], on_gpu: bool) -> dict[str, int]:
    """Of one GPU, or of all processes on a CPU; what they share out is held once by all of them together."""
    shared_out = spec.strategy == "fsdp2" or spec.tensor_parallel > 1
    found = {
        name: size // spec.world_size if shared_out and name in _SHARED_OUT else size
        for name, size in memory.items()
    }
    return found if on_gpu else {name: size * spec.processes for name, size in found.items()}


def _gpus_that_share(spec: TrainSpec) -> int:
    return spec.world_size // spec.tensor_parallel


def _flops_a_token(spec: TrainSpec, model: ModelFolder) -> float:
    """Forward 2N, backward through activations 2N, through weights 2N only for what is trained."""
    share = 6.0 if spec.train_type == "full" else 4.0
    again = 2.0 if spec.gradient_checkpointing else 0.0
    return (share + again) * model.parameter_count


def _speed(model: ModelFolder, machine: Machine, on_gpu: bool) -> tuple[float, bool]:
    known = _known_speeds(_speed_file()).get(_speed_key(model, "cuda" if on_gpu else "cpu"))
    if known:
        return float(known), True
    return (_GPU_FLOPS if on_gpu else _CPU_CORE_FLOPS * machine.free_cores), False


def _speed_key(model: ModelFolder, device: str) -> str:
    """Speed depends on size: small models never reach the machine's peak."""
    return f"{device}:2^{round(math.log2(max(2, model.parameter_count)))}"


def _speed_file() -> Path:
    return workspace_or_here().output / "training" / "forecast.json"


def _known_speeds(path: Path) -> dict[str, float]:
    try:
        value = read_json(path)
    except MozhuError:
        return {}
    return value if isinstance(value, dict) else {}
