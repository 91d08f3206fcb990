"""Faults that several rows make together, and a file that ends too early."""

from __future__ import annotations

from corpus.planted.base import Fault, File, Raw, alpaca

COPIES = File(
    "copies.jsonl",
    "jsonl",
    "alpaca",
    (
        Fault(
            "the same row again",
            "DATA-321",
            "instruction",
            alpaca("大熊猫吃什么？", "大熊猫主要吃竹子，每天能吃掉几十斤。"),
            None,
            before=alpaca("大熊猫吃什么？", "大熊猫主要吃竹子，每天能吃掉几十斤。"),
        ),
        Fault(
            "the same row lightly edited",
            "DATA-322",
            "instruction",
            alpaca("东北虎生活在哪里？", "东北虎生活在极冷的森林里，是体形最大的猫科动物!"),
            None,
            before=alpaca("东北虎生活在哪里？", "东北虎生活在寒冷的森林里，是体形最大的猫科动物。"),
        ),
        Fault(
            "the same question, another answer",
            "DATA-319",
            "instruction",
            alpaca("丹顶鹤在哪里过冬？", "全都留在东北，哪里也不去。"),
            None,
            before=alpaca("丹顶鹤在哪里过冬？", "多在江苏盐城的湿地过冬。"),
        ),
        Fault(
            "a question of the benchmark",
            "DATA-324",
            "instruction",
            alpaca("金丝猴为什么有金色的长毛？", "为了在高山上保暖，也便于同类相认。"),
            alpaca("猕猴为什么脸红？", "因为脸上的毛细血管很多。"),
        ),
    ),
)

HELD_OUT = File(
    "held_out_validation.jsonl",
    "jsonl",
    "alpaca",
    (
        Fault(
            "a row of the training part",
            "DATA-323",
            "instruction",
            alpaca("大熊猫吃什么？", "大熊猫主要吃竹子，每天能吃掉几十斤。"),
            alpaca("小熊猫吃什么？", "小熊猫吃竹笋、果实和昆虫。"),
        ),
    ),
    plain=2,
)

BROKEN = File(
    "broken.json",
    "json",
    "alpaca",
    (
        Fault(
            "an array that ends in the middle",
            "FILE-004",
            "",
            Raw(b'{"instruction": "\xe6\x98\x9f", "output": '),
            alpaca("星星为什么眨眼？", "因为大气在抖动。"),
        ),
    ),
    plain=2,
    header="cut",
)

WORDS = {
    "refusals.txt": "# refusals\n作为一个人工智能语言模型\nas an AI language model\n",
    "insults.txt": "大笨蛋\n",
}

BENCHMARK = [alpaca("金丝猴为什么有金色的长毛？", "评测用的标准答案：与高海拔的寒冷气候有关。")]
