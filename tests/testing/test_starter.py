"""The starter model that ships with the package: its files, its tokenizer and a few of its answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

STARTER = Path(__file__).resolve().parents[2] / "src" / "mozhu" / "testing" / "starter"
MOST_BYTES = 8_000_000
PUNCTUATION = "，。！？、；：“”‘’（）《》【】…—"
MIXED = [
    "你好，世界！Hello, world! 12345 + 67 = 67,958",
    "  多个   空格\t制表\n\n换行\r\n结束  ",
    "don't we'll I'm 'quoted' \"twice\"",
    "生僻字：龘靐齉爩，繁體：臺灣、語言；日本語カタカナ；한국어",
    "emoji 😀👨‍👩‍👧‍👦 é e\u0301 ñ Ωμέγα Привет",
    "<|im_start|>user\n问题<|im_end|>\n<|im_start|>assistant\n",
    "def f(x):\n    return {'a': [1, 2.5e-3]}  # 注释",
]
QUESTIONS = [
    ("法国的首都是哪里？", "法国的首都是巴黎。"),
    ("天空是什么颜色？", "天空是蓝色的。"),
    ("3加5等于几？", "3加5等于8。"),
    ("狗是什么？", "狗是一种动物。"),
    ("你叫什么名字？", "我叫模铸起步模型。"),
    ("What is the capital of Japan?", "The capital of Japan is Tokyo."),
    ("What is the opposite of hot?", "The opposite of hot is cold."),
    ("Who are you?", "I am Mozhu starter, a very small chat model."),
]


def _json(name: str) -> dict[str, Any]:
    return json.loads((STARTER / name).read_text(encoding="utf-8"))


def _common_characters() -> list[str]:
    """GB2312 level 1: rows 0xB0 to 0xD7."""
    raw = (bytes([row, cell]) for row in range(0xB0, 0xD8) for cell in range(0xA1, 0xFF))
    return [char for char in (pair.decode("gb2312", errors="ignore") for pair in raw) if char]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return transformers.AutoTokenizer.from_pretrained(STARTER, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    return transformers.AutoModelForCausalLM.from_pretrained(STARTER, local_files_only=True).eval()


def _answer(model: Any, tokenizer: Any, messages: list[dict[str, str]], limit: int = 40) -> tuple[str, bool]:
    """The greedy answer, and whether it ended by itself before ``limit`` tokens."""
    prompt = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    with torch.inference_mode():
        made = model.generate(**inputs, max_new_tokens=limit, do_sample=False)[
            0, inputs["input_ids"].shape[1] :
        ]
    stopped = made[-1].item() == tokenizer.eos_token_id
    return tokenizer.decode(made, skip_special_tokens=True), stopped


def test_folder_is_small_and_complete() -> None:
    names = {path.name for path in STARTER.iterdir()}
    assert {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "README.md",
    } <= names
    assert sum(path.stat().st_size for path in STARTER.iterdir()) <= MOST_BYTES


def test_architecture(model: Any) -> None:
    config = model.config
    assert type(model).__name__ == "Qwen2ForCausalLM" and config.model_type == "qwen2"
    assert config.hidden_size % 256 == 0 and config.intermediate_size % 256 == 0
    assert config.tie_word_embeddings and config.max_position_embeddings >= 2048
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_full_context_gives_finite_scores(model: Any) -> None:
    ids = torch.arange(2048).remainder(model.config.vocab_size)[None]
    with torch.inference_mode():
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
        assert torch.isfinite(model.lm_head(hidden[:, -8:])).all()


def test_common_characters_are_one_token_each(tokenizer: Any) -> None:
    characters = _common_characters()
    assert len(characters) == 3755
    rows = tokenizer(characters + list(PUNCTUATION), add_special_tokens=False)["input_ids"]
    assert [row for row in rows if len(row) != 1] == []
    joined = "".join(characters[::7])
    assert len(tokenizer.encode(joined, add_special_tokens=False)) == len(joined)


def test_auto_tokenizer_keeps_the_ids_of_the_file(tokenizer: Any) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    raw = tokenizers.Tokenizer.from_file(str(STARTER / "tokenizer.json"))
    assert len(tokenizer) == raw.get_vocab_size() == _json("config.json")["vocab_size"]
    for text in MIXED:
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert ids == raw.encode(text, add_special_tokens=False).ids
        normal = raw.normalizer.normalize_str(text)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == normal


def test_end_token_is_the_same_everywhere(tokenizer: Any) -> None:
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert _json("config.json")["eos_token_id"] == end
    assert _json("generation_config.json")["eos_token_id"] == end
    assert _json("tokenizer_config.json")["eos_token"] == "<|im_end|>"
    assert tokenizer.eos_token_id == end
    pad = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert tokenizer.pad_token_id == _json("config.json")["pad_token_id"] == pad != end


def test_chat_template(tokenizer: Any) -> None:
    messages = [
        {"role": "system", "content": "请用中文回答。"},
        {"role": "user", "content": "你好"},
        {"role": "assistant", "content": "你好！"},
    ]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    assert text == (
        "<|im_start|>system\n请用中文回答。<|im_end|>\n<|im_start|>user\n你好<|im_end|>\n"
        "<|im_start|>assistant\n你好！<|im_end|>\n"
    )
    prompt = tokenizer.apply_chat_template(messages[:2], tokenize=False, add_generation_prompt=True)
    assert text.startswith(prompt) and prompt.endswith("<|im_start|>assistant\n")
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    stored = (STARTER / "chat_template.jinja").read_text(encoding="utf-8")
    assert stored == _json("tokenizer_config.json")["chat_template"]


@pytest.mark.parametrize(("question", "expected"), QUESTIONS)
def test_answers(model: Any, tokenizer: Any, question: str, expected: str) -> None:
    assert _answer(model, tokenizer, [{"role": "user", "content": question}]) == (expected, True)


def test_second_turn_and_system_message(model: Any, tokenizer: Any) -> None:
    turns = [
        {"role": "user", "content": "我叫小明。"},
        {"role": "assistant", "content": "你好，小明！"},
        {"role": "user", "content": "我叫什么名字？"},
    ]
    assert _answer(model, tokenizer, turns) == ("你叫小明。", True)
    turns = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": "What color is snow?"},
    ]
    assert _answer(model, tokenizer, turns) == ("Snow is white.", True)
