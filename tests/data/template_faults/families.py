"""Six clean model folders, one for each family of chat templates, and the rows they are checked on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.testing.rows import tiny_rows
from mozhu.testing.tiny_models import make_tiny_model

# Family of templates -> arguments of the tiny model that has it.
FAMILIES: dict[str, dict[str, str]] = {
    "chatml": {"family": "qwen2", "template": "chatml"},
    "llama2": {"family": "llama", "tokenizer": "sentencepiece", "template": "llama2"},
    "llama3": {"family": "llama", "template": "llama3"},
    "gemma": {"family": "gemma2", "template": "gemma"},
    "mistral": {"family": "mistral", "template": "mistral"},
    "qwen3": {"family": "qwen3", "template": "qwen3"},
}
_NO_SYSTEM = {"gemma"}
_WITH_TOOLS = {"chatml", "llama3", "mistral", "qwen3"}


def make_clean(family: str, folder: Path) -> Path:
    """A whole tiny model of the family in ``folder``."""
    return make_tiny_model(folder, **FAMILIES[family])  # type: ignore[arg-type]


def rows_of(family: str) -> list[dict[str, Any]]:
    """Rows that the family's template accepts: one and three turns, system prompts, tools, awkward blanks."""
    rows = [*tiny_rows(8), *tiny_rows(4, turns=3), *_awkward()]
    rows += [_tool_row()] if family in _WITH_TOOLS else []
    rows += [_thinking_row()] if family == "qwen3" else []
    for number, row in enumerate(rows, start=1):
        row["row_id"] = f"{family}:v1#{number}"
        if family in _NO_SYSTEM:
            row["messages"] = [message for message in row["messages"] if message["role"] != "system"]
    return rows


def _talk(*texts: str) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": said} for at, said in enumerate(texts)]}


def _awkward() -> list[dict[str, Any]]:
    return [
        _talk("  indented?\n\nyes", "\n\nfrom a line break\n"),
        _talk("用\tTab 和 🙂", "第一行\r\n第二行\r\n", "还有？", "没有了。 "),
        _talk("Write <|code|> </s-like> {{ braces }}", "def f(x):\n    return x\n"),
    ]


def _tool_row() -> dict[str, Any]:
    def tool(name: str) -> dict[str, Any]:
        parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        function = {"name": name, "description": f"{name} of a city", "parameters": parameters}
        return {"type": "function", "function": function}

    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "北京", "at": "now"}}}
    messages = [
        {"role": "user", "content": "北京天气？"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"sky": "晴"}'},
        {"role": "assistant", "content": "晴。"},
    ]
    return {"messages": messages, "tools": [tool("weather"), tool("air")]}


def _thinking_row() -> dict[str, Any]:
    row = _talk("2 + 3?", "5", "3 + 3?", "6")
    row["messages"][1]["reasoning_content"] = "two and three"
    row["messages"][3]["reasoning_content"] = "three and three"
    return row
