"""Conversations: who speaks when, tools, images."""

from __future__ import annotations

from typing import Any

from corpus.planted.base import Fault, File, Row, roles, sharegpt, talk

_WEATHER = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "天气预报",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}


def _call(city: str, days: Any, answer: str) -> Row:
    call = {"type": "function", "function": {"name": "forecast", "arguments": {"city": city, "days": days}}}
    messages = [
        {"role": "user", "content": f"{city}未来几天的天气怎么样？"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": '{"sky": "晴"}'},
        {"role": "assistant", "content": answer},
    ]
    return {"messages": messages, "tools": [_WEATHER]}


MESSAGES = File(
    "messages.jsonl",
    "jsonl",
    "messages",
    (
        Fault(
            "two questions in a row",
            "DATA-108",
            "messages[1]",
            roles(("user", "在吗？"), ("user", "帮我看看这句话"), ("assistant", "好的，请发来。")),
            roles(
                ("user", "在吗？"),
                ("assistant", "在的。"),
                ("user", "帮我看看这句话"),
                ("assistant", "好的，请发来。"),
            ),
        ),
        Fault(
            "the assistant begins",
            "DATA-108",
            "messages[0]",
            roles(
                ("assistant", "您好，需要什么帮助？"), ("user", "查询余额"), ("assistant", "请登录后查看。")
            ),
            roles(("user", "查询余额"), ("assistant", "请登录后查看。")),
        ),
        Fault(
            "a system message in the middle",
            "DATA-108",
            "messages[2]",
            roles(
                ("user", "讲个笑话"),
                ("assistant", "从前有只小鸭子。"),
                ("system", "简短一些"),
                ("user", "再讲一个"),
                ("assistant", "好。"),
            ),
            roles(
                ("system", "简短一些"), ("user", "讲个笑话"), ("assistant", "从前有只小鸭子，它在找妈妈。")
            ),
        ),
        Fault(
            "unknown role",
            "DATA-107",
            "messages[1].role",
            roles(("user", "今天周几？"), ("narrator", "今天周三。")),
            roles(("user", "今天周几？"), ("assistant", "今天周三。")),
        ),
        Fault(
            "no answer at all",
            "DATA-109",
            "messages",
            roles(("user", "有人吗？")),
            roles(("user", "有人吗？"), ("assistant", "有的，请讲。")),
        ),
        Fault(
            "the conversation ends with a question",
            "DATA-118",
            "messages[2]",
            talk("推荐一本书", "《小王子》很好。", "还有别的吗？"),
            talk("推荐一本书", "《小王子》很好。"),
        ),
        Fault(
            "empty answer in a later turn",
            "DATA-105",
            "messages[3].content",
            talk("北极有企鹅吗？", "没有，企鹅在南极。", "那北极熊呢？", " "),
            talk("北极有企鹅吗？", "没有，企鹅在南极。", "那北极熊呢？", "北极熊在北极。"),
        ),
        Fault(
            "arguments that are no JSON",
            "DATA-117",
            "messages[1].tool_calls",
            roles(("user", "查一下库存"))
            | {
                "messages": [
                    {"role": "user", "content": "查一下库存"},
                    {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [
                            {"type": "function", "function": {"name": "stock", "arguments": "{not json"}}
                        ],
                    },
                    {"role": "tool", "content": "3"},
                    {"role": "assistant", "content": "还有三件。"},
                ]
            },
            talk("查一下库存", "请告诉我货号。"),
        ),
        Fault(
            "a number given to a tool as text",
            "DATA-318",
            "messages[1].tool_calls",
            _call("昆明", "3", "昆明未来三天都是晴天。"),
            _call("昆明", 3, "昆明未来三天都是晴天。"),
        ),
        Fault(
            "tools that are no JSON",
            "DATA-117",
            "tools",
            talk("算一下面积", "长乘以宽，一共十二平方米。", tools="[{name: area}]"),
            talk("算一下面积", "长乘以宽，一共十二平方米。"),
        ),
    ),
)

SHAREGPT = File(
    "sharegpt.json",
    "json",
    "sharegpt",
    (
        Fault(
            "unknown speaker",
            "DATA-107",
            "conversations[1].from",
            sharegpt(("human", "会下雪吗？"), ("robot", "明天会下雪。")),
            sharegpt(("human", "会下雪吗？"), ("gpt", "明天会下雪。")),
        ),
        Fault(
            "empty answer",
            "DATA-105",
            "conversations[1].value",
            sharegpt(("human", "风是怎么形成的？"), ("gpt", "")),
            sharegpt(("human", "风是怎么形成的？"), ("gpt", "空气从高压流向低压。")),
        ),
        Fault(
            "two answers in a row",
            "DATA-108",
            "conversations[2]",
            sharegpt(("human", "介绍泰山"), ("gpt", "泰山在山东。"), ("gpt", "它是五岳之首。")),
            sharegpt(("human", "介绍泰山"), ("gpt", "泰山在山东，是五岳之首。")),
        ),
        Fault(
            "call that is no JSON",
            "DATA-117",
            "conversations[1].value",
            sharegpt(
                ("human", "查汇率"),
                ("function_call", "rate(USD)"),
                ("observation", "7.1"),
                ("gpt", "一美元约七元。"),
            ),
            sharegpt(("human", "查汇率"), ("gpt", "一美元约七元，以银行公布为准。")),
        ),
    ),
)

PICTURES = File(
    "pictures.json",
    "json",
    "messages",
    (
        Fault(
            "image that is not there",
            "DATA-140",
            "images[0]",
            talk("<image>图里有什么？", "一只红色的杯子。", images=["images/absent.png"]),
            talk("<image>图里有什么？", "一只红色的杯子。", images=["images/one.png"]),
        ),
        Fault(
            "fewer marks than images",
            "DATA-141",
            "images",
            talk("<image>比较两张图", "第二张更亮。", images=["images/one.png", "images/two.png"]),
            talk("<image><image>比较两张图", "第二张更亮。", images=["images/one.png", "images/two.png"]),
        ),
        Fault(
            "image on the net",
            "DATA-142",
            "images[0]",
            talk("<image>这是哪里？", "一片海滩。", images=["https://example.com/a.png"]),
            talk("<image>这是哪里？", "一片海滩。", images=["images/two.png"]),
        ),
        Fault(
            "video",
            "DATA-149",
            "videos",
            talk("<video>发生了什么？", "有人在跑步。", videos=["a.mp4"]),
            talk("发生了什么？", "有人在跑步。"),
        ),
    ),
    images=("one.png", "two.png"),
)
