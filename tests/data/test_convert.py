"""Seed 004's converters: our bytes against those of the code as it is printed there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.data.convert import convert_conversations, convert_to_text_format
from mozhu.kernel.errors import BadJson, MissingFile, UnconvertibleRows


# The seed's code as printed (lines 291-311 and 333-358).
def seed_convert_to_text_format(input_file, output_file):  # type: ignore[no-untyped-def]
    with open(input_file, encoding="utf-8") as f:
        data = json.load(f)

    result = []
    for item in data:
        # 构建格式：指令 + 输入（如果有）+ 输出
        text = f"指令：{item['instruction']}\n"
        if item["input"]:
            text += f"输入：{item['input']}\n"
        text += f"输出：{item['output']}"

        result.append({"text": text})

    with open(output_file, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=2)


def seed_convert_conversations(input_file, output_file):  # type: ignore[no-untyped-def]
    with open(input_file, encoding="utf-8") as f:
        data = json.load(f)

    result = []
    for item in data:
        conversation = ""
        for msg in item["messages"]:
            role = msg["role"]
            content = msg["content"]
            if role == "system":
                conversation += f"系统：{content}\n\n"
            elif role == "user":
                conversation += f"用户：{content}\n\n"
            elif role == "assistant":
                conversation += f"助手：{content}\n\n"

        result.append({"text": conversation.strip()})

    with open(output_file, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=2)


ALPACA = [
    {"instruction": "解释量子力学的基本原理", "input": "", "output": '量子力学是…\n第二行 "引号" \\ / 😀'},
    {"instruction": "  翻译 {x}", "input": "hello\tworld\u2028", "output": "你好，世界 "},
    {"instruction": "几", "input": 0, "output": 42},
    {"instruction": "几", "input": 1.5, "output": ""},
]
CHATS: list[Any] = [
    {
        "messages": [
            {"role": "system", "content": "你是一个有用的AI助手。"},
            {"role": "user", "content": "什么是机器学习？\n"},
            {"role": "assistant", "content": "机器学习是人工智能的一个分支…"},
            {"role": "tool", "content": "left out"},
            {"role": "user", "content": " 还有呢 "},
            {"role": "assistant", "content": ""},
        ]
    },
    {"messages": []},
]


@pytest.mark.parametrize("rows", [ALPACA, []])
def test_alpaca_rows_become_the_seeds_bytes(write: Any, tmp_path: Path, rows: list[Any]) -> None:
    source = write("alpaca_data.json", rows)
    seed_convert_to_text_format(source, tmp_path / "seed.json")
    convert_to_text_format(str(source), str(tmp_path / "ours.json"))
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "seed.json").read_bytes()


@pytest.mark.parametrize("rows", [CHATS, []])
def test_conversations_become_the_seeds_bytes(write: Any, tmp_path: Path, rows: list[Any]) -> None:
    source = write("conversations.json", rows)
    seed_convert_conversations(source, tmp_path / "seed.json")
    convert_conversations(source, tmp_path / "ours.json")
    assert (tmp_path / "ours.json").read_bytes() == (tmp_path / "seed.json").read_bytes()


def test_all_bad_rows_are_named_and_nothing_is_written(write: Any, tmp_path: Path) -> None:
    source = write("a.json", [{"instruction": "x"}, 5, {"instruction": None, "output": "y"}, ALPACA[0]])
    with pytest.raises(UnconvertibleRows) as caught:
        convert_to_text_format(source, tmp_path / "out.json")
    assert caught.value.params["count"] == 3
    for code in ("DATA-103", "DATA-102", "DATA-104"):
        assert code in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_a_missing_or_broken_file_is_a_clear_error(write: Any, tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        convert_to_text_format("absent.json", tmp_path / "out.json")
    with pytest.raises(BadJson):
        convert_conversations(write("b.json", '[{"messages": []'), tmp_path / "out.json")
