"""Random Qwen2 models with an adapter, of the shapes that the benchmarks need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from benchmarks.harness import Skipped, forked
from mozhu.kernel import slots
from mozhu.kernel.files import folder_bytes, free_bytes, human_size
from mozhu.kernel.machine import describe
from mozhu.testing import make_tiny_adapter
from mozhu.testing.tiny_tokenizers import make_tiny_tokenizer

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "vocab_size": 512},
    "small": {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 4, "vocab_size": 1024},
    "medium": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "vocab_size": 8192},
    "60M": {"hidden_size": 768, "intermediate_size": 1536, "num_hidden_layers": 6, "vocab_size": 2048},
    "0.5B": {
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
}
_HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
_SPREAD = 0.05
# With plain random weights a correct result of the 0.5B shape misses the certificate's limits of agreement. Here the
# embedding outweighs what the layers and the adapter add to it: the next token is clear and the certificate passes.
# What it says about such a model means nothing; what it costs is measured.
_EMBEDDING_SPREAD = 1.0
_BRANCHES = ("o_proj.weight", "down_proj.weight")
_BRANCH_SHARE = 0.02
_ADAPTER_SCALE = 0.02


def make_model(folder: Path, shape: str, *, dtype: str = "bfloat16") -> Path:
    """A Qwen2 of ``shape`` with random weights, its head tied to its embedding, and a small tokenizer."""
    forked(lambda: _write_model(folder, shape, getattr(torch, dtype)))
    return folder


def make_adapter(folder: Path, base: Path, rank: int = 8) -> Path:
    """A LoRA of ``rank`` on every linear layer, with an effect."""
    forked(lambda: str(make_tiny_adapter(folder, base, rank=rank, scale=_ADAPTER_SCALE)))
    return folder


def weights_of(folder: Path) -> Path:
    """The single file that holds a model's weights."""
    return folder / "model.safetensors"


def need_room(work: Path, shape: str, copies: int) -> None:
    """Nothing happens where memory and disk hold ``shape`` ``copies`` times.

    Raises:
        Skipped: With what is needed and what is there.
    """
    size = 2 * _parameters(shape)
    memory, disk = describe(work).memory_free_bytes, free_bytes(work)
    if memory < 4 * size or disk < 2 * copies * size:
        wanted = f"{human_size(4 * size)} of memory and {human_size(2 * copies * size)} of disk"
        raise Skipped(f"needs {wanted}; free are {human_size(memory)} and {human_size(disk)}")


def cleaner(*targets: Path) -> Callable[[], None]:
    """Removes what the last run left and lets the disk come to rest, so that no run pays for another's."""

    def clean() -> None:
        for target in targets:
            shutil.rmtree(target, ignore_errors=True)
        os.sync()

    return clean


def without_certificate(certifier: str) -> None:
    """In this process no certificate is made: the peers make none either."""
    slots.BUILT_IN["mozhu.rooms"].pop(certifier)


def size_facts(folder: Path) -> dict[str, Any]:
    return {"model_mb": round(folder_bytes(folder) / 1e6, 1)}


def _write_model(folder: Path, shape: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    tokenizer = make_tiny_tokenizer()
    numbers = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = Qwen2Config(
        **{**_HEADS, **SHAPES[shape]},
        **numbers,
        bos_token_id=None,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        initializer_range=_SPREAD,
    )
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name, value in model.named_parameters():
        if name.endswith(_BRANCHES):
            value.data *= _BRANCH_SHARE
        elif name.endswith("embed_tokens.weight"):
            value.data *= _EMBEDDING_SPREAD / _SPREAD
    model.save_pretrained(folder, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)


def _parameters(shape: str) -> int:
    sizes = {**_HEADS, **SHAPES[shape]}
    width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
    keys = width // heads * sizes["num_key_value_heads"]
    layer = 2 * width * width + 2 * width * keys + 3 * width * int(sizes["intermediate_size"])
    return int(sizes["num_hidden_layers"]) * layer + width * int(sizes["vocab_size"])
