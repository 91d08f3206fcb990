"""The network that is trained: the base in its number type, with the adapter that the spec asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import BitsAndBytesConfig
from transformers.distributed import DistributedConfig

from mozhu.engine.training.defaults import ia3_modules, target_modules
from mozhu.engine.training.engines.kernels import chosen_kernels, use_kernels
from mozhu.engine.training.quantisation import quantised_base_findings, used_quantisation
from mozhu.engine.weights.device import pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.head_record import Head
from mozhu.engine.weights.load import load_base
from mozhu.engine.weights.new_head import begin_head, new_head
from mozhu.kernel.errors import UnsupportedTraining
from mozhu.specs.train import TrainSpec

# The tower that sees stays as it is: its layers may have the names of the language model's.
_VISION_PARTS = r"(.*\.)?(visual|vision_tower|vision_model|multi_modal_projector)\..*"
_CAUSAL, _SCORING = "CAUSAL_LM", "SEQ_CLS"


def trainable_network(
    spec: TrainSpec,
    described: ModelFolder,
    place: torch.device,
    classes: Sequence[str] = (),
    *,
    lies: torch.device | None = None,
) -> Any:
    """The base of ``described`` on ``place`` with what ``spec`` trains; only that has gradients.

    ``lies``: where it is until it is laid out over several devices. Stages that score rows get a new
    head: one number for a reward, one for each of ``classes``.

    Raises:
        UnsupportedTraining: TRAIN-002, the base is quantised in a way that this cannot be trained on.
    """
    if any(finding.level == "error" for finding in quantised_base_findings(spec, described)):
        raise UnsupportedTraining(train_type=spec.train_type, path=str(described.path))
    quantization = used_quantisation(spec, described)
    dtype = pick_dtype(place, described, spec.dtype)
    options: dict[str, Any] = {}
    if quantization != "none":
        options["quantization_config"] = _quantisation(quantization, dtype)
    if spec.tensor_parallel > 1:
        options["distributed_config"] = DistributedConfig(tp_size=spec.tensor_parallel, tp_plan="auto")
    head = _head(spec, classes)
    model = load_base(described, lies or place, dtype, head=head, **options)
    if head is not None:
        begin_head(model, new_head(described, head["num_labels"], spec.seed))
    model.config.use_cache = False
    use_kernels(model, chosen_kernels(spec, place.type))
    if spec.train_type == "full":
        return model
    _let_gradients_pass(model)
    if spec.gradient_checkpointing:
        model.enable_input_require_grads()
    experts = expert_parameters(model) if spec.train_experts else []
    return get_peft_model(model, adapter_config(spec, described, experts))


def _head(spec: TrainSpec, classes: Sequence[str]) -> dict[str, Any] | None:
    """What the configuration of a model says of its scoring head; ``None`` where it writes text."""
    if spec.stage not in {"rm", "classification"}:
        return None
    return Head(tuple(classes) if spec.stage == "classification" else ()).config


def expert_parameters(model: Any) -> list[str]:
    """The parameters that hold all experts of a layer, as PEFT is told of them."""
    found = {
        ".".join(name.split(".")[-2:])
        for name, item in model.named_parameters()
        if item.dim() == 3 and name.split(".")[-2] == "experts"
    }
    return sorted(found)


def adapter_config(spec: TrainSpec, described: ModelFolder, experts: Sequence[str] = ()) -> Any:
    """PEFT's configuration of the adapter."""
    targets = target_modules(spec, described)
    task = _SCORING if spec.stage in {"rm", "classification"} else _CAUSAL
    if spec.train_type == "prefix":
        return PrefixTuningConfig(num_virtual_tokens=spec.virtual_tokens, task_type=task)
    if spec.train_type == "ia3":
        chosen, forward = ia3_modules(spec, described)
        return IA3Config(target_modules=chosen, feedforward_modules=forward, task_type=task)
    return LoraConfig(
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=targets,
        target_parameters=list(experts) or None,
        exclude_modules=_VISION_PARTS if described.is_vision else None,
        use_rslora=spec.use_rslora,
        use_dora=spec.use_dora,
        init_lora_weights=True,  # PiSSA begins in pissa.py
        task_type=task,
        bias="none",
    )


def _let_gradients_pass(model: Any) -> None:
    """On a CPU bitsandbytes lays 4-bit weights out anew when it first sees them in evaluation mode, for a kernel that
    has no gradient: not here, where validation and training take turns.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _quantisation(bits: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
