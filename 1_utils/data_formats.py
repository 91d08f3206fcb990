"""Rows in other forms, under seed 004's names: question-and-answer rows and conversations as plain text.

数据格式转换：指令数据、对话数据转为纯文本；其它格式用 `mozhu data convert`。

    from data_formats import convert_conversations, convert_to_text_format

    convert_to_text_format("alpaca_data.json", "train.json")
"""

from __future__ import annotations

from mozhu import convert_conversations, convert_to_text_format

__all__ = ["convert_conversations", "convert_to_text_format"]
