"""A few conversations in Chinese and English, for tests that need rows and not meaning."""

from __future__ import annotations

from typing import Any

_PAIRS = (
    ("什么是高血压？", "高血压是指血压持续高于正常值，需要长期管理。"),
    ("How do I boil an egg?", "Put it into boiling water for eight minutes."),
    ("感冒了怎么办？", "多喝水，好好休息；发烧超过三天请看医生。"),
    ("What is 2 + 3?", "2 + 3 = 5."),
    ("请用一句话介绍你自己。", "我是一个小小的助手，回答简单的问题。"),
    ("Name three colours.", "Red, green and blue."),
    ("糖尿病患者可以吃水果吗？", "可以，适量吃含糖较低的水果，例如苹果和柚子。"),
    ("Translate 'good morning' into Chinese.", "早上好。"),
)
_SYSTEM = "回答要简短。Answer briefly."
# What the tiny tokenizers learn their pieces from.
SENTENCES = tuple(text for pair in _PAIRS for text in pair) + (
    _SYSTEM,
    "You are a helpful assistant. 你是一个有用的助手。",
    "The quick brown fox jumps over the lazy dog.",
    "模型训练完成后，可以合并、导出并部署。",
)


def tiny_rows(count: int = 8, *, turns: int = 1) -> list[dict[str, Any]]:
    """``count`` prepared rows (records.md) of ``turns`` questions each; every fourth has a system message.

    The same arguments give the same rows; no two rows are equal.
    """
    return [_row(number, turns) for number in range(count)]


def _row(number: int, turns: int) -> dict[str, Any]:
    messages = [{"role": "system", "content": _SYSTEM}] if number % 4 == 3 else []
    for turn in range(turns):
        question, answer = _PAIRS[(number + turn) % len(_PAIRS)]
        again = number // len(_PAIRS)
        messages.append({"role": "user", "content": f"{question} ({again})" if again else question})
        messages.append({"role": "assistant", "content": answer})
    return {
        "row_id": f"tiny:v1#{number + 1}",
        "messages": messages,
        "source": {"file": "tiny.jsonl", "line": number + 1},
    }
