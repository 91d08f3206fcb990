"""What a training run may be asked for."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from mozhu.specs.base import FindingCodes, Positive, Share, Spec, Words
from mozhu.specs.data import FileFormat, OverLength, RowShape

TrainType = Literal["lora", "qlora", "full", "multimodal", "ia3", "prefix"]


# How many rows a step has is their product.
_SHARES = ("batch_size", "gradient_accumulation_steps", "processes", "nodes", "tensor_parallel")
Scheduler = Literal[
    "cosine",
    "cosine_with_min_lr",
    "linear",
    "constant",
    "constant_with_warmup",
    "polynomial",
    "inverse_sqrt",
]
Stage = Literal["sft", "pt", "dpo", "orpo", "rm", "kto", "classification"]


class TrainSpec(Spec):
    """One training run. Defaults are proven ones; ``None`` means that the machine or the model decides.

    ``learning_rate`` None: chosen from the model's width (see ``engine/training/defaults.py``).
    ``warmup_steps`` None: ``warmup_ratio`` of all steps. ``min_lr_ratio``: where ``cosine_with_min_lr`` ends, as a
    share of the rate. ``max_grad_norm`` 0: gradients are not clipped.
    ``master_weights``: every weight that is trained whole in half the width has a float32 copy that steps add to.
    ``neftune_noise_alpha``: noise on the embeddings while learning, of at most alpha / sqrt(tokens x width) a row.
    ``gradient_checkpointing`` None: on a GPU whose memory would not be enough without it.
    ``target_modules`` empty: every linear layer of the model's blocks.
    ``train_experts``: LoRA also on the experts of a mixture, each with factors of its own.
    ``max_length`` in tokens; None is the model's own limit, at most 2,048.
    ``train_on`` last: of each conversation only the last answer is learned.
    ``over_length``: what becomes of a row of more than ``max_length`` tokens (see ``engine/data/cutting.py``).
    ``max_rejected_share``: more lost rows than this (unreadable, refused, too long) stop the run before it begins.
    ``report_to``: sinks of the slot ``mozhu.training_sinks``; the word ``none`` for no one.
    ``early_stopping``: so many evaluations whose loss is not below the lowest by ``early_stopping_delta`` end the run.
    ``keep_best``: the artefact has the weights of the evaluation with the lowest loss, not those of the last step.
    ``processes``: on this machine, one for each GPU (or part of the cores); ``batch_size`` is that of one process.
    ``strategy``: how processes share the work; ``tensor_parallel`` of them hold the pieces of one model.
    ``nodes``: machines with as many processes each; ``node_rank`` is this one, ``master_address`` names machine 0.
    ``accept``: findings of the parity gate (``DATA-251`` …) that do not stop the run; kept in its records.
    """

    verb: ClassVar[str] = "train"
    config_file: ClassVar[str | None] = "0_train_config.json"
    has_presets: ClassVar[bool] = True
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset(
        {"output_dir", "threads", "token_cache", "node_rank", "master_address", "master_port"}
    )
    path_fields: ClassVar[tuple[str, ...]] = (
        "model",
        "dataset",
        "val_dataset",
        "output_dir",
        "deepspeed_config",
    )

    model: str = Field(min_length=1)
    dataset: str = Field(min_length=1)
    val_dataset: str | None = None
    output_dir: str | None = None
    run_name: str | None = None

    train_type: TrainType = "lora"
    stage: Stage = "sft"
    engine: str = "hf"
    num_train_epochs: float = Field(default=3.0, gt=0, le=100_000)
    max_steps: Positive | None = None
    batch_size: Positive = 4
    gradient_accumulation_steps: Positive = 1
    learning_rate: float | None = Field(default=None, gt=0)
    lr_scheduler: Scheduler = "cosine"
    min_lr_ratio: Share = 0.1
    warmup_ratio: Share = 0.03
    warmup_steps: int | None = Field(default=None, ge=0)
    optimizer: Literal["adamw", "adamw_8bit", "adafactor"] = "adamw"
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, ge=0)
    master_weights: bool = True
    neftune_noise_alpha: float | None = Field(default=None, gt=0)
    max_length: Positive | None = None
    lora_rank: Positive = 8
    lora_alpha: Positive = 16
    lora_dropout: Share = 0.0
    lora_init: Literal["default", "pissa"] = "default"
    use_rslora: bool = False
    use_dora: bool = False
    virtual_tokens: Positive = 20
    target_modules: Words = ()
    train_experts: bool = False
    quantization: Literal["none", "4bit", "8bit"] = "none"
    packing: bool = True
    gradient_checkpointing: bool | None = None
    fused_kernels: bool = False
    compile_parts: bool = False
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    threads: Positive | None = None
    processes: Positive = 1
    strategy: Literal["ddp", "fsdp2", "deepspeed"] = "ddp"
    deepspeed_config: str | None = None
    tensor_parallel: Positive = 1
    nodes: Positive = 1
    node_rank: int = Field(default=0, ge=0)
    master_address: str | None = None
    master_port: int = Field(default=29500, gt=0, lt=65536)

    text_column: str = "text"
    columns: str | None = None
    format_type: RowShape = "auto"
    input_format: FileFormat = "auto"
    system: str | None = None
    train_on: Literal["all", "last"] = "all"
    over_length: OverLength = "right"
    max_rejected_share: float = Field(default=0.005, ge=0, le=1)
    accept: FindingCodes = ()
    token_cache: bool = True
    validation_split: Share = 0.1
    eval_steps: Positive | None = None
    save_steps: Positive | None = None
    save_total_limit: Positive = 3
    beta: float = Field(default=0.1, gt=0)
    dpo_loss: Literal["sigmoid", "hinge", "ipo"] = "sigmoid"
    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    wanted_weight: float = Field(default=1.0, gt=0)
    unwanted_weight: float = Field(default=1.0, gt=0)
    logging_steps: Positive = 1
    report_to: Words = ("tensorboard",)
    early_stopping: Positive | None = None
    early_stopping_delta: float = Field(default=0.0, ge=0)
    keep_best: bool = False
    eval_samples: int = Field(default=0, ge=0, le=64)
    seed: int = Field(default=42, ge=0, lt=2**32)

    @field_validator("report_to")
    @classmethod
    def _names_of_sinks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Each once; the word ``none`` stands alone."""
        found = tuple(dict.fromkeys(name.lower() for name in names))
        if "none" in found and len(found) > 1:
            raise ValueError("spec.rule.none_alone")
        return () if found == ("none",) else found

    @model_validator(mode="after")
    def _validation_for_what_needs_it(self) -> TrainSpec:
        if (
            self.val_dataset is None
            and self.validation_split == 0
            and (self.early_stopping or self.keep_best)
        ):
            raise ValueError("spec.rule.needs_validation")
        return self

    @classmethod
    def work(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """However many processes share a step's rows, it is the same run while the step has as many."""
        found = super().work(fields)
        if found.get("stage") == "kto":  # which compares the rows of one batch with one another
            return found
        shares = {name: found.pop(name, 1) for name in _SHARES}
        replicas = shares["processes"] * shares["nodes"] // shares["tensor_parallel"]
        total = shares["batch_size"] * shares["gradient_accumulation_steps"] * replicas
        return {**found, "total_batch": total}

    @property
    def world_size(self) -> int:
        """Processes of all machines."""
        return self.processes * self.nodes

    @property
    def total_batch(self) -> int:
        """Rows of one optimisation step, of all processes."""
        replicas = self.world_size // self.tensor_parallel
        return self.batch_size * self.gradient_accumulation_steps * replicas

    @model_validator(mode="after")
    def _processes_fit_together(self) -> TrainSpec:
        if (self.strategy == "deepspeed") != (self.deepspeed_config is not None):
            raise ValueError("spec.rule.deepspeed_needs_its_file")
        if self.node_rank >= self.nodes:
            raise ValueError("spec.rule.node_rank_from_zero")
        if self.nodes > 1 and not self.master_address:
            raise ValueError("spec.rule.nodes_need_an_address")
        if self.tensor_parallel > 1 and (self.tensor_parallel != self.world_size or self.strategy != "ddp"):
            raise ValueError("spec.rule.tensor_parallel_alone")
        return self

    @model_validator(mode="after")
    def _full_is_not_quantised(self) -> TrainSpec:
        if self.train_type == "full" and self.quantization != "none":
            raise ValueError("spec.rule.full_is_not_quantised")
        return self

    @model_validator(mode="after")
    def _experts_take_plain_lora(self) -> TrainSpec:
        """Experts are parameters and no layers: nothing is dropped out before one, nor its weight taken apart."""
        odd = self.lora_dropout > 0 or self.use_dora or self.lora_init != "default" or self.strategy != "ddp"
        if self.train_experts and (odd or self.tensor_parallel > 1 or self.train_type != "lora"):
            raise ValueError("spec.rule.experts_take_plain_lora")
        return self

    @model_validator(mode="after")
    def _pissa_needs_plain_weights(self) -> TrainSpec:
        """PiSSA takes a part out of the base's weights, which quantised weights do not let go."""
        if self.lora_init == "pissa" and (self.quantization != "none" or self.train_type == "qlora"):
            raise ValueError("spec.rule.pissa_is_not_quantised")
        if self.train_type == "prefix" and self.gradient_checkpointing:
            raise ValueError("spec.rule.prefix_is_not_checkpointed")
        if self.train_type == "multimodal" and self.stage != "sft":
            raise ValueError("spec.rule.images_are_learned_by_sft")
        return self
