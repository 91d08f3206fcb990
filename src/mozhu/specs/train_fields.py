"""Which fields of a training belong to which method and stage."""

from __future__ import annotations

from collections.abc import Mapping

from mozhu.specs.train import TrainSpec

_LORA = ("lora", "qlora", "multimodal")
# Field -> the methods that read it.
_OF_METHOD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("lora_rank", "lora_alpha", "lora_dropout", "lora_init", "use_rslora", "use_dora"), _LORA
    ),
    "target_modules": (*_LORA, "ia3"),
    "virtual_tokens": ("prefix",),
    "master_weights": ("full",),
    "train_experts": ("lora",),
    "neftune_noise_alpha": ("lora", "qlora", "full", "ia3", "prefix"),
}
# Field -> the stages that read it.
_OF_SCHEDULE = {"min_lr_ratio": ("cosine_with_min_lr",)}
_OF_OPTIMIZER = dict.fromkeys(("adam_beta1", "adam_beta2", "adam_epsilon"), ("adamw", "adamw_8bit"))
_OF_STAGE: dict[str, tuple[str, ...]] = {
    "neftune_noise_alpha": ("sft", "pt"),
    "beta": ("dpo", "orpo", "kto"),
    "dpo_loss": ("dpo",),
    "label_smoothing": ("dpo",),
    "wanted_weight": ("kto",),
    "unwanted_weight": ("kto",),
}


def idle_fields(spec: TrainSpec, origins: Mapping[str, str]) -> dict[str, str]:
    """Fields that somebody typed and this run would not read, with the methods or stages that do."""
    typed = {name for name, origin in origins.items() if origin == "flag"}
    found = {
        name: ", ".join(methods)
        for name, methods in _OF_METHOD.items()
        if name in typed and spec.train_type not in methods
    }
    for name, shapes in _OF_SCHEDULE.items():
        if name in typed and spec.lr_scheduler not in shapes:
            found[name] = ", ".join(shapes)
    for name, kinds in _OF_OPTIMIZER.items():
        if name in typed and spec.optimizer not in kinds:
            found[name] = ", ".join(kinds)
    for name, stages in _OF_STAGE.items():
        if name in typed and spec.stage not in stages:
            found[name] = ", ".join(stages)
    return found
