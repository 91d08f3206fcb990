"""The fixed conversations on which every certificate is measured, in Chinese and English.

They hold what breaks templates and tokenizers: several turns, a system prompt, full-width punctuation, code,
numbers, emoji, blank lines and blanks at the ends. Changing one changes what certificates can be compared:
add at the end only.
"""

from __future__ import annotations

Conversation = list[dict[str, str]]


def _turns(*texts: str, system: str | None = None) -> Conversation:
    first = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    return first + [{"role": roles[index % 2], "content": content} for index, content in enumerate(texts)]


FIXED: tuple[Conversation, ...] = (
    _turns("你好，请介绍一下你自己。", "你好！我是一个语言模型，可以回答问题、写作和翻译。"),
    _turns("Hello, who are you?", "I am a language model. I can answer questions, write and translate."),
    _turns("糖尿病患者怎样控制饮食？", "少吃糖和精制主食，多吃蔬菜；定时定量，并听从医生的建议。"),
    _turns("What is the capital of France?", "Paris.", "And of Japan?", "Tokyo."),
    _turns(
        "用一句话解释“梯度下降”。",
        "沿着损失下降最快的方向，一小步一小步地调整参数。",
        system="你是一位耐心的老师。",
    ),
    _turns(
        "Write a function that adds two numbers.",
        "def add(a, b):\n    return a + b\n",
        system="Answer in code.",
    ),
    _turns("3.14 × 2 = ?  请写出过程 🙂", "3.14 × 2 = 6.28，四舍五入保留两位小数。"),
    _turns("  第一行\n\n第二行\ttab  ", "好的。\n\n- 第一行\n- 第二行"),
)
