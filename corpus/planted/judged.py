"""Rows with a judgement: preferences, marks, scores, classes."""

from __future__ import annotations

from corpus.planted.base import Fault, File, kto, labelled, pair, roles

PAIRS = File(
    "pairs.jsonl",
    "jsonl",
    "preference",
    (
        Fault(
            "both answers the same",
            "DATA-143",
            "rejected",
            pair("怎样煮面？", "水开后下面。", "水开后下面。"),
            pair("怎样煮面？", "水开后下面。", "不知道。"),
        ),
        Fault(
            "empty wanted answer",
            "DATA-105",
            "chosen",
            pair("怎样泡茶？", "", "随便泡。"),
            pair("怎样泡茶？", "水温八十度，泡两分钟。", "随便泡。"),
        ),
        Fault(
            "conversations that share no question",
            "DATA-150",
            "chosen",
            {
                "chosen": roles(("user", "怎样种花？"), ("assistant", "先松土。"))["messages"],
                "rejected": roles(("user", "怎样养鱼？"), ("assistant", "先换水。"))["messages"],
            },
            {
                "chosen": roles(("user", "怎样种花？"), ("assistant", "先松土。"))["messages"],
                "rejected": roles(("user", "怎样种花？"), ("assistant", "不用管。"))["messages"],
            },
        ),
        Fault(
            "HTML in the unwanted answer",
            "DATA-303",
            "rejected",
            pair("怎样折纸？", "先对折。", "<div>不会</div>"),
            pair("怎样折纸？", "先对折。", "不会做。"),
        ),
        Fault(
            "the two answers the other way round",
            "DATA-320",
            "prompt",
            pair("怎样写信？", "随便写。", "先写称呼。"),
            None,
            before=pair("怎样写信？", "先写称呼。", "随便写。"),
        ),
    ),
)

KTO = File(
    "kto.jsonl",
    "jsonl",
    "kto",
    (
        Fault(
            "a label that is neither true nor false",
            "DATA-144",
            "label",
            kto("怎样跑步？", "先热身。", "maybe"),
            kto("怎样跑步？", "先热身。", True),
        ),
        Fault(
            "true as a text",
            "DATA-318",
            "label",
            kto("怎样游泳？", "先学换气。", "true"),
            kto("怎样游泳？", "先学换气。", True),
        ),
        Fault(
            "the same answer with both labels",
            "DATA-320",
            "prompt",
            kto("怎样滑雪？", "先学摔倒。", False),
            None,
            before=kto("怎样滑雪？", "先学摔倒。", True),
        ),
        Fault(
            "empty answer",
            "DATA-105",
            "completion",
            kto("怎样登山？", "", False),
            kto("怎样登山？", "先看天气。", True),
        ),
    ),
)

RANKING = File(
    "ranking.json",
    "json",
    "ranking",
    (
        Fault(
            "fewer scores than answers",
            "DATA-145",
            "answers",
            {"question": "怎样早起？", "answers": ["早睡。", "不知道。"], "scores": [0.9]},
            {"question": "怎样早起？", "answers": ["早睡。", "不知道。"], "scores": [0.9, 0.1]},
        ),
        Fault(
            "all scores equal",
            "DATA-145",
            "answers",
            {"question": "怎样省钱？", "answers": ["记账。", "不花。"], "scores": [0.5, 0.5]},
            {"question": "怎样省钱？", "answers": ["记账。", "不花。"], "scores": [0.8, 0.2]},
        ),
        Fault(
            "a score as a text",
            "DATA-145",
            "answers",
            {"question": "怎样健身？", "answers": ["坚持。", "躺着。"], "scores": ["0.9", "0.1"]},
            {"question": "怎样健身？", "answers": ["坚持。", "躺着。"], "scores": [0.9, 0.1]},
        ),
    ),
)

LABELS = File(
    "labels.jsonl",
    "jsonl",
    "classification",
    (
        Fault(
            "empty label",
            "DATA-148",
            "label",
            labelled("这家店服务很好，下次还来。", " "),
            labelled("这家店服务很好，下次还来。", 1),
        ),
        Fault(
            "a number as a text",
            "DATA-318",
            "label",
            labelled("包装破了，客服也不理人。", "0"),
            labelled("包装破了，客服也不理人。", 0),
        ),
        Fault(
            "the same text with another label",
            "DATA-320",
            "text",
            labelled("物流很快，第二天就到了。", 0),
            None,
            before=labelled("物流很快，第二天就到了。", 1),
        ),
        Fault("empty text", "DATA-110", "text", labelled("", 1), labelled("颜色和照片一样，满意。", 1)),
    ),
)
