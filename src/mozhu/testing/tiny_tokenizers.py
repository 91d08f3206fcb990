"""Tiny tokenizers of the two kinds in use, learnt in a moment from a few sentences.

bpe            byte-level BPE with Qwen2's pre-tokenizer; no text is unknown to it
sentencepiece  BPE over characters with ``▁`` for blanks and bytes as a last resort, as ``tokenizer.json`` of
               Llama 2 has it (no ``tokenizer.model`` is written)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from mozhu.testing.rows import SENTENCES

TOKENIZERS = ("bpe", "sentencepiece")
TEMPLATES = ("chatml", "llama2", "llama3", "gemma", "mistral", "qwen3", "qwen2_vl")
QWEN2_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_EXTRA_TOKENS = {
    "chatml": ["<|im_start|>", "<|im_end|>"],
    "qwen2_vl": [
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ],
    "gemma": ["<start_of_turn>", "<end_of_turn>"],
    "llama2": [],
    "llama3": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
    "mistral": [
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
    ],
    "qwen3": ["<|im_start|>", "<|im_end|>"],
}
# Tokens of their own that are text all the same: a decoder does not leave them out.
_PLAIN_TOKENS = {"qwen3": ["<think>", "</think>", "<tool_call>", "</tool_call>"]}
_BOS = {"gemma": "<bos>", "llama2": "<bos>", "mistral": "<bos>", "llama3": "<|begin_of_text|>"}
# The token that ends an answer, where it is not the end of the text.
TURN_END = {
    "chatml": "<|im_end|>",
    "qwen2_vl": "<|im_end|>",
    "qwen3": "<|im_end|>",
    "gemma": "<end_of_turn>",
    "llama3": "<|eot_id|>",
}
_EOS = {"chatml": "<|im_end|>", "qwen2_vl": "<|im_end|>", "qwen3": "<|im_end|>", "llama3": "<|eot_id|>"}


def make_tiny_tokenizer(kind: str = "bpe", template: str | None = None, vocab: int | None = None) -> Any:
    """A tokenizer with its chat template; the same arguments give the same tokenizer.

    Args:
        kind: One of :data:`TOKENIZERS`.
        template: One of :data:`TEMPLATES`; by default ``chatml`` for bpe and ``llama2`` for sentencepiece.
        vocab: Tokens without the special ones; by default 480 for bpe and 960 for sentencepiece.
    """
    if kind not in TOKENIZERS:
        raise ValueError(f"tokenizer {kind!r} is not one of {TOKENIZERS}")
    template = template or ("chatml" if kind == "bpe" else "llama2")
    return _byte_level(template, vocab or 480) if kind == "bpe" else _sentencepiece(template, vocab or 960)


def template_text(name: str) -> str:
    """The Jinja text of one of :data:`TEMPLATES`."""
    return (Path(__file__).parent / "templates" / f"{name}.jinja").read_text(encoding="utf-8")


def _byte_level(template: str, vocab: int) -> Any:
    built = Tokenizer(models.BPE())
    built.normalizer = normalizers.NFC()
    built.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    built.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    built.train_from_iterator(SENTENCES, trainer)
    bos = _BOS.get(template)
    end = "<|endoftext|>"
    tokens = [end, *([bos] if bos else []), *_EXTRA_TOKENS[template]]
    built.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    built.add_tokens([AddedToken(token, normalized=False) for token in _PLAIN_TOKENS.get(template, ())])
    names = {"bos_token": bos, "eos_token": _EOS.get(template, end), "pad_token": end}
    return _wrapped(built, template, {key: value for key, value in names.items() if value})


def _sentencepiece(template: str, vocab: int) -> Any:
    special = ["<unk>", "<s>", "</s>"]
    pieces = special + [f"<0x{number:02X}>" for number in range(256)]
    learnt = Tokenizer(models.BPE())
    learnt.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    alphabet = [chr(number) for number in range(33, 127)]
    size = max(vocab - len(pieces), 1)
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    learnt.train_from_iterator(SENTENCES, trainer)
    merges = _merges(learnt)
    words = sorted(learnt.get_vocab(), key=lambda word: learnt.get_vocab()[word])
    numbered = {piece: number for number, piece in enumerate([*pieces, *words])}
    built = Tokenizer(models.BPE(numbered, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    built.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    built.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokens = [*special, *_EXTRA_TOKENS[template]]
    built.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    built.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", numbered["<s>"])]
    )
    names = {
        "bos_token": "<s>",
        "eos_token": _EOS.get(template, "</s>"),
        "unk_token": "<unk>",
        "pad_token": "<unk>",
    }
    return _wrapped(built, template, names)


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def _wrapped(built: Tokenizer, template: str, names: dict[str, str]) -> Any:
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(
        tokenizer_object=built, model_max_length=512, clean_up_tokenization_spaces=False, **names
    )
    tokenizer.chat_template = template_text(template)
    return tokenizer
