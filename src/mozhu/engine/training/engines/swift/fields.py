"""Our fields in ms-swift's words, every one of them written out: its defaults are others than ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.training.optimiser import optimiser_arguments
from mozhu.specs.train import TrainSpec

PLUGIN = "mozhu_rows"
# The stages that are learned with `swift rlhf`, from pairs of answers or from marked ones.
PREFERENCES = ("dpo", "orpo", "kto", "rm")
# The stages whose models score rows instead of writing.
SCORING = ("rm", "classification")
# The versions (major.minor) that the table below was tried with.
TESTED = ("4.6",)


@dataclass(frozen=True)
class Setting:
    """What a spec becomes on this machine, with this model and these rows.

    ``steps`` are optimisation steps in all, ``an_epoch`` those of one pass over the rows. ``device`` is cpu or cuda.
    ``labels``: numbers that a scoring head says.
    ``flat``: rows are laid end to end, for which the environment needs flash attention.
    """

    spec: TrainSpec
    base: Path
    folder: Path
    steps: int
    an_epoch: int
    validates: bool
    learning_rate: float
    max_length: int
    targets: tuple[str, ...]
    device: str
    dtype: str
    quantization: str
    flat: bool
    plugin: Path
    labels: int = 1
    resume: Path | None = None


Value = str | int | float | bool | list[str] | dict[str, float] | None

# What optimiser.py says, by the same names there.
OPTIMISER = (
    "optim",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "weight_decay",
    "max_grad_norm",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "warmup_steps",
)


def _optimiser(name: str) -> Callable[[Setting], Value]:
    return lambda s: optimiser_arguments(s.spec, s.steps)[name]


def _has_masters(setting: Setting) -> bool:
    """Weights in float32 that are multiplied in bfloat16: ms-swift's way to have what engine hf has with copies."""
    spec = setting.spec
    return spec.train_type == "full" and spec.master_weights and setting.dtype == "bfloat16"


# Theirs <- ours. A value of None leaves the field out; nothing is ever passed as the word "None".
TABLE: dict[str, Callable[[Setting], Value]] = {
    # what is trained
    "model": lambda s: str(s.base),
    "model_type": lambda s: PLUGIN,
    "template": lambda s: PLUGIN,
    "task_type": lambda s: "seq_cls" if s.spec.stage in SCORING else "causal_lm",
    "num_labels": lambda s: s.labels if s.spec.stage in SCORING else None,
    "problem_type": lambda s: "single_label_classification" if s.spec.stage == "classification" else None,
    "torch_dtype": lambda s: "float32" if _has_masters(s) else s.dtype,
    "attn_impl": lambda s: "flash_attn" if s.flat else "sdpa",
    "use_cpu": lambda s: s.device == "cpu",
    # else the base keeps its number type and an adapter its float32, as in engine hf
    "bf16": _has_masters,
    "fp16": lambda s: False,
    "quant_method": lambda s: None if s.quantization == "none" else "bnb",
    "quant_bits": lambda s: {"4bit": 4, "8bit": 8}.get(s.quantization),
    "bnb_4bit_quant_type": lambda s: "nf4" if s.quantization == "4bit" else None,
    "bnb_4bit_use_double_quant": lambda s: True if s.quantization == "4bit" else None,
    "bnb_4bit_compute_dtype": lambda s: s.dtype if s.quantization == "4bit" else None,
    # preferences
    "rlhf_type": lambda s: s.spec.stage if s.spec.stage in PREFERENCES else None,
    "beta": lambda s: s.spec.beta if s.spec.stage in ("dpo", "orpo", "kto") else None,
    "loss_type": lambda s: s.spec.dpo_loss if s.spec.stage == "dpo" else None,
    "label_smoothing": lambda s: s.spec.label_smoothing if s.spec.stage == "dpo" else None,
    "desirable_weight": lambda s: s.spec.wanted_weight if s.spec.stage == "kto" else None,
    "undesirable_weight": lambda s: s.spec.unwanted_weight if s.spec.stage == "kto" else None,
    # how: ms-swift 3 called this train_type
    "tuner_backend": lambda s: "peft",
    "tuner_type": lambda s: "full" if s.spec.train_type == "full" else "lora",
    "lora_rank": lambda s: _lora(s, s.spec.lora_rank),
    "lora_alpha": lambda s: _lora(s, s.spec.lora_alpha),
    "lora_dropout": lambda s: _lora(s, s.spec.lora_dropout),
    "lora_bias": lambda s: _lora(s, "none"),
    "init_weights": lambda s: _lora(s, "true"),
    "use_rslora": lambda s: _lora(s, s.spec.use_rslora),
    "use_dora": lambda s: _lora(s, s.spec.use_dora),
    "target_modules": lambda s: _lora(s, list(s.targets)),
    # the rows: made by us, handed over as they are
    "external_plugins": lambda s: [str(s.plugin)],
    "callbacks": lambda s: [PLUGIN],
    "dataset": lambda s: ["mozhu_train"],
    "val_dataset": lambda s: ["mozhu_validation"] if s.validates else None,
    "split_dataset_ratio": lambda s: 0.0,
    "dataset_shuffle": lambda s: False,
    "val_dataset_shuffle": lambda s: False,
    "train_dataloader_shuffle": lambda s: True,
    "group_by_length": lambda s: False,
    "dataset_num_proc": lambda s: 1,
    "load_from_cache_file": lambda s: False,
    "lazy_tokenize": lambda s: True,
    "streaming": lambda s: False,
    "strict": lambda s: True,
    "remove_unused_columns": lambda s: True,
    "max_length": lambda s: s.max_length,
    "truncation_strategy": lambda s: "right",  # rows are within the limit already
    "loss_scale": lambda s: "default",
    "padding_side": lambda s: "right",
    "packing": lambda s: False,
    "padding_free": lambda s: s.flat,
    # steps
    "num_train_epochs": lambda s: s.spec.num_train_epochs,
    "max_steps": lambda s: s.steps,
    "per_device_train_batch_size": lambda s: s.spec.batch_size,
    "per_device_eval_batch_size": lambda s: s.spec.batch_size,
    "gradient_accumulation_steps": lambda s: s.spec.gradient_accumulation_steps,
    "gradient_checkpointing": lambda s: bool(s.spec.gradient_checkpointing),
    "use_logits_to_keep": lambda s: False,
    "use_liger_kernel": lambda s: False,
    "dataloader_num_workers": lambda s: 0,
    "dataloader_pin_memory": lambda s: s.device == "cuda",
    "dataloader_drop_last": lambda s: False,
    # the optimiser
    "learning_rate": lambda s: s.learning_rate,
    **{name: _optimiser(name) for name in OPTIMISER},
    "label_smoothing_factor": lambda s: 0.0,
    "router_aux_loss_coef": lambda s: 0.0,
    "neftune_noise_alpha": lambda s: s.spec.neftune_noise_alpha,
    "seed": lambda s: s.spec.seed,
    "data_seed": lambda s: s.spec.seed,
    "full_determinism": lambda s: False,
    # what it leaves behind
    "output_dir": lambda s: str(s.folder),
    "add_version": lambda s: False,
    "create_checkpoint_symlink": lambda s: False,
    "report_to": lambda s: ["none"],
    "disable_tqdm": lambda s: True,
    "logging_strategy": lambda s: "steps",
    "logging_steps": lambda s: s.spec.logging_steps,
    "logging_first_step": lambda s: False,
    "logging_nan_inf_filter": lambda s: False,
    "eval_strategy": lambda s: "steps" if s.validates else "no",
    "eval_steps": lambda s: (s.spec.eval_steps or s.an_epoch) if s.validates else None,
    "eval_on_start": lambda s: s.validates and s.resume is None,
    "prediction_loss_only": lambda s: True,
    "predict_with_generate": lambda s: False,
    "save_strategy": lambda s: "steps",
    "save_steps": lambda s: s.spec.save_steps or s.an_epoch,
    "save_only_model": lambda s: False,
    "safe_serialization": lambda s: True,
    "load_best_model_at_end": lambda s: False,
    "push_to_hub": lambda s: False,
    "use_hf": lambda s: True,
    "load_args": lambda s: False,
    "check_model": lambda s: False,  # asks ModelScope whether there is a newer one
    "resume_from_checkpoint": lambda s: str(s.resume) if s.resume else None,
    "ignore_data_skip": lambda s: False,
}


def arguments(setting: Setting) -> dict[str, Any]:
    """The arguments of ``swift`` for ``setting``, as its JSON file holds them."""
    found = {name: value(setting) for name, value in TABLE.items()}
    return {name: value for name, value in found.items() if value is not None}


def verb_of(spec: TrainSpec) -> str:
    """The command of ms-swift that trains ``spec``."""
    return "rlhf" if spec.stage in PREFERENCES else "sft"


def _lora(setting: Setting, value: Value) -> Value:
    return None if setting.spec.train_type == "full" else value
