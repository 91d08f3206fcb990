"""The network that is trained: the base in its number type, with the adapter that the spec asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig

from mozhu.engine.training.defaults import target_modules
from mozhu.engine.training.preflight import used_quantisation
from mozhu.engine.weights.device import pick_dtype
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.load import load_base
from mozhu.specs.train import TrainSpec

_CAUSAL, _SCORING = "CAUSAL_LM", "SEQ_CLS"
# IA3 scales what these layers read instead of what they write (Liu et al., 2022).
_FEED_FORWARD = ("down_proj", "c_proj", "dense_4h_to_h", "fc2")
_IA3_WITH = ("k_proj", "v_proj", "qkv_proj", "query_key_value", "c_attn")


def trainable_network(
    spec: TrainSpec, described: ModelFolder, place: torch.device, classes: Sequence[str] = ()
) -> Any:
    """The base of ``described`` on ``place`` with what ``spec`` trains; only that has gradients.

    Stages that score rows get a new head: one number for a reward, one for each of ``classes``.
    """
    quantization = used_quantisation(spec, has_gpu=place.type == "cuda")
    dtype = pick_dtype(place, described, spec.dtype)
    options = {} if quantization == "none" else {"quantization_config": _quantisation(quantization, dtype)}
    head = _head(spec, classes)
    model = load_base(described, place, dtype, head=head, **options)
    model.config.use_cache = False
    if quantization != "none":
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=spec.gradient_checkpointing)
    if spec.train_type == "full":
        return model
    if spec.gradient_checkpointing:
        model.enable_input_require_grads()
    return get_peft_model(model, adapter_config(spec, described))


def _head(spec: TrainSpec, classes: Sequence[str]) -> dict[str, Any] | None:
    """What the configuration of a model says of its scoring head; ``None`` where it writes text."""
    if spec.stage == "rm":
        return {"num_labels": 1}
    if spec.stage == "classification":
        names = dict(enumerate(classes))
        return {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}
    return None


def adapter_config(spec: TrainSpec, described: ModelFolder) -> Any:
    """PEFT's configuration of the adapter."""
    targets = target_modules(spec, described)
    task = _SCORING if spec.stage in {"rm", "classification"} else _CAUSAL
    if spec.train_type == "prefix":
        return PrefixTuningConfig(num_virtual_tokens=spec.virtual_tokens, task_type=task)
    if spec.train_type == "ia3":
        forward = [name for name in targets if name in _FEED_FORWARD]
        with_attention = [name for name in targets if name in _IA3_WITH]
        chosen = list(spec.target_modules) or with_attention + forward
        return IA3Config(
            target_modules=chosen,
            feedforward_modules=[name for name in chosen if name in _FEED_FORWARD],
            task_type=task,
        )
    return LoraConfig(
        r=spec.lora_rank,
        lora_alpha=spec.lora_alpha,
        lora_dropout=spec.lora_dropout,
        target_modules=targets,
        use_rslora=spec.use_rslora,
        use_dora=spec.use_dora,
        init_lora_weights="pissa" if spec.lora_init == "pissa" else True,
        task_type=task,
        bias="none",
    )


def _quantisation(bits: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    if bits == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
