"""ms-swift's settings as ours (version 4.6): ``args.json``, a YAML or JSON of arguments, or a command."""

from __future__ import annotations

import json
from typing import Any

from mozhu.engine.training.importers import shared
from mozhu.engine.training.importers.data_places import hub_place, put_places, written_place
from mozhu.engine.training.importers.values import items, lower, number, plain, switch, whole, word, words
from mozhu.engine.training.importers.work import Work
from mozhu.kernel.texts import text

ALIASES = {
    "train_type": "tuner_type",
    "sft_type": "tuner_type",
    "evaluation_strategy": "eval_strategy",
    "model_id_or_path": "model",
    "lora_target_modules": "target_modules",
    "train_dataset_sample": "dataset_sample",
    "batch_size": "per_device_train_batch_size",
    "lora_dropout_p": "lora_dropout",
    "dtype": "torch_dtype",
    "quantization_bit": "quant_bits",
    "use_loss_scale": "loss_scale",
    "warmup": "warmup_ratio",
}
TABLE: dict[str, tuple[str, Any]] = {
    "num_train_epochs": ("num_train_epochs", number),
    "weight_decay": ("weight_decay", number),
    "max_grad_norm": ("max_grad_norm", number),
    "neftune_noise_alpha": ("neftune_noise_alpha", number),
    "seed": ("seed", whole),
    "system": ("system", word),
    "use_rslora": ("use_rslora", switch),
    "use_dora": ("use_dora", switch),
    "gradient_checkpointing": ("gradient_checkpointing", switch),
}
IDLE = {
    # what args.json holds besides the arguments
    "swift_version": "record",
    "ckpt_dir": "record",
    "rank": "record",
    "*world_size": "record",
    "model_suffix": "record",
    "model_info": "record",
    "model_meta": "record",
    "model_dir": "record",
    "template_meta": "record",
    "_val_dataset_exists": "record",
    "hub": "record",
    "training_args": "record",
    "mcore_*": "record",
    "model_type": "model_kind",
    "task_type": "model_kind",
    "use_hf": "hub_prefix",
    "hub_*": "hub",
    "push_to_hub": "hub",
    "tuner_backend": "kernels",
    "use_swift_lora": "kernels",
    "attn_impl": "attention",
    "experts_impl": "attention",
    "use_liger_kernel": "kernels",
    "use_logits_to_keep": "kernels",
    "torch_compile*": "kernels",
    "tf32": "kernels",
    "vit_gradient_checkpointing": "kernels",
    "gradient_checkpointing_kwargs": "kernels",
    "torch_empty_cache_steps": "kernels",
    "lora_dtype": "kernels",
    "bnb_4bit_compute_dtype": "kernels",
    "bnb_4bit_quant_storage": "kernels",
    "bnb_4bit_use_double_quant": "double",
    "deepspeed*": "parallel",
    "fsdp*": "parallel",
    "ddp_*": "parallel",
    "device_*": "parallel",
    "max_memory": "parallel",
    "local_rank": "parallel",
    "use_ray": "parallel",
    "ray_*": "parallel",
    "zero_hpz_partition_size": "parallel",
    "accelerator_config": "parallel",
    "sequence_parallel_size": "parallel",
    "padding_side": "padding",
    "padding_free": "padding",
    "group_by_length": "grouping",
    "train_sampling_strategy": "grouping",
    "length_column_name": "grouping",
    "dataloader_*": "loader",
    "remove_unused_columns": "loader",
    "dataset_num_proc": "cache",
    "load_from_cache_file": "cache",
    "lazy_tokenize": "cache",
    "cached_*": "cache",
    "download_mode": "offline",
    "strict": "cache",
    "dataset_shuffle": "shuffle",
    "train_dataloader_shuffle": "shuffle",
    "val_dataset_shuffle": "shuffle",
    "logging_first_step": "every_step",
    "logging_strategy": "every_step",
    "logging_nan_inf_filter": "every_step",
    "log_*": "every_step",
    "include_*": "measured",
    "disable_tqdm": "every_step",
    "logging_dir": "report",
    "swanlab_*": "report",
    "project": "report",
    "trackio_*": "report",
    "per_device_eval_batch_size": "evaluation_batch",
    "eval_on_start": "evaluation_batch",
    "eval_delay": "evaluation_batch",
    "eval_accumulation_steps": "evaluation_batch",
    "prediction_loss_only": "evaluation_batch",
    "eval_metric": "measured",
    "eval_limit": "measured",
    "eval_use_evalscope": "measured",
    "eval_dataset*": "measured",
    "eval_generation_config": "measured",
    "extra_eval_args": "measured",
    "predict_with_generate": "measured",
    "acc_strategy": "measured",
    "generation_*": "measured",
    "metric_for_best_model": "best_metric",
    "greater_is_better": "best_metric",
    "save_only_model": "resumable",
    "save_on_each_node": "resumable",
    "safe_serialization": "resumable",
    "max_shard_size": "resumable",
    "create_checkpoint_symlink": "resumable",
    "add_version": "folder",
    "check_model": "record",
    "load_args": "record",
    "load_data_args": "record",
    "ignore_args_error": "record",
    "debug": "record",
    "full_determinism": "deterministic",
    "resume_from_checkpoint": "resume",
    "resume_only_model": "resume",
    "ignore_data_skip": "resume",
    "max_new_tokens": "inference",
    "temperature": "inference",
    "top_k": "inference",
    "top_p": "inference",
    "repetition_penalty": "inference",
    "stream": "inference",
    "stop_words": "inference",
    "num_beams": "inference",
    "logprobs": "inference",
    "vllm_*": "inference",
    "template_backend": "template",
    "agent_template": "template",
    "packing_*": "not_packed",
    "do_*": "command",
    "use_chat_template": "template",
    "enable_npu_model_patch": "kernels",
    "use_flash_ckpt": "kernels",
    "is_binary_loss_scale": "kernels",
    "ds3_gather_for_generation": "parallel",
    "columns": "record",
}
UNSUPPORTED = {
    "adapters": "adapter",
    "ref_adapters": "reference",
    "ref_model*": "reference",
    "reward_*": "ppo",
    "teacher_*": "ppo",
    "use_galore": "optimiser_switch",
    "optimizer": "optimiser_switch",
    "lisa_*": "freeze",
    "freeze_*": "freeze",
    "trainable_*": "freeze",
    "target_regex": "pattern",
    "target_parameters": "pattern",
    "modules_to_save": "modules_to_save",
    "lora_bias": "modules_to_save",
    "lorap_lr_ratio": "loraplus",
    "rope_scaling": "rope",
    "max_model_len": "rope",
    "streaming": "streaming",
    "interleave_prob": "mixing",
    "new_special_tokens": "vocabulary",
    "init_strategy": "scratch",
    "external_plugins": "plugins",
    "custom_register_path": "plugins",
    "callbacks": "plugins",
    "model_kwargs": "plugins",
    "custom_dataset_info": "plugins",
    "loss_type": "loss",
    "enable_dft_loss": "loss",
    "enable_channel_loss": "loss",
    "label_smoothing_factor": "loss",
    "model_name": "names",
    "model_author": "names",
    "template": "template_other",
    "response_prefix": "template_part",
    "enable_thinking": "template_part",
    "preserve_thinking": "template_part",
    "add_non_thinking_prefix": "template_part",
    "norm_bbox": "pictures",
    "max_pixels": "pictures",
    "vit_lr": "pictures",
    "aligner_lr": "pictures",
    "router_aux_loss_coef": "loss",
    "rpo_alpha": "sft_share",
    "ld_alpha": "preference_loss_part",
    "load_best_model_at_end": "best",
    "model_revision": "revision",
    "num_labels": "labels",
}
PART_OF = {
    "galore_": ("use_galore", True),
    "adalora_": ("tuner_type", "adalora"),
    "vera_": ("tuner_type", "vera"),
    "boft_": ("tuner_type", "boft"),
    "fourier_": ("tuner_type", "fourierft"),
    "reft_": ("tuner_type", "reft"),
    "adapter_": ("tuner_type", "adapter"),
    "llamapro_": ("tuner_type", "llamapro"),
    "lora_ga_": ("init_weights", "lora-ga"),
    "lisa_step": ("lisa_activated_layers", None),
    "simpo_gamma": ("rlhf_type", "simpo"),
    "cpo_alpha": ("rlhf_type", "cpo"),
}
_STAGES = {"dpo": "dpo", "orpo": "orpo", "kto": "kto", "rm": "rm"}
_CUTS = {"delete": "reject", "left": "left", "right": "right", "split": "split"}
_SCALES = {"default": "all", "last_round": "last"}


def fill(work: Work, *, replaced: dict[str, str]) -> None:
    _stage(work)
    _method(work)
    _model(work, replaced.get("model"))
    _data(work, replaced.get("dataset"))
    shared.plain(work, TABLE)
    rate = work.get("learning_rate", number)
    full = work.values.get("train_type") == "full"
    work.put("learning_rate", rate if rate is not None else (1e-5 if full else 1e-4), "learning_rate")
    shared.max_steps(work)
    shared.schedule(work, "lr_scheduler_type")
    shared.optimiser(work, "optim")
    shared.batches(work, "per_device_train_batch_size")
    shared.dtype(work, "torch_dtype", {"bf16": "bfloat16", "fp16": "float16"})
    shared.saving(work)
    shared.evaluating(work, default=work.get("save_strategy", lower))
    shared.logging(work)
    shared.patience(work, "early_stop_interval")
    shared.reporting(work, "report_to")
    _lengths(work)
    _masks(work)
    if work.get("packing", switch):
        work.unsupported("packing", "packed")
    else:
        shared.beside(work, ("packing",), "not_packed")
    if work.has("use_cpu") and work.get("use_cpu", switch):
        work.put("device", "cpu", "use_cpu")
    if work.has("run_name"):
        work.idle("run_name", "folder")
    if work.has("data_seed") and work.get("data_seed", whole) != work.get("seed", whole):
        work.unsupported("data_seed", "data_seed")


def _stage(work: Work) -> None:
    verb = work.settings.verb or ""
    kind = work.get("rlhf_type", lower) if verb.endswith("rlhf") or work.has("rlhf_type") else None
    task = work.get("task_type", lower, "causal_lm")
    if verb.startswith("megatron"):
        work.command(verb, "megatron")
    if kind:
        if kind not in _STAGES:
            work.unsupported("rlhf_type", "method", value=kind)
            return
        work.put("stage", _STAGES[kind], "rlhf_type")
        _preferences(work, kind)
    elif task == "seq_cls":
        work.put("stage", "classification", "task_type")
    elif task != "causal_lm":
        work.unsupported("task_type", "method", value=task)
    else:
        is_text = verb.endswith("pt") or (
            work.has("use_chat_template")
            and not work.get("use_chat_template", switch)
            and work.get("loss_scale", lower) == "all"
        )
        if is_text:
            work.put("stage", "pt", "use_chat_template")
            work.values["stage"] = "pt"
        elif work.has("use_chat_template") and not work.get("use_chat_template", switch):
            work.unsupported("use_chat_template", "template_other", value="use_chat_template false")


def _preferences(work: Work, kind: str) -> None:
    if kind != "rm":
        beta = work.get("beta", number)
        work.put("beta", 0.1 if beta is None else beta, "beta")
    loss = (
        lower(work.get("loss_type", words))
        if work.has("loss_type") and len(work.get("loss_type", words)) == 1
        else None
    )
    if kind == "dpo":
        if loss and work.can_be("dpo_loss", loss):
            work.put("dpo_loss", loss, "loss_type")
        elif work.has("loss_type"):
            work.unsupported("loss_type", "preference_loss", value=work.given["loss_type"].value)
        work.put("label_smoothing", work.get("label_smoothing", number), "label_smoothing")
    if kind == "kto":
        work.put("wanted_weight", work.get("desirable_weight", number), "desirable_weight")
        work.put("unwanted_weight", work.get("undesirable_weight", number), "undesirable_weight")
    if work.has("loss_scale"):
        work.idle("loss_scale", "other_stage")


def _method(work: Work) -> None:
    method = work.get("tuner_type", lower)
    bits, kind = work.get("quant_bits", lower), work.get("quant_method", lower)
    if kind and kind != "bnb":
        work.unsupported("quant_method", "quantiser", value=kind)
    elif work.has("quant_method"):
        work.idle("quant_method", "own_default")
    if bits and work.get("bnb_4bit_quant_type", lower) != "nf4":
        work.unsupported("bnb_4bit_quant_type", "fp4")
    if method == "full":
        work.put("train_type", "full", "tuner_type")
        if bits:
            work.refuse("quant_bits", text("spec.rule.full_is_not_quantised"))
        shared.beside(
            work, ("lora_rank", "lora_alpha", "lora_dropout", "target_modules", "init_weights"), "full_lora"
        )
        return
    if method != "lora":
        work.unsupported("tuner_type", "method", value=method)
    elif bits in {"4", "8"}:
        work.put("train_type", "qlora", "quant_bits", "tuner_type")
        work.put("quantization", f"{bits}bit", "quant_bits")
    elif bits:
        work.unsupported("quant_bits", "bits", bits=bits)
    else:
        work.put("train_type", "lora", "tuner_type")
    shared.lora(work, "lora_rank", "lora_alpha", 32)
    shared.targets(work, "target_modules", {"all-linear", "all", "auto"})
    start = work.get("init_weights", lower)
    if start.startswith("pissa"):
        work.put("lora_init", "pissa", "init_weights")
        if start != "pissa":
            work.differs("init_weights", "pissa_exact", steps=start.rpartition("_")[2])
    elif start == "true":
        work.put("lora_init", "default", "init_weights")
    else:
        work.unsupported("init_weights", "init", value=start)


def _model(work: Work, replaced: str | None) -> None:
    if replaced:
        work.put("model", replaced, "model", note=text("importing.note.replaced", flag="--model"))
    elif work.has("model"):
        work.put("model", written_place(work, work.get("model", word)), "model")
    if work.has("template") and work.has("swift_version"):
        work.idle("template", "template")
    elif work.has("template"):
        work.idle("template", "template_named")
    if work.has("output_dir"):
        is_used = work.has("swift_version")
        if is_used:
            work.idle("output_dir", "used_folder")
        else:
            work.put("output_dir", work.get("output_dir", word), "output_dir")


def _data(work: Work, replaced: str | None) -> None:
    hub = "huggingface" if work.has("use_hf") and work.get("use_hf", switch) else "modelscope"
    if replaced:
        work.put("dataset", replaced, "dataset", note=text("importing.note.replaced", flag="--dataset"))
        shared.beside(work, ("columns",), "with_dataset")
    for field, key in (("dataset", "dataset"), ("val_dataset", "val_dataset")):
        if work.has(key) and not (field == "dataset" and replaced):
            places = [hub_place(work, place, hub) for place in work.get(key, items)]
            put_places(work, field, key, places)
    if work.has("columns") and "columns" not in work.done:
        _columns(work)
    shared.validation(work, "split_dataset_ratio", has_own=work.has("val_dataset"))


def _columns(work: Work) -> None:
    """``{"text1": "query"}`` as ``text1=query``."""
    value = work.get("columns", plain)
    try:
        named = json.loads(value) if isinstance(value, str) else value
        pairs = [f"{name}={meaning}" for name, meaning in named.items()]
    except (ValueError, AttributeError):
        work.refuse("columns", text("spec.expected.table"))
        return
    work.put("columns", ",".join(pairs), "columns")


def _lengths(work: Work) -> None:
    length = work.get("max_length", whole)
    if length:
        work.put("max_length", length, "max_length")
    else:
        work.differs("max_length", "whole_limit")
    cut = work.get("truncation_strategy", lower) or "delete"
    if cut not in _CUTS:
        work.refuse("truncation_strategy", text("spec.expected.choice", choices=", ".join(_CUTS)))
        return
    note = text("importing.note.dropped") if cut == "delete" else ""
    work.put("over_length", _CUTS[cut], "truncation_strategy", note=note)


def _masks(work: Work) -> None:
    if "loss_scale" in work.done or work.values.get("stage", "sft") not in {"sft", "pt"}:
        work.done.add("loss_scale")
        return
    scale = work.get("loss_scale", lower)
    if scale in _SCALES:
        work.put("train_on", _SCALES[scale], "loss_scale")
    elif scale == "all" and work.values.get("stage") == "pt":
        work.idle("loss_scale", "own_default")
    elif scale == "all":
        work.unsupported("loss_scale", "prompts")
    else:
        work.unsupported("loss_scale", "loss_scale", value=scale)
