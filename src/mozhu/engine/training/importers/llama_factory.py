"""LLaMA-Factory's settings as ours (version 0.9.5)."""

from __future__ import annotations

from typing import Any

from mozhu.engine.training.importers import shared
from mozhu.engine.training.importers.data_places import put_places, registered, written_place
from mozhu.engine.training.importers.values import lower, number, switch, whole, word, words
from mozhu.engine.training.importers.work import Work
from mozhu.kernel.texts import text

ALIASES = {
    "evaluation_strategy": "eval_strategy",
    "dpo_beta": "pref_beta",
    "dpo_ftx": "pref_ftx",
    "dpo_loss": "pref_loss",
    "checkpoint_dir": "adapter_name_or_path",
}
# Key -> our field and how it is read.
TABLE: dict[str, tuple[str, Any]] = {
    "num_train_epochs": ("num_train_epochs", number),
    "learning_rate": ("learning_rate", number),
    "weight_decay": ("weight_decay", number),
    "max_grad_norm": ("max_grad_norm", number),
    "seed": ("seed", whole),
    "cutoff_len": ("max_length", whole),
    "default_system": ("system", word),
    "use_rslora": ("use_rslora", switch),
    "use_dora": ("use_dora", switch),
    "neftune_noise_alpha": ("neftune_noise_alpha", number),
}
# Key, or the beginning of keys (with *), -> why it changes nothing of what is learned here.
IDLE = {
    "do_train": "command",
    "do_eval": "command",
    "trust_remote_code": "remote_code",
    "use_fast_tokenizer": "tokenizer",
    "cache_dir": "offline",
    "hf_hub_token": "offline",
    "ms_hub_token": "offline",
    "om_hub_token": "offline",
    "push_to_hub": "hub",
    "hub_*": "hub",
    "overwrite_output_dir": "overwrite",
    "overwrite_cache": "cache",
    "tokenized_path": "cache",
    "preprocessing_*": "cache",
    "data_shared_file_system": "cache",
    "plot_loss": "drawn",
    "compute_accuracy": "measured",
    "include_effective_tokens_per_second": "measured",
    "include_num_input_tokens_seen": "measured",
    "eval_on_each_dataset": "measured",
    "predict_with_generate": "measured",
    "generation_*": "measured",
    "use_swanlab": "report",
    "swanlab_*": "report",
    "logging_dir": "report",
    "logging_strategy": "every_step",
    "logging_first_step": "every_step",
    "log_*": "every_step",
    "disable_tqdm": "every_step",
    "per_device_eval_batch_size": "evaluation_batch",
    "eval_accumulation_steps": "evaluation_batch",
    "prediction_loss_only": "evaluation_batch",
    "eval_on_start": "evaluation_batch",
    "save_only_model": "resumable",
    "save_on_each_node": "resumable",
    "dataloader_*": "loader",
    "remove_unused_columns": "loader",
    "ddp_*": "parallel",
    "deepspeed": "parallel",
    "fsdp*": "parallel",
    "ray_*": "parallel",
    "master_*": "parallel",
    "local_rank": "parallel",
    "accelerator_config": "parallel",
    "flash_attn": "attention",
    "enable_liger_kernel": "kernels",
    "use_liger_kernel": "kernels",
    "liger_kernel_config": "kernels",
    "use_unsloth*": "kernels",
    "use_v1_kernels": "kernels",
    "torch_compile*": "kernels",
    "tf32": "kernels",
    "low_cpu_mem_usage": "kernels",
    "use_reentrant_gc": "kernels",
    "gradient_checkpointing_kwargs": "kernels",
    "torch_empty_cache_steps": "kernels",
    "use_cache": "kernels",
    "use_kv_cache": "kernels",
    "double_quantization": "double",
    "bf16_full_eval": "evaluation_batch",
    "fp16_full_eval": "evaluation_batch",
    "upcast_*": "kernels",
    "quantization_device_map": "parallel",
    "infer_*": "inference",
    "vllm_*": "inference",
    "sglang_*": "inference",
    "export_*": "inference",
    "offload_folder": "inference",
    "temperature": "inference",
    "top_p": "inference",
    "top_k": "inference",
    "num_beams": "inference",
    "do_sample": "inference",
    "max_new_tokens": "inference",
    "repetition_penalty": "inference",
    "length_penalty": "inference",
    "skip_special_tokens": "inference",
    "max_length": "inference",
    "print_param_status": "measured",
    "*profil*": "measured",
    "full_determinism": "deterministic",
    "resume_from_checkpoint": "resume",
    "ignore_data_skip": "resume",
    "greater_is_better": "best",
    "project": "report",
    "trackio_*": "report",
    "pissa_convert": "pissa_convert",
    "media_dir": "media",
    "ignore_pad_token_for_loss": "padding",
    "length_column_name": "grouping",
    "train_sampling_strategy": "grouping",
    "group_by_length": "grouping",
}
UNSUPPORTED = {
    "adapter_name_or_path": "adapter",
    "adapter_folder": "adapter",
    "rope_scaling": "rope",
    "shift_attn": "rope",
    "use_galore": "optimiser_switch",
    "use_apollo": "optimiser_switch",
    "use_badam": "optimiser_switch",
    "use_muon": "optimiser_switch",
    "use_adam_mini": "optimiser_switch",
    "freeze_*": "freeze",
    "use_llama_pro": "freeze",
    "additional_target": "modules_to_save",
    "loraplus_*": "loraplus",
    "mix_strategy": "mixing",
    "interleave_probs": "mixing",
    "streaming": "streaming",
    "ref_model*": "reference",
    "reward_model*": "ppo",
    "ppo_*": "ppo",
    "resize_vocab": "vocabulary",
    "add_tokens": "vocabulary",
    "add_special_tokens": "vocabulary",
    "new_special_tokens_config": "vocabulary",
    "train_from_scratch": "scratch",
    "mixture_of_depths": "scratch",
    "use_*_loss": "loss",
    "fp8*": "fp8",
    "tool_format": "template_part",
    "enable_thinking": "template_part",
    "preserve_thinking": "template_part",
    "disable_shuffling": "order",
    "image_*": "pictures",
    "video_*": "pictures",
    "load_best_model_at_end": "best",
    "metric_for_best_model": "best",
    "model_revision": "revision",
}
# Settings that count only where another one is on: their beginning -> that one, and its value when it is on.
PART_OF = {
    "galore_": ("use_galore", True),
    "apollo_": ("use_apollo", True),
    "badam_": ("use_badam", True),
    "oft_": ("finetuning_type", "oft"),
    "freeze_trainable": ("finetuning_type", "freeze"),
    "freeze_extra": ("finetuning_type", "freeze"),
    "ppo_": ("stage", "ppo"),
    "reward_model": ("stage", "ppo"),
    "simpo_gamma": ("pref_loss", "simpo"),
    "asft_alpha": ("use_asft_loss", True),
    "eaft_alpha": ("use_eaft_loss", True),
    "kt_": ("use_kt", True),
    "hyper_parallel_args": ("use_hyper_parallel", True),
    "module_dropout": ("finetuning_type", "oft"),
}
# Templates that write turns in a way of LLaMA-Factory's own, whichever the model.
_OWN_TEMPLATES = {"default", "empty", "alpaca", "fewshot", "vicuna", "cpm"}
_STAGES = {"sft", "pt", "rm", "dpo", "kto"}


def fill(work: Work, *, replaced: dict[str, str]) -> None:
    """Every setting that means something here."""
    _stage(work)
    _method(work)
    _model(work, replaced.get("model"))
    _data(work, replaced.get("dataset"))
    shared.plain(work, TABLE)
    shared.max_steps(work)
    shared.schedule(work, "lr_scheduler_type")
    shared.optimiser(work, "optim")
    shared.batches(work, "per_device_train_batch_size", accumulation=1)
    shared.dtype(work, None, {"pure_bf16": "bfloat16", "bf16": "bfloat16", "fp16": "float16"})
    shared.master_weights(work, "pure_bf16", work.get("pure_bf16", switch))
    shared.saving(work)
    shared.evaluating(work, default="no")
    shared.logging(work)
    shared.patience(work, "early_stopping_steps")
    shared.reporting(work, "report_to")
    _masks(work)
    _packing(work)
    off = work.get("disable_gradient_checkpointing", switch)
    key = "disable_gradient_checkpointing"
    if work.has("gradient_checkpointing") and not work.has(key):
        work.put(
            "gradient_checkpointing", work.get("gradient_checkpointing", switch), "gradient_checkpointing"
        )
    else:
        work.put("gradient_checkpointing", not off, key, "gradient_checkpointing")
    if work.has("use_cpu") and work.get("use_cpu", switch):
        work.put("device", "cpu", "use_cpu")
    data_seed = work.get("data_seed", whole)
    if data_seed is not None and data_seed != work.get("seed", whole):
        work.unsupported("data_seed", "data_seed")
    work.differs("cutoff_len", "cut_in_proportion")


def _stage(work: Work) -> None:
    stage = work.get("stage", lower)
    loss = work.get("pref_loss", lower)
    if stage not in _STAGES:
        if stage == "ppo":
            work.unsupported("stage", "ppo")
        else:
            work.refuse("stage", text("spec.expected.choice", choices=", ".join(sorted(_STAGES))))
        return
    if stage == "dpo" and loss == "orpo":
        work.put("stage", "orpo", "pref_loss", "stage")
    elif stage == "dpo" and not work.can_be("dpo_loss", loss):
        work.put("stage", stage, "stage")
        work.unsupported("pref_loss", "preference_loss", value=loss)
    else:
        work.put("stage", stage, "stage")
        if stage == "dpo":
            work.put("dpo_loss", loss, "pref_loss")
    if stage in {"dpo", "kto"}:
        work.put("beta", work.get("pref_beta", number), "pref_beta")
        if work.get("pref_ftx", number):
            work.unsupported("pref_ftx", "sft_share")
    if stage == "dpo":
        work.put("label_smoothing", work.get("dpo_label_smoothing", number), "dpo_label_smoothing")
    if stage == "kto":
        work.put("wanted_weight", work.get("kto_chosen_weight", number), "kto_chosen_weight")
        work.put("unwanted_weight", work.get("kto_rejected_weight", number), "kto_rejected_weight")
    shared.beside(
        work,
        tuple(
            key
            for key in (
                "pref_beta",
                "pref_loss",
                "dpo_label_smoothing",
                "kto_chosen_weight",
                "kto_rejected_weight",
            )
            if key not in work.done
        ),
        "other_stage",
    )


def _method(work: Work) -> None:
    method = work.get("finetuning_type", lower)
    bits = work.get("quantization_bit", whole)
    kind = work.get("quantization_method", lower)
    if bits and kind not in {"bnb", "bitsandbytes"}:
        work.unsupported("quantization_method", "quantiser", value=kind)
    if bits and work.get("quantization_type", lower) != "nf4":
        work.unsupported("quantization_type", "fp4")
    work.done.update({"quantization_method", "quantization_type"} - work.done)
    if method == "full":
        work.put("train_type", "full", "finetuning_type")
        if bits:
            work.refuse("quantization_bit", text("spec.rule.full_is_not_quantised"))
        shared.beside(
            work, ("lora_rank", "lora_alpha", "lora_dropout", "lora_target", "pissa_init"), "full_lora"
        )
        return
    if method != "lora":
        if method in {"freeze", "oft"}:
            work.unsupported("finetuning_type", "method", value=method)
        else:
            work.refuse("finetuning_type", text("spec.expected.choice", choices="lora, oft, freeze, full"))
    elif bits in (4, 8):
        work.put("train_type", "qlora", "quantization_bit", "finetuning_type")
        work.put("quantization", f"{bits}bit", "quantization_bit")
    elif bits:
        work.unsupported("quantization_bit", "bits", bits=bits)
    else:
        work.put("train_type", "lora", "finetuning_type")
    shared.lora(work, "lora_rank", "lora_alpha")
    shared.targets(work, "lora_target", {"all", "all-linear"})
    if work.get("pissa_init", switch):
        steps = work.get("pissa_iter", whole)
        work.put("lora_init", "pissa", "pissa_init")
        if steps != -1:
            work.differs("pissa_iter", "pissa_exact", steps=steps)
    work.done.add("pissa_iter")


def _model(work: Work, replaced: str | None) -> None:
    key = "model_name_or_path"
    if replaced:
        work.put("model", replaced, key, note=text("importing.note.replaced", flag="--model"))
    elif work.has(key):
        work.put("model", written_place(work, work.get(key, word)), key)
    template = work.get("template", lower)
    if template in _OWN_TEMPLATES:
        work.unsupported("template", "template_other", value=template)
    elif template:
        work.idle("template", "template")
    if work.has("output_dir"):
        work.put("output_dir", work.get("output_dir", word), "output_dir")
    if work.has("run_name"):
        work.put("run_name", work.get("run_name", word), "run_name")


def _data(work: Work, replaced: str | None) -> None:
    folder = work.get("dataset_dir", word)
    most = work.get("max_samples", whole)
    if replaced:
        work.put("dataset", replaced, "dataset", note=text("importing.note.replaced", flag="--dataset"))
        shared.beside(work, ("dataset_dir", "max_samples"), "with_dataset")
    for field, key in (("dataset", "dataset"), ("val_dataset", "eval_dataset")):
        names = work.get(key, words) or ()
        if (field == "dataset" and replaced) or not names:
            continue
        places = registered(work, key, tuple(names), folder)
        put_places(work, field, key, [f"{place}#{most}" if most else place for place in places])
    if work.has("max_samples") and "max_samples" not in work.done:
        work.idle("max_samples", "some")
    if work.has("dataset_dir") and "dataset_dir" not in work.done:
        work.idle("dataset_dir", "with_dataset")
    shared.validation(work, "val_size", has_own=work.has("eval_dataset"))


def _masks(work: Work) -> None:
    if work.get("train_on_prompt", switch):
        work.unsupported("train_on_prompt", "prompts")
    if work.get("mask_history", switch):
        work.put("train_on", "last", "mask_history")
    elif work.has("mask_history"):
        work.put("train_on", "all", "mask_history")


def _packing(work: Work) -> None:
    packs = work.get("packing", switch)
    if work.get("neat_packing", switch):
        work.unsupported("neat_packing", "packed")
        packs = None
    elif packs:
        work.unsupported("packing", "packed_unmasked")
    elif packs is None and work.values.get("stage") == "pt":
        work.differs("packing", "packed_unmasked")
    shared.beside(work, tuple(k for k in ("packing", "neat_packing") if k not in work.done), "not_packed")
