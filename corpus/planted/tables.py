"""Tables: CSV, TSV, a workbook, Parquet."""

from __future__ import annotations

from corpus.planted.base import Fault, File, Raw, table

TABLE = File(
    "faq.csv",
    "csv",
    "prompt",
    (
        Fault(
            "one cell too many",
            "DATA-111",
            "",
            Raw("怎样退货？,在订单页申请,七天内有效\n".encode("gb18030")),
            table("怎样退货？", "在订单页申请,七天内有效"),
        ),
        Fault(
            "a quote that is not closed",
            "DATA-112",
            "",
            Raw('"运费多少？,满百包邮\n'.encode("gb18030")),
            table("运费多少？", "满百包邮。"),
        ),
        Fault(
            "empty question",
            "DATA-106",
            "question",
            table("  ", "一般三天内送到。"),
            table("几天送到？", "一般三天内送到。"),
        ),
        Fault(
            "empty answer after a cell of two lines",
            "DATA-105",
            "answer",
            table("能开发票吗？\n（电子的）", ""),
            table("能开发票吗？\n（电子的）", "可以，在订单里下载。"),
        ),
        Fault(
            "a damaged character",
            "DATA-114",
            "answer",
            Raw("怎样换货？,联系".encode("gb18030") + b"\xff" + "客服换货。\n".encode("gb18030")),
            table("怎样换货？", "联系客服换货。"),
        ),
        Fault(
            "HTML in a cell",
            "DATA-303",
            "answer",
            table("营业时间？", "<b>九点</b>到十八点"),
            table("营业时间？", "九点到十八点"),
        ),
    ),
    encoding="gb18030",
)

TWICE = File(
    "twice.tsv",
    "tsv",
    "prompt",
    (
        Fault(
            "a column named twice",
            "DATA-113",
            "question",
            Raw(b"question\tquestion\n"),
            Raw(b"question\tanswer\n"),
        ),
    ),
    header="own",
)

SHEET = File(
    "sheet.xlsx",
    "xlsx",
    "prompt",
    (
        Fault(
            "empty answer",
            "DATA-105",
            "answer",
            table("会员有什么好处？", ""),
            table("会员有什么好处？", "积分翻倍，生日有礼。"),
        ),
        Fault(
            "invisible character",
            "DATA-305",
            "question",
            table("怎样注\u200b册？", "填写手机号即可。"),
            table("怎样注册？", "填写手机号即可。"),
        ),
        Fault(
            "e-mail address",
            "DATA-314",
            "answer",
            table("人工客服？", "写信给 li.si@shop-mail.cn"),
            table("人工客服？", "工作日九点后在线。"),
        ),
    ),
)

COLUMNS = File(
    "columns.parquet",
    "parquet",
    "prompt",
    (
        Fault(
            "null as the answer",
            "DATA-104",
            "completion",
            {"prompt": "彩虹有几种颜色？", "completion": None},
            {"prompt": "彩虹有几种颜色？", "completion": "通常说有七种。"},
        ),
        Fault(
            "empty question",
            "DATA-106",
            "prompt",
            {"prompt": "", "completion": "因为散射。"},
            {"prompt": "天空为什么是蓝色的？", "completion": "因为散射。"},
        ),
        Fault(
            "mojibake",
            "DATA-307",
            "completion",
            {"prompt": "乱码长什么样子？", "completion": "看起来像锟斤拷锟斤拷。"},
            {"prompt": "乱码长什么样子？", "completion": "看起来像读不懂的汉字。"},
        ),
    ),
)
