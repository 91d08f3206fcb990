"""The rows and the model folder that every side of a comparison reads: generated, the same bytes each time.

A row is an Alpaca row in Chinese: a question, sometimes an input, an answer, some 150 tokens together. Words come
from a lexicon of 8,000 by Zipf's law, so a byte-level BPE of 32,000 tokens that is learnt from them has the work
to do that a real one has: about 1.5 characters a token. The template is the part of Qwen2.5's own that such rows
reach, with its default system prompt, which both peers have under the names ``qwen`` and ``qwen2_5``.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config

from benchmarks.harness import forked
from mozhu.kernel.files import write_json
from mozhu.testing.tiny_tokenizers import QWEN2_REGEX

VOCABULARY = 32_000
_LEARNT_FROM = 10_000
_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
_TEMPLATE = (
    "{%- if messages[0]['role'] == 'system' %}"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}"
    f"{{%- else %}}{{{{- '<|im_start|>system\\n{_SYSTEM}<|im_end|>\\n' }}}}{{%- endif %}}"
    "{%- for message in messages %}"
    "{%- if message.role == 'user' or (message.role == 'system' and not loop.first)"
    " or message.role == 'assistant' %}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endif %}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)
_CLAUSE_ENDS = "，，，、；：。"
_DATASET = "rows"
_TINY: dict[str, Any] = {
    "vocab_size": VOCABULARY + 64,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
# Characters of the questions and answers of alpaca_zh_demo (1,000 rows): every twentieth of its rows is between two
# of these. The last figure stands for the few longest ones.
_ASKED = (6, 8, 10, 11, 12, 13, 14, 15, 15, 16, 17, 18, 19, 21, 22, 25, 27, 33, 38, 52, 120)
_ANSWERED = (6, 17, 26, 35, 46, 60, 79, 99, 115, 140, 161, 188, 216, 251, 278, 315, 346, 371, 405, 432, 600)


@dataclass(frozen=True)
class Material:
    """``alpaca`` is a JSON array, ``info`` the folder with LLaMA-Factory's description of it."""

    model: Path
    alpaca: Path
    jsonl: Path
    info: Path
    rows: int


def write_material(folder: Path, rows: int) -> Material:
    """``rows`` rows in the forms that the sides read, and a tiny Qwen2 with random weights."""
    return write_rows(folder, generated_rows(rows), _TINY)


def write_rows(folder: Path, rows: Iterable[dict[str, str]], shape: dict[str, Any]) -> Material:
    """``rows`` in the forms that the sides read, and a Qwen2 of ``shape`` with random weights in bfloat16."""
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    made = Material(folder / "model", folder / "rows.json", folder / "rows.jsonl", folder, len(lines))
    folder.mkdir(parents=True, exist_ok=True)
    made.alpaca.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    made.jsonl.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "dataset_info.json", {_DATASET: {"file_name": made.alpaca.name}})
    forked(lambda: _write_model(made.model, shape))  # what learning a vocabulary takes goes with the fork
    return made


def rows_of_demo_lengths(count: int) -> Iterator[dict[str, str]]:
    """``count`` rows whose lengths are spread as those of ``alpaca_zh_demo``, in no order."""
    chance = random.Random(20)
    writer = _Writer(chance)  # of the words that the vocabulary was learnt from
    shares = [(number + 0.5) / count for number in range(count)]
    asked, answered = ([_at(lengths, share) for share in shares] for lengths in (_ASKED, _ANSWERED))
    chance.shuffle(asked)
    chance.shuffle(answered)
    for ask, answer in zip(asked, answered, strict=True):
        yield {"instruction": writer.text(ask), "input": "", "output": writer.text(answer)}


def _at(lengths: tuple[int, ...], share: float) -> int:
    """The length that ``share`` of the rows stay below, between the two neighbours that are known."""
    place, rest = divmod(share * (len(lengths) - 1), 1)
    low, high = lengths[int(place)], lengths[int(place) + 1]
    return round(low + rest * (high - low))


def generated_rows(count: int) -> Iterator[dict[str, str]]:
    """``count`` different rows; the first ones are the same whatever ``count`` is."""
    chance = random.Random(20)
    writer = _Writer(chance)
    for number in range(count):
        yield {
            "instruction": f"第{number}问：{writer.text(chance.randint(8, 40))}",
            "input": writer.text(chance.randint(10, 60)) if number % 4 == 0 else "",
            "output": writer.text(min(900, int(chance.lognormvariate(5.2, 0.6)))),
        }


class _Writer:
    """Clauses of words from a fixed lexicon."""

    def __init__(self, chance: random.Random) -> None:
        common = [bytes((high, low)) for high in range(0xB0, 0xD7) for low in range(0xA1, 0xFA)]
        letters = [pair.decode("gb2312") for pair in common]
        self._chance = chance
        self._words = [
            "".join(chance.choices(letters, k=chance.choice((1, 2, 2, 2, 3)))) for _ in range(8_000)
        ]
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def text(self, letters: int) -> str:
        """About ``letters`` characters that end with a full stop."""
        words = self._chance.choices(self._words, cum_weights=self._weights, k=max(1, letters // 2))
        ends = iter(self._chance.choices(_CLAUSE_ENDS, k=len(words)))
        said = "".join(word + (next(ends) if place % 5 == 4 else "") for place, word in enumerate(words))
        return said.rstrip(_CLAUSE_ENDS) + "。"


def _write_model(folder: Path, shape: dict[str, Any]) -> None:
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    config = Qwen2Config(
        **shape,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=True,
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).save_pretrained(
        folder, max_shard_size="100GB"
    )


def _learnt_texts() -> Iterator[str]:
    """Rows with what the template writes around them: a real vocabulary has those words, too."""
    for row in generated_rows(_LEARNT_FROM):
        yield f"system\n{_SYSTEM}\nuser\n{row['instruction']}\n{row['input']}\nassistant\n{row['output']}\n"


def _tokenizer() -> PreTrainedTokenizerFast:
    built = Tokenizer(models.BPE())
    built.normalizer = normalizers.NFC()
    split = pre_tokenizers.Split(Regex(QWEN2_REGEX), behavior="isolated")
    bytes_of = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    built.pre_tokenizer = pre_tokenizers.Sequence([split, bytes_of])
    built.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    built.train_from_iterator(_learnt_texts(), trainer)
    marks = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
    built.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in marks])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=built,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=32_768,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = _TEMPLATE
    return tokenizer
