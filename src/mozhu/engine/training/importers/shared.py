"""What is the same in all three formats, which all pass settings on to Transformers and PEFT."""

from __future__ import annotations

import math
from typing import Any

from mozhu.engine.training.importers.values import lower, number, switch, table, whole, words
from mozhu.engine.training.importers.work import Work
from mozhu.kernel import slots
from mozhu.kernel.texts import text

# Names of plain AdamW: the same mathematics, another implementation.
_ADAMW = {"adamw", "adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused", "adamw_torch_xla"}
# The same with its states in 8 bits, by any library; and with whole states that are kept elsewhere.
_ADAMW_8BIT = {"adamw_8bit", "adamw_bnb_8bit", "adamw_torch_8bit", "ao_adamw_8bit", "paged_adamw_8bit"}
_PAGED_ADAMW = {"paged_adamw", "paged_adamw_32bit"}
_ADAM = {"adam_beta1": 0.9, "adam_beta2": 0.999, "adam_epsilon": 1e-8}
_DTYPES = {
    **dict.fromkeys(("bf16", "bfloat16"), "bfloat16"),
    **dict.fromkeys(("fp16", "float16", "half"), "float16"),
    **dict.fromkeys(("fp32", "float32", "float"), "float32"),
    "auto": "auto",
}
# Fields of ours under which stopping early may be asked for, the first that there is.
_PATIENCE = ("early_stopping_patience", "early_stopping")


def plain(work: Work, table: dict[str, tuple[str, Any]]) -> None:
    """Every setting of ``table`` (key -> field and how it is read) that means the same under another name."""
    for key, (field, read) in table.items():
        value = work.get(key, read)
        if value is not None and work.has_field(field):
            work.put(field, value, key)
        elif value is not None and work.has(key):
            work.unsupported(key, "no_field")
        else:
            work.done.add(key)


def schedule(work: Work, scheduler: str) -> None:
    """The shape of the learning rate and its warm-up; steps that are a number become a share where they can."""
    shape = work.get(scheduler, lower)
    if work.can_be("lr_scheduler", shape):
        work.put("lr_scheduler", shape, scheduler)
    else:
        work.unsupported(
            scheduler, "scheduler", value=shape, known=", ".join(work.fields["lr_scheduler"].choices)
        )
    _lowest_rate(work, shape)
    steps, ratio = work.get("warmup_steps", number), work.get("warmup_ratio", number)
    if steps is not None and steps >= 1:
        work.put("warmup_steps", int(steps), "warmup_steps")
        work.done.add("warmup_ratio")
    elif work.has("warmup_steps") and not work.has("warmup_ratio"):
        work.put("warmup_ratio", float(steps or 0.0), "warmup_steps")
        work.done.add("warmup_ratio")
    else:
        work.put("warmup_ratio", float(ratio or 0.0), "warmup_ratio")
        work.done.add("warmup_steps")
    if shape == "constant" and (steps or ratio):
        work.differs("warmup_steps" if steps else "warmup_ratio", "constant")


def _lowest_rate(work: Work, shape: str) -> None:
    """Where a cosine ends: a share of the rate, or a rate, whose share is taken."""
    key = "lr_scheduler_kwargs"
    if not work.has(key):
        return
    told = work.get(key, table) or {}
    rate = work.values.get("learning_rate")
    if shape == "cosine_with_min_lr" and told.keys() == {"min_lr_rate"}:
        work.put("min_lr_ratio", float(told["min_lr_rate"]), key)
    elif shape == "cosine_with_min_lr" and told.keys() == {"min_lr"} and rate:
        work.put("min_lr_ratio", float(told["min_lr"]) / rate, key)
    elif told:
        work.unsupported(key, "scheduler_part")
    else:
        _quiet(work, key)


def max_steps(work: Work) -> None:
    """``-1`` and 0 mean no limit."""
    steps = work.get("max_steps", whole)
    if steps and steps > 0:
        work.put("max_steps", steps, "max_steps")
    else:
        _quiet(work, "max_steps")


def optimiser(work: Work, key: str) -> None:
    """AdamW of any make, or Adafactor; and Adam's constants."""
    name = work.get(key, lower)
    if name in _ADAMW or name in _PAGED_ADAMW:
        work.put("optimizer", "adamw", key)
    elif name in _ADAMW_8BIT:
        work.put("optimizer", "adamw_8bit", key)
    elif name == "adafactor":
        work.put("optimizer", "adafactor", key)
    else:
        work.unsupported(key, "optimiser", value=name)
    for constant, ours in _ADAM.items():
        value = work.get(constant, number)
        work.put(constant, ours if value is None else value, constant)


def processes(work: Work) -> int:
    """How many processes the command starts; without a field for them they become accumulated steps."""
    name = "NPROC_PER_NODE"
    count = 1
    for variable, given in work.settings.variables.items():
        if variable == name and str(given.value).isdigit():
            count = max(1, int(given.value))
        elif variable in {"CUDA_VISIBLE_DEVICES", "ASCEND_RT_VISIBLE_DEVICES"}:
            work.variable(variable, "idle", "devices", value=given.value)
        elif variable in {"NNODES", "NODE_RANK", "MASTER_ADDR", "MASTER_PORT"}:
            work.variable(variable, "idle", "nodes")
    if name in work.settings.variables:
        if work.has_field("processes"):
            work.values["processes"] = count
            work.variable(name, "taken", "processes", count=count)
        else:
            work.variable(name, "idle", "as_accumulation", count=count)
    return count


def batches(work: Work, size_key: str, accumulation: int | None = None) -> None:
    """Rows a step, with as many accumulated as other processes would have taken."""
    size = work.get(size_key, whole)
    count = processes(work)
    steps = work.get("gradient_accumulation_steps", whole)
    if steps is None:
        steps = accumulation or max(1, math.ceil(16 / size / count))
    factor = 1 if work.has_field("processes") else count
    work.put("batch_size", size, size_key)
    note = text("importing.note.times", count=count, steps=steps) if factor > 1 else ""
    work.put("gradient_accumulation_steps", steps * factor, "gradient_accumulation_steps", note=note)


def lora(work: Work, rank: str, alpha: str, alpha_default: float | None = None) -> None:
    """Rank, alpha and dropout; alpha is a whole number here."""
    asked_rank = work.get(rank, whole)
    work.put("lora_rank", asked_rank, rank)
    asked = work.get(alpha, number)
    if asked is None:
        asked = alpha_default if alpha_default is not None else asked_rank * 2
    if float(asked).is_integer():
        work.put("lora_alpha", int(asked), alpha)
    else:
        work.unsupported(alpha, "whole_alpha")
    work.put("lora_dropout", work.get("lora_dropout", number) or 0.0, "lora_dropout")


def targets(work: Work, key: str, everything: set[str]) -> None:
    """Module names; the words for all linear layers are our default."""
    found = work.get(key, words) or ()
    if any(set(name) & set("^$*()\\|+") for name in found):
        work.unsupported(key, "pattern")
    elif not found or set(found) & everything:
        work.put("target_modules", (), key)
    else:
        work.put("target_modules", tuple(found), key)


def dtype(work: Work, choice: str | None, flags: dict[str, str]) -> None:
    """Number type out of one named type, or out of switches such as ``bf16: true``."""
    asked = work.get(choice, lower) if choice else None
    if asked:
        if asked.removeprefix("torch.") in _DTYPES:
            work.put("dtype", _DTYPES[asked.removeprefix("torch.")], choice or "")
        else:
            work.refuse(choice or "", text("spec.expected.choice", choices=", ".join(sorted(_DTYPES))))
    chosen = None
    for key, meaning in flags.items():
        value = str(work.given[key].value).lower() if work.has(key) else ""
        if value in {"auto", "full"}:
            is_on = value == "full"
        else:
            is_on = bool(work.get(key, switch))
        if is_on and chosen is None and "dtype" not in work.values:
            work.put("dtype", meaning, key)
            chosen = key
        else:
            _quiet(work, key, "dtype_off")


def master_weights(work: Work, key: str, is_pure: bool) -> None:
    """A pure half-width training has no float32 copies; it counts where every weight is trained."""
    if (
        is_pure
        and work.values.get("train_type") == "full"
        and work.values.get("dtype") in {"bfloat16", "float16"}
    ):
        work.put("master_weights", False, key)


def saving(work: Work) -> None:
    """Checkpoints: every so many steps, or each epoch."""
    strategy = work.get("save_strategy", lower)
    steps = work.get("save_steps", number)
    if strategy == "no":
        work.idle("save_strategy", "always_saved")
        _quiet(work, "save_steps")
    elif strategy == "epoch":
        _quiet(work, "save_strategy", "each_epoch")
        _quiet(work, "save_steps")
    else:
        _quiet(work, "save_strategy", "by_steps")
        _steps(work, "save_steps", steps, "save_steps")
    limit = work.get("save_total_limit", whole)
    if limit and limit > 0:
        work.put("save_total_limit", limit, "save_total_limit", learned=False)
    else:
        _quiet(work, "save_total_limit")


def evaluating(work: Work, *, default: str) -> None:
    """Validation during training: every so many steps, or each epoch."""
    strategy = work.get("eval_strategy", lower) or default
    steps = work.get("eval_steps", number)
    if strategy in {"no", "epoch"}:
        _quiet(work, "eval_strategy", "each_epoch" if strategy == "epoch" else "no_evaluation")
        _quiet(work, "eval_steps")
    else:
        _quiet(work, "eval_strategy", "by_steps")
        if steps:
            _steps(work, "eval_steps", steps, "eval_steps")
        else:
            _quiet(work, "eval_steps")


def _steps(work: Work, field: str, steps: float | None, key: str) -> None:
    if steps and steps >= 1:
        work.put(field, int(steps), key, learned=False)
    elif steps and work.has(key):
        work.idle(key, "share_of_steps")
    else:
        _quiet(work, key)


def logging(work: Work) -> None:
    """A share of the steps is the same as each of them here: every step is recorded."""
    steps = work.get("logging_steps", number)
    if steps and steps >= 1:
        work.put("logging_steps", int(steps), "logging_steps", learned=False)
    else:
        _quiet(work, "logging_steps", "share_of_steps")


def patience(work: Work, key: str) -> None:
    count = work.get(key, whole)
    if not count or count < 1:
        _quiet(work, key)
        return
    field = next((name for name in _PATIENCE if work.has_field(name)), None)
    if field:
        work.put(field, count, key)
    else:
        work.unsupported(key, "early_stopping")


def reporting(work: Work, key: str) -> None:
    """Where else the curve goes."""
    wanted = [name.lower() for name in work.get(key, words) or ()]
    if not work.has(key) or not work.has_field("report_to"):
        wanted = []
    sinks = {"none", *slots.names("mozhu.training_sinks")} if wanted else set()
    known = [name for name in wanted if name in sinks]
    if known:
        work.put("report_to", tuple(known), key, learned=False)
    else:
        _quiet(work, key, "report")
    best = "load_best_model_at_end"
    if work.has_field("keep_best") and work.has(best):
        work.put("keep_best", work.get(best, switch), best)


def validation(work: Work, key: str, *, has_own: bool) -> None:
    """The share that is split off; a number of rows cannot be one before the rows are counted."""
    share = work.get(key, number) or 0.0
    if has_own:
        _quiet(work, key)
    elif share < 1:
        work.put("validation_split", share, key)
    else:
        work.unsupported(key, "rows_of_validation", rows=int(share))


def beside(work: Work, names: tuple[str, ...], note: str) -> None:
    """Settings that change nothing here, for one reason."""
    for name in names:
        if work.has(name):
            work.idle(name, note)


def _quiet(work: Work, key: str, note: str = "own_default") -> None:
    """Nothing to do; said only when the file names it."""
    if work.has(key) and key not in work.done:
        work.idle(key, note)
    work.done.add(key)
