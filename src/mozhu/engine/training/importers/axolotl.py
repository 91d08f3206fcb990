"""Axolotl's settings as ours (version 0.19)."""

from __future__ import annotations

from typing import Any

from mozhu.engine.training.importers import shared
from mozhu.engine.training.importers.axolotl_data import put_datasets
from mozhu.engine.training.importers.data_places import written_place
from mozhu.engine.training.importers.values import lower, number, switch, whole, word, words
from mozhu.engine.training.importers.work import Work
from mozhu.kernel.texts import text

ALIASES = {
    "evaluation_strategy": "eval_strategy",
    "dpo_beta": "rl_beta",
    "noisy_embedding_alpha": "neftune_noise_alpha",
    "overrides_of_model_config": "model_config",
    "overrides_of_model_kwargs": "model_kwargs",
}
TABLE: dict[str, tuple[str, Any]] = {
    "num_epochs": ("num_train_epochs", number),
    "learning_rate": ("learning_rate", number),
    "weight_decay": ("weight_decay", number),
    "max_grad_norm": ("max_grad_norm", number),
    "neftune_noise_alpha": ("neftune_noise_alpha", number),
    "seed": ("seed", whole),
    "sequence_len": ("max_length", whole),
    "default_system_message": ("system", word),
    "peft_use_rslora": ("use_rslora", switch),
    "peft_use_dora": ("use_dora", switch),
}
IDLE = {
    "strict": "command",
    "debug": "command",
    "model_type": "model_kind",
    "cls_model_config": "model_kind",
    "base_model_config": "model_kind",
    "tokenizer_*": "tokenizer",
    "processor_type": "tokenizer",
    "is_*_derived_model": "model_kind",
    "trust_remote_code": "remote_code",
    "hub_*": "hub",
    "hf_use_auth_token": "offline",
    "push_dataset_to_hub": "hub",
    "save_safetensors": "resumable",
    "save_only_model": "resumable",
    "save_first_step": "resumable",
    "dataset_prepared_path": "cache",
    "dataset_processes": "cache",
    "dataset_num_proc": "cache",
    "dataset_keep_in_memory": "cache",
    "num_dataset_shards_to_save": "cache",
    "shuffle_merged_datasets": "shuffle",
    "dataloader_*": "loader",
    "remove_unused_columns": "loader",
    "accelerator_config": "parallel",
    "device*": "parallel",
    "world_size": "parallel",
    "local_rank": "parallel",
    "ddp*": "parallel",
    "deepspeed": "parallel",
    "deepcompile": "parallel",
    "fsdp*": "parallel",
    "dp_*": "parallel",
    "tensor_parallel_size": "parallel",
    "context_parallel_size": "parallel",
    "sequence_parallel_degree": "parallel",
    "heads_k_stride": "parallel",
    "ring_attn_func": "parallel",
    "use_ray": "parallel",
    "ray_*": "parallel",
    "resources_per_worker": "parallel",
    "max_memory": "parallel",
    "gpu_memory_limit": "parallel",
    "lora_on_cpu": "parallel",
    "qlora_sharded_model_loading": "parallel",
    "experimental_skip_move_to_device": "parallel",
    "low_cpu_mem_usage": "kernels",
    "*_offloading": "kernels",
    "gc_*": "kernels",
    "torch_empty_cache_steps": "kernels",
    "torch_compile*": "kernels",
    "tf32": "kernels",
    "use_kernels": "kernels",
    "lora_*_kernel": "kernels",
    "unsloth_*": "kernels",
    "liger_*": "kernels",
    "cut_cross_entropy": "kernels",
    "chunked_cross_entropy*": "kernels",
    "tiled_mlp*": "kernels",
    "gradient_checkpointing_kwargs": "kernels",
    "selective_checkpointing": "kernels",
    "flash_attention": "attention",
    "flash_attn_*": "attention",
    "flash_optimum": "attention",
    "sdp_attention": "attention",
    "xformers_attention": "attention",
    "eager_attention": "attention",
    "flex_attn*": "attention",
    "flex_attention": "attention",
    "sage_attention": "attention",
    "attn_implementation": "attention",
    "lora_fan_in_fan_out": "kernels",
    "pad_to_*": "padding",
    "batch_flattening": "padding",
    "eval_sample_packing": "not_packed",
    "sample_packing_*": "not_packed",
    "multipack_real_batches": "not_packed",
    "group_by_length": "grouping",
    "auto_find_batch_size": "grouping",
    "eval_batch_size": "evaluation_batch",
    "eval_sequence_len": "evaluation_batch",
    "eval_table_size": "measured",
    "eval_max_new_tokens": "measured",
    "eval_causal_lm_metrics": "measured",
    "do_*eval": "measured",
    "bench_*": "measured",
    "generat*": "measured",
    "num_generation_samples": "measured",
    "profiler_*": "measured",
    "include_*": "measured",
    "loss_watchdog_*": "watchdog",
    "use_wandb": "report",
    "wandb_*": "report",
    "use_mlflow": "report",
    "mlflow_*": "report",
    "hf_mlflow_log_artifacts": "report",
    "use_comet": "report",
    "comet_*": "report",
    "use_trackio": "report",
    "trackio_*": "report",
    "use_otel_metrics": "report",
    "otel_*": "report",
    "use_tensorboard": "report",
    "swanlab_*": "report",
    "use_swanlab": "report",
    "gradio_*": "inference",
    "vllm": "inference",
    "merge_*": "inference",
    "metric_for_best_model": "best_metric",
    "greater_is_better": "best_metric",
    "evals_per_epoch": "an_epoch",
    "saves_per_epoch": "an_epoch",
    "resume_from_checkpoint": "resume",
    "auto_resume_from_checkpoints": "resume",
    "axolotl_config_path": "record",
    "sample_packing_eff_est": "record",
    "total_*tokens": "record",
    "plugins": "plugins_idle",
    "dpo_padding_free": "padding",
    "dpo_use_liger_kernel": "kernels",
    "precompute_ref_log_probs": "kernels",
    "peft_autocast_adapter_dtype": "kernels",
    "max_prompt_len": "prompt_len",
}
UNSUPPORTED = {
    "lora_model_dir": "adapter",
    "lora_modules_to_save": "modules_to_save",
    "lora_target_parameters": "pattern",
    "lora_*_pattern": "pattern",
    "peft_layer*": "pattern",
    "peft": "quantiser_nested",
    "bnb_config_kwargs": "quantiser_nested",
    "gptq": "quantiser_nested",
    "peft_trainable_token_indices": "modules_to_save",
    "loraplus_*": "loraplus",
    "relora*": "freeze",
    "jagged_*": "freeze",
    "lisa_*": "freeze",
    "unfrozen_parameters": "freeze",
    "freeze_mm_modules": "freeze",
    "lr_groups": "optimiser_switch",
    "embedding_lr*": "optimiser_switch",
    "optim_*": "optimiser_switch",
    "cosine_*": "scheduler_part",
    "lr_*": "scheduler_part",
    "rope_scaling": "rope",
    "model_config": "rope",
    "model_kwargs": "rope",
    "use_pose": "rope",
    "pose_*": "rope",
    "s2_attention": "rope",
    "special_tokens": "vocabulary",
    "tokens": "vocabulary",
    "added_tokens_overrides": "vocabulary",
    "resize_token_embeddings_to_32x": "vocabulary",
    "reinit_weights": "scratch",
    "chat_template_jinja": "template_part",
    "chat_template_kwargs": "template_part",
    "eot_tokens": "template_part",
    "role_boundaries": "template_part",
    "curriculum_sampling": "order",
    "shuffle_before_merging_datasets": "order",
    "dataset_exact_deduplication": "duplicates",
    "min_sample_len": "min_rows",
    "streaming": "streaming",
    "dataset_shard_*": "streaming",
    "dpo_use_weighting": "preference_loss_part",
    "dpo_norm_loss": "preference_loss_part",
    "rpo_alpha": "sft_share",
    "trl": "ppo",
    "fp8*": "fp8",
    "qat": "fp8",
    "quantization": "fp8",
    "image_*": "pictures",
    "load_best_model_at_end": "best",
    "model_revision": "revision",
    "use_eaft": "loss",
    "center_rewards_coefficient": "loss",
    "num_labels": "labels",
    "trainer_cls": "plugins",
}
PART_OF = {
    "dion_": ("optimizer", "dion"),
    "qgalore_": ("optimizer", "q_galore_adamw8bit"),
    "eaft_": ("use_eaft", True),
    "lisa_layers": ("lisa_n_layers", None),
    "relora_": ("relora", True),
    "simpo_gamma": ("rl", "simpo"),
    "cpo_alpha": ("rl", "simpo"),
    "scaling_softmax_": ("scaling_softmax", True),
}
_PLUGINS = {"liger": "liger", "cut_cross_entropy": "cut_cross_entropy"}
_CUTS = {"drop": "reject", "truncate": "right"}


def fill(work: Work, *, replaced: dict[str, str]) -> None:
    _stage(work)
    _method(work)
    _model(work, replaced.get("model"))
    put_datasets(work, replaced.get("dataset"))
    shared.plain(work, TABLE)
    if not work.has("learning_rate"):
        work.differs("learning_rate", "needs_rate")
    shared.max_steps(work)
    _schedule(work)
    shared.optimiser(work, "optimizer")
    _batches(work)
    shared.dtype(
        work,
        None,
        {
            "bfloat16": "bfloat16",
            "float16": "float16",
            "float32": "float32",
            "bf16": "bfloat16",
            "fp16": "float16",
        },
    )
    shared.master_weights(work, "bf16", work.has("bf16") and str(work.given["bf16"].value).lower() == "full")
    shared.saving(work)
    shared.evaluating(work, default="epoch" if not work.has("eval_steps") else "steps")
    shared.logging(work)
    shared.patience(work, "early_stopping_patience")
    _lengths(work)
    _masks(work)
    _checkpointing(work)
    shared.validation(work, "val_set_size", has_own=work.has("test_datasets"))
    _plugins(work)


def _stage(work: Work) -> None:
    kind = work.get("rl", lower)
    if kind in {"dpo", "ipo"}:
        work.put("stage", "dpo", "rl")
        losses = [loss.lower() for loss in work.get("dpo_loss_type", words) or ()]
        loss = "ipo" if kind == "ipo" else (losses[0] if len(losses) == 1 else "sigmoid")
        if len(losses) > 1 or not work.can_be("dpo_loss", loss):
            work.unsupported("dpo_loss_type", "preference_loss", value=", ".join(losses))
        else:
            work.put("dpo_loss", loss, *(("dpo_loss_type",) if losses else ("rl",)))
        smoothing = work.get("dpo_label_smoothing", number)
        work.put("label_smoothing", smoothing or 0.0, "dpo_label_smoothing")
    elif kind in {"orpo", "kto"}:
        work.put("stage", kind, "rl")
    elif kind:
        work.unsupported("rl", "method", value=kind)
        return
    elif work.has("reward_model") and work.get("reward_model", switch):
        work.put("stage", "rm", "reward_model")
    elif work.has("pretraining_dataset"):
        work.values["stage"] = "pt"
    if work.has("process_reward_model") and work.get("process_reward_model", switch):
        work.unsupported("process_reward_model", "method", value="process_reward_model")
    if kind:
        key = "orpo_alpha" if kind == "orpo" and not work.has("rl_beta") else "rl_beta"
        beta = work.get(key, number)
        work.put("beta", 0.1 if beta is None else beta, key)
    if kind == "kto":
        for field, key in (
            ("wanted_weight", "kto_desirable_weight"),
            ("unwanted_weight", "kto_undesirable_weight"),
        ):
            weight = work.get(key, number)
            work.put(field, 1.0 if weight is None else weight, key)


def _method(work: Work) -> None:
    adapter = work.get("adapter", lower)
    four, eight = work.get("load_in_4bit", switch), work.get("load_in_8bit", switch)
    bits = next((key for key, on in (("load_in_4bit", four), ("load_in_8bit", eight)) if on), None)
    if four and eight:
        work.refuse("load_in_8bit", text("importing.expected.one_of", keys="load_in_4bit, load_in_8bit"))
    if not adapter:
        work.put("train_type", "full", "adapter")
        if bits:
            work.refuse(bits, text("spec.rule.full_is_not_quantised"))
        shared.beside(
            work,
            ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_target_linear"),
            "full_lora",
        )
        shared.beside(work, ("load_in_4bit", "load_in_8bit"), "own_default")
        return
    if adapter not in {"lora", "qlora"}:
        work.unsupported("adapter", "method", value=adapter)
    elif bits:
        work.put("train_type", "qlora", bits, "adapter")
        work.put("quantization", "4bit" if four else "8bit", bits)
    elif adapter == "qlora":
        work.refuse("adapter", text("importing.expected.four_bit"))
    else:
        work.put("train_type", "lora", "adapter")
    shared.beside(
        work, tuple(k for k in ("load_in_4bit", "load_in_8bit") if k not in work.done), "own_default"
    )
    _lora(work)


def _lora(work: Work) -> None:
    if not work.has("lora_r"):
        work.differs("lora_r", "peft_rank")
    rank = work.get("lora_r", whole, 8)
    work.put("lora_rank", rank, "lora_r")
    alpha = work.get("lora_alpha", number, 8)
    if float(alpha).is_integer():
        work.put("lora_alpha", int(alpha), "lora_alpha")
    else:
        work.unsupported("lora_alpha", "whole_alpha")
    work.put("lora_dropout", work.get("lora_dropout", number) or 0.0, "lora_dropout")
    everything = work.has("lora_target_linear") and work.get("lora_target_linear", switch)
    if everything:
        work.put("target_modules", (), "lora_target_linear")
        shared.beside(work, ("lora_target_modules",), "all_linear")
    elif work.has("lora_target_modules"):
        shared.targets(work, "lora_target_modules", {"all-linear", "all_linear"})
    else:
        work.differs("lora_target_modules", "peft_targets")
    start = work.get("peft_init_lora_weights", lower)
    if start in {None, "true"}:
        work.done.add("peft_init_lora_weights")
    elif start.startswith("pissa"):
        work.put("lora_init", "pissa", "peft_init_lora_weights")
    else:
        work.unsupported("peft_init_lora_weights", "init", value=start)


def _model(work: Work, replaced: str | None) -> None:
    if replaced:
        work.put("model", replaced, "base_model", note=text("importing.note.replaced", flag="--model"))
    elif work.has("base_model"):
        work.put("model", written_place(work, work.get("base_model", word)), "base_model")
    template = work.get("chat_template", lower)
    if template and template != "tokenizer_default" and not template.startswith("tokenizer_default_fallback"):
        work.unsupported("chat_template", "template_other", value=template)
    elif template:
        work.idle("chat_template", "template")
    if work.has("output_dir"):
        work.put("output_dir", work.get("output_dir", word), "output_dir")
    tokens = work.given["special_tokens"].value if work.has("special_tokens") else {}
    if isinstance(tokens, dict) and set(tokens) <= {"pad_token"}:
        shared.beside(work, ("special_tokens",), "padding")


def _schedule(work: Work) -> None:
    """Without a word on it Axolotl warms up for 3 % of the steps, at most 100."""
    if not work.has("warmup_steps") and not work.has("warmup_ratio"):
        work.put("warmup_ratio", 0.03, "warmup_ratio", "warmup_steps")
        shape = work.get("lr_scheduler", lower)
        if work.can_be("lr_scheduler", shape):
            work.put("lr_scheduler", shape, "lr_scheduler")
        else:
            known = ", ".join(work.fields["lr_scheduler"].choices)
            work.unsupported("lr_scheduler", "scheduler", value=shape, known=known)
        return
    shared.schedule(work, "lr_scheduler")


def _batches(work: Work) -> None:
    """``batch_size`` is all rows of an update; the steps gathered follow from it."""
    rows, size = work.get("batch_size", whole), work.get("micro_batch_size", whole)
    if rows and size and rows % size:
        work.unsupported("batch_size", "uneven", rows=rows, size=size)
    elif rows and not work.has("gradient_accumulation_steps"):
        work.put("batch_size", size, "micro_batch_size")
        work.put("gradient_accumulation_steps", rows // size, "batch_size")
        return
    shared.batches(work, "micro_batch_size", accumulation=1)


def _lengths(work: Work) -> None:
    cut = work.get("excess_length_strategy", lower) or "drop"
    if cut == "raise":
        work.put("over_length", "reject", "excess_length_strategy")
        if work.has_field("max_rejected_share"):
            work.put("max_rejected_share", 0.0, "excess_length_strategy")
    elif cut in _CUTS:
        note = text("importing.note.dropped") if cut == "drop" else ""
        work.put("over_length", _CUTS[cut], "excess_length_strategy", note=note)
    else:
        work.refuse("excess_length_strategy", text("spec.expected.choice", choices="drop, truncate, raise"))


def _masks(work: Work) -> None:
    if work.get("train_on_inputs", switch):
        work.unsupported("train_on_inputs", "prompts")
    else:
        shared.beside(work, ("train_on_inputs",), "own_default")
    if work.get("sample_packing", switch):
        work.unsupported("sample_packing", "packed")
    else:
        shared.beside(work, ("sample_packing",), "not_packed")


def _checkpointing(work: Work) -> None:
    """``offload`` moves what is kept to another memory: the same mathematics."""
    key = "gradient_checkpointing"
    asked = str(work.given[key].value).lower() if work.has(key) else ""
    is_on = asked in {"offload", "offload_disk", "unsloth"} or bool(work.get(key, switch) if asked else False)
    work.wrong = [entry for entry in work.wrong if not (is_on and entry[1] == key)]
    work.put(key, is_on, key)


def _plugins(work: Work) -> None:
    """Faster kernels change nothing of what is learned; other code may."""
    if not work.has("plugins"):
        return
    others = [
        name for name in work.get("plugins", words, ()) if not any(part in name.lower() for part in _PLUGINS)
    ]
    if others:
        work.unsupported("plugins", "plugins")
    else:
        work.idle("plugins", "kernels")
