"""The optimiser and the shape of its learning rate, in the words that Transformers and ms-swift share."""

from __future__ import annotations

import math
from typing import Any

from mozhu.specs.train import TrainSpec

_NAMES = {"adamw": "adamw_torch_fused", "adamw_8bit": "adamw_8bit", "adafactor": "adafactor"}
# Bytes of state for each trained parameter: two float32, two of 8 bits with their scales, the root of one.
STATE_BYTES = {"adamw": 8.0, "adamw_8bit": 2.1, "adafactor": 0.1}


def optimiser_arguments(spec: TrainSpec, steps: int) -> dict[str, Any]:
    """The arguments of ``TrainingArguments`` for ``steps`` optimisation steps, every one written out."""
    shape = spec.lr_scheduler
    return {
        "optim": _NAMES[spec.optimizer],
        "adam_beta1": spec.adam_beta1,
        "adam_beta2": spec.adam_beta2,
        "adam_epsilon": spec.adam_epsilon,
        "weight_decay": spec.weight_decay,
        "max_grad_norm": spec.max_grad_norm,
        "lr_scheduler_type": shape,
        "lr_scheduler_kwargs": {"min_lr_rate": spec.min_lr_ratio} if shape == "cosine_with_min_lr" else None,
        "warmup_steps": warmup_steps(spec, steps),
    }


def warmup_steps(spec: TrainSpec, steps: int) -> int:
    """Steps in which the rate rises: as many as asked for, else their share of ``steps``."""
    return spec.warmup_steps if spec.warmup_steps is not None else math.ceil(steps * spec.warmup_ratio)
