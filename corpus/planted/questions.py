"""Questions and answers: shapes, texts, private data."""

from __future__ import annotations

from corpus.planted.base import Fault, File, Raw, alpaca, line

_SECRET = "sk-proj-" + "Zr8Kd2Qm7Yt4Wc9Lp3Vx6Bn1"

_ID = "110105" + "19491231" + "002X"

_CARD = "4539 5787" + " 6362 1486"

ALPACA = File(
    "alpaca.json",
    "json",
    "alpaca",
    (
        Fault(
            "no answer field",
            "DATA-103",
            "output",
            {"instruction": "蜜蜂为什么跳舞？"},
            alpaca("蜜蜂为什么跳舞？", "为了告诉同伴花在哪里。"),
        ),
        Fault(
            "a number as the answer",
            "DATA-104",
            "output",
            alpaca("六乘以七等于几？", 42),
            alpaca("六乘以七等于几？", "等于 42。"),
        ),
        Fault(
            "empty answer",
            "DATA-105",
            "output",
            alpaca("鲸鱼是鱼吗？", "  \n"),
            alpaca("鲸鱼是鱼吗？", "不是，鲸鱼是哺乳动物。"),
        ),
        Fault(
            "empty question",
            "DATA-106",
            "instruction",
            alpaca("", "潮汐由月球的引力引起。"),
            alpaca("潮汐是怎么来的？", "潮汐由月球的引力引起。"),
        ),
        Fault(
            "history that is no list of pairs",
            "DATA-104",
            "history[0]",
            alpaca("那二月呢？", "平年二十八天，闰年二十九天。", history=[["一月有几天？"]]),
            alpaca("那二月呢？", "平年二十八天，闰年二十九天。", history=[["一月有几天？", "三十一天。"]]),
        ),
        Fault(
            "empty answer in the history",
            "DATA-105",
            "history[0][1]",
            alpaca("那南半球呢？", "南半球的季节正好相反。", history=[["北半球七月是什么季节？", ""]]),
            alpaca("那南半球呢？", "南半球的季节正好相反。", history=[["北半球七月是什么季节？", "夏季。"]]),
        ),
        Fault(
            "not an object",
            "DATA-102",
            "",
            "只有一句话，没有字段",
            alpaca("这是什么？", "一行有字段的数据。"),
        ),
        Fault(
            "preference row among questions and answers",
            "DATA-116",
            "chosen",
            {"instruction": "写一句问候", "input": "", "output": "", "chosen": "您好！", "rejected": "喂"},
            alpaca("写一句问候", "您好，很高兴见到您！"),
        ),
        Fault(
            "HTML tags",
            "DATA-303",
            "output",
            alpaca("介绍一下苏州", "<p>苏州是一座古城。</p><br/>园林很美。"),
            alpaca("介绍一下苏州", "苏州是一座古城。\n园林很美。"),
        ),
        Fault(
            "HTML entities in the question",
            "DATA-303",
            "instruction",
            alpaca("请解释&nbsp;&ldquo;守株待兔&rdquo;的意思", "比喻不努力而希望得到意外的收获。"),
            alpaca("请解释“守株待兔”的意思", "比喻不努力而希望得到意外的收获。"),
        ),
        Fault(
            "code fence not closed",
            "DATA-304",
            "output",
            alpaca("写一段循环", "代码如下：\n```python\nfor i in x:\n    print(i)\n这样就好。"),
            alpaca("写一段循环", "代码如下：\n```python\nfor i in x:\n    print(i)\n```\n这样就好。"),
        ),
        Fault(
            "zero-width space",
            "DATA-305",
            "output",
            alpaca("什么是春天？", "春\u200b天是一年的第一个季节，万物生长。"),
            alpaca("什么是春天？", "春天是一年的第一个季节，万物生长。"),
        ),
        Fault(
            "control character",
            "DATA-305",
            "input",
            {
                "instruction": "概括下面这句话",
                "input": "秋天\x08是收获的季节，天高气爽。",
                "output": "秋天收获，天气好。",
            },
            {
                "instruction": "概括下面这句话",
                "input": "秋天是收获的季节，天高气爽。",
                "output": "秋天收获，天气好。",
            },
        ),
        Fault(
            "line breaks escaped twice",
            "DATA-326",
            "output",
            alpaca("列出三种水果", "好的：\\n1. 苹果\\n2. 香蕉\\n3. 橙子"),
            alpaca("列出三种水果", "好的：\n1. 苹果\n2. 香蕉\n3. 橙子"),
        ),
    ),
)

LINES = File(
    "lines.jsonl",
    "jsonl",
    "alpaca",
    (
        Fault(
            "no valid JSON: a quote is missing",
            "DATA-101",
            "",
            line('{"instruction": "冰为什么浮在水上？, "output": "因为冰的密度比水小。"}'),
            alpaca("冰为什么浮在水上？", "因为冰的密度比水小。"),
        ),
        Fault(
            "no valid JSON: a comma after the object",
            "DATA-101",
            "",
            line('{"instruction": "云是什么？", "input": "", "output": "小水滴和冰晶。"},'),
            alpaca("云是什么？", "小水滴和冰晶。"),
        ),
        Fault(
            "one damaged byte",
            "DATA-114",
            "output",
            Raw(
                '{"instruction": "雾是什么？", "input": "", "output": "贴近'.encode()
                + b"\xe5\x9c"
                + '面的云。"}'.encode()
            ),
            alpaca("雾是什么？", "贴近地面的云。"),
        ),
        Fault(
            "half a character as an escape",
            "DATA-114",
            "output",
            line('{"instruction": "笑脸怎么写？", "input": "", "output": "\\ud83d 就是笑脸。"}'),
            alpaca("笑脸怎么写？", "😀 就是笑脸。"),
        ),
        Fault(
            "answer of one character",
            "DATA-301",
            "output",
            alpaca("猫会爬树吗？", "会"),
            alpaca("猫会爬树吗？", "会，而且爬得很好。"),
        ),
        Fault(
            "answer of 20,000 characters",
            "DATA-302",
            "output",
            alpaca("写一份长长的清单", "".join(f"第{n}项，" for n in range(3500))),
            alpaca("写一份长长的清单", "".join(f"第{n}项，" for n in range(20))),
        ),
        Fault(
            "characters lost in a conversion",
            "DATA-306",
            "output",
            alpaca("什么是冬天？", "冬天是最冷的\ufffd\ufffd节，北方常常下雪。"),
            alpaca("什么是冬天？", "冬天是最冷的季节，北方常常下雪。"),
        ),
        Fault(
            "UTF-8 read as Latin-1",
            "DATA-307",
            "output",
            alpaca(
                "Explain the word café in one sentence", "A cafÃ© is a small place where people drink coffee."
            ),
            alpaca(
                "Explain the word café in one sentence", "A café is a small place where people drink coffee."
            ),
        ),
        Fault(
            "UTF-8 read as GBK",
            "DATA-307",
            "output",
            alpaca("怎么打招呼比较好？", "浣犲ソ"),
            alpaca("怎么打招呼比较好？", "你好"),
        ),
        Fault(
            "traditional and simplified characters mixed",
            "DATA-308",
            "output",
            alpaca("介绍中国的历史", "中国的歷史很长，這是一个古老的国家。"),
            alpaca("介绍中国的历史", "中国的历史很长，这是一个古老的国家。"),
        ),
        Fault(
            "answer in another language",
            "DATA-309",
            "output",
            alpaca("太阳为什么是热的？", "The sun is hot because of nuclear fusion deep in its core."),
            alpaca("太阳为什么是热的？", "因为太阳的核心不断发生核聚变。"),
        ),
        Fault(
            "words of a third language",
            "DATA-325",
            "output",
            alpaca(
                "怎样学好数学？",
                "首先要理解概念，其次需要많은 연습，最后常常回顾做错的题目，并且请教老师和同学。",
            ),
            alpaca(
                "怎样学好数学？",
                "首先要理解概念，其次需要大量练习，最后常常回顾做错的题目，并且请教老师和同学。",
            ),
        ),
        Fault(
            "the same words over and over",
            "DATA-310",
            "output",
            alpaca("说说你的看法", "我觉得这个问题很有意思。" * 8),
            alpaca("说说你的看法", "我觉得这个问题很有意思，值得讨论。"),
        ),
        Fault(
            "refusal of the user's list",
            "DATA-316",
            "output",
            alpaca("能帮我订机票吗？", "很抱歉，作为一个人工智能语言模型，我做不到。"),
            alpaca("能帮我订机票吗？", "可以告诉您步骤：先选日期，再比较价格。"),
        ),
        Fault(
            "insult of the user's list",
            "DATA-316",
            "instruction",
            alpaca("你这个大笨蛋，几点了？", "现在是下午三点。"),
            alpaca("请问几点了？", "现在是下午三点。"),
        ),
    ),
)

PRIVATE = File(
    "private.jsonl.gz",
    "jsonl",
    "alpaca",
    (
        Fault(
            "Chinese identity number",
            "DATA-311",
            "output",
            alpaca("他的证件号是什么？", f"身份证号是{_ID}，请核对。"),
            alpaca("他的证件号是什么？", "身份证号请在窗口核对。"),
        ),
        Fault(
            "mobile number",
            "DATA-312",
            "instruction",
            alpaca("请打电话 138 1234 5678 找王先生", "好的，我会尽快与他联系。"),
            alpaca("请打电话找王先生", "好的，我会尽快与他联系。"),
        ),
        Fault(
            "two numbers, the second a mobile",
            "DATA-312",
            "output",
            alpaca("谁来取件？", "单号 20240101 13912345678 会来取件。"),
            alpaca("谁来取件？", "单号 20240101 的收件人会来取件。"),
        ),
        Fault(
            "bank card",
            "DATA-313",
            "output",
            alpaca("退款退到哪里？", f"退到卡 {_CARD} 上。"),
            alpaca("退款退到哪里？", "退到原来付款的卡上。"),
        ),
        Fault(
            "e-mail address",
            "DATA-314",
            "output",
            alpaca("怎么投稿？", "请写信到 zhang.san@corp-mail.cn 投稿。"),
            alpaca("怎么投稿？", "请写信到 name@example.com 投稿。"),
        ),
        Fault(
            "API key",
            "DATA-315",
            "output",
            alpaca("怎样调用接口？", f"请求头里写 {_SECRET} 即可。"),
            alpaca("怎样调用接口？", "请求头里写上您自己的密钥即可。"),
        ),
        Fault(
            "password in an address",
            "DATA-315",
            "input",
            {
                "instruction": "解释这个地址的各部分",
                "input": "mysql://root:Hunter2024x@10.0.0.3/db",
                "output": "依次为协议、用户、口令、主机与库名。",
            },
            {
                "instruction": "解释这个地址的各部分",
                "input": "mysql://10.0.0.3/db",
                "output": "依次为协议、主机与库名。",
            },
        ),
        Fault(
            "token in an address",
            "DATA-315",
            "output",
            alpaca(
                "机器人的地址？",
                "https://oapi.dingtalk.com/robot/send?access_token=" + "0f3a9c77b1e24d55a6c8e3f90b12d44e",
            ),
            alpaca("机器人的地址？", "在群设置里可以复制机器人的地址。"),
        ),
    ),
)

PLAIN_TEXT = File(
    "text.jsonl",
    "jsonl",
    "text",
    (
        Fault("empty text", "DATA-110", "text", {"text": "\n "}, {"text": "长城全长两万多公里。"}),
        Fault(
            "a list as the text",
            "DATA-104",
            "text",
            {"text": ["黄河", "长江"]},
            {"text": "黄河与长江都发源于青藏高原。"},
        ),
        Fault(
            "identity number",
            "DATA-311",
            "text",
            {"text": f"登记人证件 {_ID} 已核对。"},
            {"text": "登记人的证件已核对。"},
        ),
    ),
)
