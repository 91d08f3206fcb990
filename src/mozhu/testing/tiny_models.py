"""Tiny random models of the families in use, written as ordinary Hugging Face folders in a second.

They answer nonsense and exist so that loading, training, merging, exporting and serving can be tried on every
family without a download. The same arguments give the same bytes (with the same libraries).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file

from mozhu.engine.weights.load import without_bars
from mozhu.kernel.files import replacing_folder, write_json
from mozhu.testing.tiny_tokenizers import TURN_END, make_tiny_tokenizer

# transformers' classes are untyped
_HF: Any = transformers
_HEADS, _KV_HEADS = 4, 2
_MAX_LENGTH = 512
_SPREAD = 0.1  # wide enough that answers differ from each other
_WEIGHTS = "model.safetensors"


def _common(hidden: int, layers: int, vocab: int) -> dict[str, Any]:
    return {
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "max_position_embeddings": _MAX_LENGTH,
        "initializer_range": _SPREAD,
    }


def _plain(name: str, **more: Any) -> Callable[[dict[str, Any], dict[str, int]], Any]:
    def build(common: dict[str, Any], ids: dict[str, int]) -> Any:
        head = {"head_dim": common["hidden_size"] // _HEADS} if name != "Qwen2Config" else {}
        special = {
            key: value
            for key, value in ids.items()
            if key in ("bos_token_id", "eos_token_id", "pad_token_id")
        }
        return getattr(_HF, name)(**{**common, **head, **special, **more})

    return build


def _gemma(name: str) -> Callable[[dict[str, Any], dict[str, int]], Any]:
    def build(common: dict[str, Any], ids: dict[str, int]) -> Any:
        head_dim = common["hidden_size"] // _HEADS
        return _plain(name, sliding_window=64, query_pre_attn_scalar=head_dim)(common, ids)

    return build


def _qwen2_vl(common: dict[str, Any], ids: dict[str, int]) -> Any:
    head_dim = common["hidden_size"] // _HEADS
    half = head_dim // 2
    sections = [half - 2 * (half // 3), half // 3, half // 3]
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections}
    vision = {
        "depth": 1,
        "embed_dim": 32,
        "hidden_size": common["hidden_size"],
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "initializer_range": _SPREAD,
    }
    text_ids = {
        key: value for key, value in ids.items() if key in ("bos_token_id", "eos_token_id", "pad_token_id")
    }
    places = {key: value for key, value in ids.items() if key not in text_ids}
    text = {**common, **text_ids, "rope_parameters": rope}
    more: dict[str, Any] = {"text_config": text, "vision_config": vision, **places}
    return _HF.Qwen2VLConfig(**more)


_CONFIGS: dict[str, Callable[[dict[str, Any], dict[str, int]], Any]] = {
    "llama": _plain("LlamaConfig"),
    "mistral": _plain("MistralConfig", sliding_window=None),
    "qwen2": _plain("Qwen2Config"),
    "qwen3": _plain("Qwen3Config"),
    "gemma2": _gemma("Gemma2Config"),
    "gemma3": _gemma("Gemma3TextConfig"),
    "qwen2_vl": _qwen2_vl,
}
TINY_FAMILIES = tuple(_CONFIGS)


def make_tiny_model(
    folder: str | Path,
    family: str = "qwen2",
    *,
    tie: bool = True,
    shards: int = 1,
    tokenizer: str = "bpe",
    template: str | None = None,
    hidden: int = 64,
    layers: int = 2,
    vocab: int | None = None,
    dtype: str = "float32",
    seed: int = 0,
) -> Path:
    """A model folder with random weights, tokenizer and chat template; replaces ``folder``.

    ``qwen2_vl`` has its vision tower, its configuration and a ``preprocessor_config.json``, but no processor
    has run: transformers' own needs torchvision, which is not required here.

    Args:
        family: One of :data:`TINY_FAMILIES`.
        tie: Whether the output head is the embedding.
        shards: Number of safetensors files; more than one come with an index.
        tokenizer: ``bpe`` (byte-level) or ``sentencepiece``; see :mod:`mozhu.testing.tiny_tokenizers`.
        template: One of the tokenizers' :data:`~mozhu.testing.tiny_tokenizers.TEMPLATES`; by default the
            family's or the tokenizer's usual one.
        hidden: Width, a multiple of 16; of 256 where K-quants are tried.
        vocab: Tokens that the tokenizer learns; the model's table is rounded up to a multiple of 64.
    """
    return _make(
        Path(folder), family, _causal, tie, shards, tokenizer, template, hidden, layers, vocab, dtype, seed
    )


def make_tiny_classifier(
    folder: str | Path,
    family: str = "qwen2",
    *,
    labels: int = 3,
    hidden: int = 64,
    layers: int = 2,
    seed: int = 0,
) -> Path:
    """A folder like :func:`make_tiny_model`'s whose head gives one score for each of ``labels`` classes."""

    def classifier(config: Any) -> Any:
        config.num_labels = labels
        return _HF.AutoModelForSequenceClassification.from_config(config)

    return _make(
        Path(folder), family, classifier, True, 1, "bpe", None, hidden, layers, None, "float32", seed
    )


def reshard(folder: str | Path, shards: int) -> Path:
    """The weights of a folder laid out anew over ``shards`` files; names, types and contents stay."""
    folder = Path(folder)
    old = sorted(folder.glob("model*.safetensors"))
    tensors = {name: tensor.clone() for path in old for name, tensor in load_file(path).items()}
    for path in [*old, folder / f"{_WEIGHTS}.index.json"]:
        path.unlink(missing_ok=True)
    if shards == 1:
        save_file(tensors, folder / _WEIGHTS, metadata={"format": "pt"})
        return folder
    _write_shards(folder, tensors, shards)
    return folder


def _make(
    folder: Path,
    family: str,
    build: Callable[[Any], Any],
    tie: bool,
    shards: int,
    tokenizer_kind: str,
    template: str | None,
    hidden: int,
    layers: int,
    vocab: int | None,
    dtype: str,
    seed: int,
) -> Path:
    if family not in _CONFIGS:
        raise ValueError(f"family {family!r} is not one of {TINY_FAMILIES}")
    usual = {"gemma2": "gemma", "gemma3": "gemma", "qwen2_vl": "qwen2_vl"}.get(family)
    template = template or usual or ("chatml" if tokenizer_kind == "bpe" else "llama2")
    tokenizer = make_tiny_tokenizer(tokenizer_kind, template, vocab)
    rows = -(-len(tokenizer) // 64) * 64
    config = _CONFIGS[family](_common(hidden, layers, rows), _ids(tokenizer, family))
    config.tie_word_embeddings = tie
    config.get_text_config().tie_word_embeddings = tie
    model = _seeded(build, config, seed).to(getattr(torch, dtype))
    model.generation_config = _generation(tokenizer, template)
    with replacing_folder(folder) as fresh, without_bars():
        model.save_pretrained(fresh, max_shard_size="100GB")
        tokenizer.save_pretrained(fresh)
        if family == "qwen2_vl":
            write_json(fresh / "preprocessor_config.json", _IMAGE_PROCESSOR)
        if shards > 1:
            reshard(fresh, shards)
    return folder


def _causal(config: Any) -> Any:
    if config.model_type == "qwen2_vl":
        return _HF.AutoModelForImageTextToText.from_config(config)
    return _HF.AutoModelForCausalLM.from_config(config)


def _seeded(build: Callable[[Any], Any], config: Any, seed: int) -> Any:
    """A model whose weights follow from ``seed`` alone; the process's own random numbers go on as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build(config).eval()
        # Biases and norms at 0 and 1 would hide an exchange of two of them.
        for name, value in sorted(model.named_parameters()):
            if value.dim() == 1:
                value.data += 0.05 * torch.randn(value.shape)
            assert torch.isfinite(value).all(), name
    return model


def _ids(tokenizer: Any, family: str) -> dict[str, int]:
    names = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    names["pad_token_id"] = tokenizer.pad_token_id
    if family == "qwen2_vl":
        for name in ("image", "video"):
            names[f"{name}_token_id"] = tokenizer.convert_tokens_to_ids(f"<|{name}_pad|>")
        for name in ("vision_start", "vision_end"):
            names[f"{name}_token_id"] = tokenizer.convert_tokens_to_ids(f"<|{name}|>")
    return names


def _generation(tokenizer: Any, template: str) -> Any:
    ends = [tokenizer.eos_token_id]
    for token in (TURN_END.get(template), "<|endoftext|>"):
        number = tokenizer.get_vocab().get(token) if token else None
        if number is not None and number not in ends:
            ends.append(number)
    return _HF.GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=ends if len(ends) > 1 else ends[0],
        pad_token_id=tokenizer.pad_token_id,
    )


def _write_shards(folder: Path, tensors: dict[str, torch.Tensor], shards: int) -> None:
    """Shards of about equal size in the order of the names, none of them empty, with their index."""
    names = sorted(tensors)
    if shards > len(names):
        raise ValueError(f"{shards} shards for {len(names)} tensors")
    total = sum(tensors[name].nbytes for name in names)
    groups: list[list[str]] = [[] for _ in range(shards)]
    number = used = 0
    for place, name in enumerate(names):
        left, wanted = len(names) - place, shards - number - 1
        full = used >= total * (number + 1) / shards
        if groups[number] and number + 1 < shards and (full or left <= wanted):
            number += 1
        groups[number].append(name)
        used += tensors[name].nbytes
    weight_map: dict[str, str] = {}
    for number, group in enumerate(groups, start=1):
        file = f"model-{number:05d}-of-{shards:05d}.safetensors"
        save_file({name: tensors[name] for name in group}, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(group, file)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / f"{_WEIGHTS}.index.json").write_text(
        json.dumps(index, indent=2, sort_keys=True) + "\n", "utf-8"
    )


_IMAGE_PROCESSOR = {
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2VLProcessor",
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "min_pixels": 56 * 56,
    "max_pixels": 28 * 28 * 16,
    "merge_size": 2,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "rescale_factor": 1 / 255,
}
