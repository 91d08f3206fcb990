"""Tiny random models and adapters for the tests of this folder, made with transformers and PEFT
themselves.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import safe_open
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

CORPUS = [
    "模铸把训练好的模型送到服务里，并证明它就是训练出来的那个模型。",
    "You serve exactly the model you trained; numbers 12345 and 2026 included.",
    "It's a test: don't split words badly, we'll see!\n\n  Indented line\twith tabs.",
    "大模型微调数据评估导出部署，一条命令完成。什么是机器学习？机器学习是人工智能的一个分支。",
] * 4
QWEN2_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_REGEX = QWEN2_REGEX.replace(r"|\p{N}| ?", r"|\p{N}{1,3}| ?")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_level_tokenizer(regex: str | None = QWEN2_REGEX, size: int = 600) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained here; ``regex`` None is GPT-2's own splitting."""
    tokenizer = Tokenizer(models.BPE())
    if regex is None:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(regex), "isolated", invert=False),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(CORPUS, trainer)
    return _fast(tokenizer, bos=None, eos="<|im_end|>", pad="<|endoftext|>", more=["<|im_start|>"])


def sentence_tokenizer(*, prefix: bool, size: int = 500) -> PreTrainedTokenizerFast:
    """A BPE with byte fallback in the manner of Llama-2 (``prefix``) or Gemma."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    steps: list[Any] = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    if not prefix:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous", invert=False)
    last = [decoders.Strip(" ", 1, 0)] if prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *last]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, max_token_length=8)
    tokenizer.train_from_iterator(CORPUS, trainer)
    # The 256 byte tokens are ordinary pieces in real models, not special ones.
    made = Tokenizer.from_str(_without_added_bytes(tokenizer.to_str()))
    return _fast(made, bos="<s>", eos="</s>", pad=None, more=[])


def _without_added_bytes(content: str) -> str:
    table = json.loads(content)
    table["added_tokens"] = [item for item in table["added_tokens"] if not item["content"].startswith("<0x")]
    return json.dumps(table)


def _fast(tokenizer: Tokenizer, *, bos: str | None, eos: str, pad: str | None, more: list[str]) -> Any:
    tokenizer.add_special_tokens(
        [AddedToken(t, special=True, normalized=False) for t in (bos, eos, pad, *more) if t]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)
    fast.chat_template = TEMPLATE
    return fast


SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
CONFIGS: dict[str, Any] = {
    "llama": transformers.LlamaConfig,
    "mistral": transformers.MistralConfig,
    "qwen2": transformers.Qwen2Config,
    "qwen3": transformers.Qwen3Config,
    "gemma": transformers.GemmaConfig,
    "gemma2": transformers.Gemma2Config,
    "gemma3": transformers.Gemma3TextConfig,
    "gpt2": transformers.GPT2Config,
    "qwen3_moe": transformers.Qwen3MoeConfig,
    "mixtral": transformers.MixtralConfig,
    "gpt_oss": transformers.GptOssConfig,
}
# Three experts, so that a mistaken order of their ranks shows.
_EXPERTS: dict[str, Any] = {"num_experts_per_tok": 2, "head_dim": 16}
FAMILY_SIZES: dict[str, Any] = {
    "qwen3_moe": {**_EXPERTS, "num_experts": 3, "moe_intermediate_size": 32},
    "mixtral": {**_EXPERTS, "num_local_experts": 3},
    "gpt_oss": {**_EXPERTS, "num_local_experts": 3, "layer_types": ["full_attention"] * 3},
}


def make_model(
    folder: Path,
    family: str = "llama",
    *,
    tie: bool = False,
    dtype: torch.dtype = torch.float32,
    shard: str = "5GB",
    tokenizer: Any = None,
    seed: int = 0,
    **settings: Any,
) -> Path:
    """A random model of ``family`` with its tokenizer, saved to ``folder``."""
    tokenizer = tokenizer or byte_level_tokenizer()
    torch.manual_seed(seed)
    config = CONFIGS[family](
        **{
            **SIZES,
            **FAMILY_SIZES.get(family, {}),
            "vocab_size": len(tokenizer),
            "tie_word_embeddings": tie,
            "max_position_embeddings": 256,
            "bos_token_id": tokenizer.bos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "initializer_range": 0.1,
            **settings,
        }
    )
    model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    for name, parameter in model.named_parameters():
        if name.endswith(
            ("norm.weight", ".bias")
        ):  # ones and zeros would hide a norm or a bias that is dropped
            parameter.data.add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.do_sample = False
    model.save_pretrained(folder, max_shard_size=shard)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(folder: Path, base: Path, *, seed: int = 1, zero: bool = False, **settings: Any) -> Path:
    """A LoRA adapter on ``base`` whose B is not zero, as after training."""
    model = AutoModelForCausalLM.from_pretrained(base)
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    return save_adapter(folder, model, LoraConfig(**settings), seed=seed, zero=zero)


def save_adapter(folder: Path, model: Any, config: Any, *, seed: int = 1, zero: bool = False) -> Path:
    """An adapter of any kind on ``model``, every trained number changed."""
    torch.manual_seed(seed)
    peft = get_peft_model(model, config)
    for name, parameter in peft.named_parameters():
        if parameter.requires_grad:
            parameter.data.normal_(0, 0.05)
            if zero and "lora_B" in name:
                parameter.data.zero_()
            if "magnitude" in name or "ia3_l" in name:
                parameter.data.abs_().add_(0.5)
    peft.save_pretrained(folder)
    return folder


def merged_by_peft(base: Path, adapter: Path, folder: Path, shard: str = "5GB") -> Path:
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    model.merge_and_unload().save_pretrained(folder, max_shard_size=shard)
    return folder


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                found[name] = file.get_tensor(name)
    return found
