"""What stands against a training with this engine, all of it in one pass; loads neither torch nor ms-swift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mozhu.engine.training.engines.swift.fields import PREFERENCES, SCORING, TESTED
from mozhu.engine.training.quantisation import LIBRARY, method_of, wanted_quantisation
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.references import find_model
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import read_json
from mozhu.kernel.machine import gpus
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec
from mozhu.workspace.environments.record import Environment, find_environment

ENGINE = "swift"
TITLE = "ms-swift"
_METHODS = ("lora", "qlora", "full")
# Fields that fields.py gives to ms-swift.
_TOLD = frozenset(
    {
        "train_type",
        "num_train_epochs",
        "max_steps",
        "batch_size",
        "gradient_accumulation_steps",
        "learning_rate",
        "lr_scheduler",
        "min_lr_ratio",
        "warmup_ratio",
        "warmup_steps",
        "optimizer",
        "adam_beta1",
        "adam_beta2",
        "adam_epsilon",
        "weight_decay",
        "max_grad_norm",
        "master_weights",
        "neftune_noise_alpha",
        "max_length",
        "beta",
        "dpo_loss",
        "label_smoothing",
        "wanted_weight",
        "unwanted_weight",
        "lora_rank",
        "lora_alpha",
        "lora_dropout",
        "use_rslora",
        "use_dora",
        "target_modules",
        "quantization",
        "packing",
        "gradient_checkpointing",
        "dtype",
        "device",
        "eval_steps",
        "save_steps",
        "logging_steps",
        "seed",
    }
)
# Fields that we carry out ourselves, whichever engine trains: rows, places, checkpoints kept.
_OURS = frozenset(
    {
        "model",
        "dataset",
        "val_dataset",
        "output_dir",
        "run_name",
        "engine",
        "threads",
        "stage",
        "lora_init",
        "text_column",
        "columns",
        "format_type",
        "input_format",
        "system",
        "train_on",
        "over_length",
        "max_rejected_share",
        "accept",
        "token_cache",
        "validation_split",
        "report_to",
        "virtual_tokens",  # of prefix tuning, which is refused as a method
        "save_total_limit",
    }
)
_WITH_CODE = ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json")


def check(spec: TrainSpec) -> list[Finding]:
    """Every finding: the environment, then every field that this engine cannot do."""
    environment = find_environment(ENGINE)
    return [
        *_environment(environment),
        *(_unsupported(name, value, reason) for name, value, reason in _refused(spec, environment)),
        *(_notes(spec, environment) if environment else ()),
    ]


def wanted_device(spec: TrainSpec, environment: Environment) -> str:
    """``cuda`` or ``cpu``: what the environment's torch and this machine have, in that order."""
    return "cuda" if spec.device in {"auto", "cuda"} and environment.cuda and gpus() else "cpu"


def used_quantisation(spec: TrainSpec, environment: Environment) -> str:
    """The quantisation that the base really gets: none without bitsandbytes, as with engine hf."""
    return wanted_quantisation(spec) if environment.version(LIBRARY) else "none"


def lays_flat(spec: TrainSpec, environment: Environment) -> bool:
    """Whether a batch's rows are laid end to end, for which ms-swift needs flash attention."""
    has_kernel = bool(environment.version("flash-attn"))
    if spec.stage not in {"sft", "pt"}:
        return False
    return spec.packing and has_kernel and wanted_device(spec, environment) == "cuda"


def _environment(environment: Environment | None) -> Iterator[Finding]:
    if environment is None:
        yield Finding("error", "TRAIN-060", {"engine": ENGINE})
        return
    version = environment.version(TITLE)
    if ".".join(version.split(".")[:2]) not in TESTED:
        params = {"engine": ENGINE, "title": TITLE, "version": version or "-", "tested": ", ".join(TESTED)}
        yield Finding("warning", "TRAIN-065", params)


def _refused(spec: TrainSpec, environment: Environment | None) -> Iterator[tuple[str, Any, str]]:
    """Field, value and why, for all that ms-swift cannot do as we mean it."""
    if spec.train_type not in _METHODS:
        yield "train_type", spec.train_type, text("train.swift.method")
    stage = spec.stage
    if stage in {"dpo", "kto"} and spec.train_type == "full":
        yield "train_type", spec.train_type, text("train.swift.reference")
    if stage in SCORING and spec.train_type == "full":
        yield "train_type", spec.train_type, text("train.swift.whole_head")
    if stage in PREFERENCES and spec.lora_dropout and spec.train_type != "full":
        yield "lora_dropout", spec.lora_dropout, text("train.swift.no_dropout")
    if spec.lora_init != "default" and spec.train_type != "full":
        yield "lora_init", spec.lora_init, text("train.swift.init")
    if spec.device == "mps":
        yield "device", spec.device, text("train.swift.device")
    elif spec.device == "cuda" and environment is not None and environment.cuda is None:
        yield "device", spec.device, text("train.swift.no_cuda")
    if spec.optimizer == "adamw_8bit" and environment and not environment.version(LIBRARY):
        yield "optimizer", spec.optimizer, text("train.swift.no_library", library=LIBRARY)
    for reason in _model_reasons(spec):
        yield "model", spec.model, reason
    for name, field in TrainSpec.model_fields.items():
        value = getattr(spec, name)
        known = name in _TOLD or name in _OURS
        if not known and value != field.get_default(call_default_factory=True):
            yield name, value, text("train.swift.unknown_field")


def _unsupported(name: str, value: Any, reason: str) -> Finding:
    return Finding("error", "TRAIN-061", {"engine": ENGINE, "field": name, "value": value, "reason": reason})


def _notes(spec: TrainSpec, environment: Environment) -> Iterator[Finding]:
    """What is otherwise than asked, and goes on all the same."""
    if spec.device == "auto" and gpus() and environment.cuda is None:
        yield Finding("warning", "TRAIN-066", {"engine": ENGINE})
    wanted = wanted_quantisation(spec)
    if wanted != used_quantisation(spec, environment):
        yield Finding("warning", "TRAIN-067", {"engine": ENGINE, "quantization": wanted})
    elif wanted != "none" and wanted_device(spec, environment) == "cpu":
        yield Finding("info", "TRAIN-038", {"quantization": wanted})
    if spec.packing and not lays_flat(spec, environment):
        yield Finding("info", "TRAIN-064", {"engine": ENGINE})


def _model_reasons(spec: TrainSpec) -> Iterator[str]:
    """Why the base is none for this engine; what else is wrong with it is told by whoever reads it first."""
    try:
        model = ModelFolder.open(find_model(spec.model).base)
    except MozhuError:
        return
    if any("auto_map" in _json(model.path / name) for name in _WITH_CODE):
        yield text("train.swift.remote_code")  # Python files of its own, which ms-swift would run
    if method := method_of(model):
        yield text("train.swift.quantised", method=method)


def _json(path: Any) -> dict[str, Any]:
    try:
        value = read_json(path)
    except MozhuError:
        return {}
    return value if isinstance(value, dict) else {}
