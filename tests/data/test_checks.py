"""Every planted fault is found in its row and field, and clean rows are left alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mozhu
from mozhu.cli.main import main
from mozhu.engine.data.checks.languages import SIMPLIFIED, TRADITIONAL
from mozhu.engine.data.checks.pii import is_bank_card, is_identity_number
from mozhu.kernel.texts import LANGUAGES, page_texts
from mozhu.specs.data import CheckSpec
from mozhu.specs.fields import fields_of

Row = dict[str, Any]
Write = Callable[..., Path]

# Rows that are right, several of them close to what the checks look for.
CLEAN: list[tuple[str, str]] = [
    ("你好，你是谁？", "我是一个乐于助人的中文助手，可以回答问题、写作和翻译。"),
    ("What is the capital of France?", "The capital of France is Paris, a city on the river Seine."),
    ("把“早上好”翻译成英文。", "Good morning, everyone, and a very warm welcome to all of you here today."),
    ("如何在 Python 中打印？", "用下面的代码：\n```python\nprint('hello')\n```\n运行即可。"),
    ("HTML 里怎样换行？", "写 <br> 标签即可换行。"),
    ("比较 3 < 5 与 a<b 的写法", "两者都成立：3 < 5，且 a<b & b>c 时 a<b。"),
    ("订单号是多少？", "您的订单号是 2024010112345，预计三天内送达。"),
    ("圆周率是多少？", "约为 3.14159265358979323846，是一个无理数。"),
    ("怎样联系客服？", "请写信到 service@example.com，工作日内回复。"),
    (
        "画一个表格",
        "| 名称 | 数量 |\n| --- | --- |\n| 苹果 | 3 |\n| 香蕉 | 5 |\n--------------------------------------",
    ),
    ("给我一个表情", "👨‍👩‍👧 一家人 ❤️ 出门去玩，真开心。"),
    ("請介紹台灣的夜市。", "台灣的夜市很有名，有許多小吃與遊戲，晚上十分熱鬧。"),
    ("「東京」を説明してください", "東京は日本の首都で、国会や大学が多く、学生も会社員も集まる。"),
    ("Comment dit-on « café » ?", "On dit coffee; déjà vu, naïve et Ærø s'écrivent avec des accents."),
    ("这首儿歌怎么唱？", "两只老虎，两只老虎，跑得快，跑得快，一只没有眼睛，一只没有尾巴，真奇怪。"),
    ("sk 开头的词有哪些？", "例如 sky、skin、skate、ask-me-anything 都很常见。"),
    ("什么是密钥？", "形如 sk-xxxx 的字符串，不要告诉别人。"),
    ("浣熊吃什么？", "浣熊是杂食动物，吃水果、坚果、鱼和昆虫。"),
]
ID = "11010519491231002X"
# (code, field, question, answer)
FAULTS: list[tuple[str, str, str, str]] = [
    ("DATA-301", "output", "一个很短的回答是什么样？", "好"),
    ("DATA-302", "output", "写一篇很长的文章吧", "".join(f"{n}号、" for n in range(4000))),
    ("DATA-303", "output", "介绍一下苏州", "<p>苏州是一座古城。</p><br/>园林很美。"),
    ("DATA-303", "instruction", "请解释&nbsp;这个词的意思", "它表示一个空格，常常出现在网络文字中。"),
    ("DATA-304", "output", "写一段循环", "代码如下：\n```python\nfor i in x:\n    print(i)\n这样就好。"),
    ("DATA-305", "output", "什么是春天？", "春\u200b天是一年的第一个季节，万物生长。"),
    ("DATA-305", "instruction", "\ufeff什么是夏天？", "夏天是一年中最热的季节，白天很长。"),
    ("DATA-305", "output", "什么是秋天？", "秋天\x08是收获的季节，天高气爽。"),
    ("DATA-306", "output", "什么是冬天？", "冬天是最冷的\ufffd\ufffd节，北方常常下雪。"),
    ("DATA-307", "output", "Say hello in Chinese", "ä½\xa0å¥½ means hello, and it is said to everyone."),
    ("DATA-307", "output", "Explain the word cafe", "A cafÃ© is a small place where people drink coffee."),
    ("DATA-307", "output", "怎么打招呼比较好？", "浣犲ソ"),
    ("DATA-307", "output", "乱码长什么样子？", "看起来像锟斤拷锟斤拷这样的文字。"),
    ("DATA-308", "output", "介绍中国的历史", "中国的歷史很长，這是一个古老的国家。"),
    (
        "DATA-309",
        "output",
        "太阳为什么是热的？",
        "The sun is hot because of nuclear fusion deep in its core.",
    ),
    (
        "DATA-309",
        "output",
        "Why is the sea so salty?",
        "因为河流把岩石中的盐分带进了海里，海水蒸发后盐留了下来。",
    ),
    ("DATA-310", "output", "说说你的看法", "我觉得这个问题很有意思。" * 8),
    ("DATA-310", "output", "Tell me a story", "and then he went home again " * 6),
    ("DATA-311", "output", "他的证件号是什么？", f"他的身份证号是{ID}，请核对。"),
    ("DATA-312", "instruction", "请打电话 138 1234 5678 找王先生", "好的，我会尽快与他联系并转告您。"),
    ("DATA-312", "output", "电话是多少？", "电话是+86 13912345678，随时可以拨打。"),
    ("DATA-313", "output", "卡号是多少？", "卡号 6222 0212 3456 7890 128 请查收。"),
    ("DATA-314", "output", "邮箱是什么？", "请写信到 zhang.san@corp-mail.cn 与他联系。"),
    ("DATA-315", "output", "令牌给我看看", "密钥是 sk-proj-" + "aB3dE6gH9jK2mN5pQ8sT" + " 不要外传。"),
    ("DATA-315", "instruction", "这个 AKIA" + "IOSFODNN7EXAMPLE 是什么？", "它看起来是云服务的访问编号。"),
    ("DATA-315", "output", "Show me a private key", "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE…"),
    ("DATA-316", "output", "能帮我做这件事吗？", "很抱歉，作为一个人工智能语言模型，我做不到。"),
    ("DATA-105", "output", "没有回答的问题", "  "),
]
WORDS = "# refusals\n作为一个人工智能语言模型\nas an AI\n"


def alpaca(rows: list[tuple[str, str]]) -> list[Row]:
    return [{"instruction": question, "input": "", "output": answer} for question, answer in rows]


def write_lines(write: Write, name: str, rows: list[Row]) -> Path:
    return write(name, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def places(report: Any) -> set[tuple[str, int, str]]:
    return {(finding.code, finding.line, finding.field) for finding in report.findings}


def test_every_fault_is_located_and_clean_rows_stay_silent(write: Write) -> None:
    rows, expected = alpaca(CLEAN), set()
    for code, field, question, answer in FAULTS:
        rows.append({"instruction": question, "input": "", "output": answer})
        expected.add((code, len(rows), field))
    words = write("words.txt", WORDS)
    report = mozhu.check(write_lines(write, "rows.jsonl", rows), words=words)
    assert places(report) == expected
    assert report.rows == {"train": len(rows)}
    for finding in report.findings:
        assert finding.file == "rows.jsonl" and len(finding.excerpt) <= 81
        assert finding.reason and finding.fix


def test_a_clean_data_set_has_no_findings(write: Write) -> None:
    report = mozhu.check(write_lines(write, "rows.jsonl", alpaca(CLEAN)), words=write("w.txt", WORDS))
    assert report.findings == []
    assert mozhu.check("sample").findings == []


def test_private_data_and_keys_are_never_shown_whole(write: Write) -> None:
    secret = [fault for fault in FAULTS if fault[0] in {"DATA-311", "DATA-312", "DATA-313", "DATA-314"}]
    path = write_lines(write, "rows.jsonl", alpaca([fault[2:] for fault in secret]))
    shown = json.dumps(mozhu.check(path).to_json(), ensure_ascii=False)
    for hidden in (ID, "13912345678", "138 1234 5678", "6222 0212 3456", "zhang.san@"):
        assert hidden not in shown


def test_fields_carry_the_names_of_the_users_file(write: Write) -> None:
    rows = [
        {"instruction": "总结下文", "input": "电话 13912345678 可以联系他", "output": "可以用电话联系。"},
        {"instruction": "找出邮箱", "input": "信箱 li.si@corp.cn", "output": "在文中可以找到。"},
    ]
    report = mozhu.check(write_lines(write, "rows.jsonl", rows))
    assert places(report) == {("DATA-312", 1, "input"), ("DATA-314", 2, "input")}
    talk = [{"from": "human", "value": "你好呀"}, {"from": "gpt", "value": "<div>你好，请说</div>"}]
    report = mozhu.check(write_lines(write, "talk.jsonl", [{"conversations": talk}]))
    assert places(report) == {("DATA-303", 1, "conversations[1].value")}


def test_duplicates_inside_across_parts_and_against_benchmarks(write: Write) -> None:
    folder = Path("parts")
    first, second, third, fourth = (
        {"instruction": f"{word}是一种什么样的动物？请详细说明", "output": f"{word}{rest}"}
        for word, rest in (
            ("大熊猫", "生活在四川的竹林里，以竹子为食，十分可爱"),
            ("东北虎", "是体形最大的猫科动物，生活在寒冷的森林"),
            ("金丝猴", "有金色的长毛，成群生活在高山的树上面"),
            ("丹顶鹤", "头顶红色，姿态优雅，常在湿地里觅食飞翔"),
        )
    )
    near = {**second, "output": second["output"].replace("寒冷", "极寒") + "！"}
    write_lines(write, "parts/train.jsonl", [first, second, first, near, third, fourth])
    write_lines(write, "parts/test.jsonl", [fourth])
    benchmark = write_lines(write, "bench.jsonl", [{**third, "output": "另一个完全不同的回答，用来做评测"}])
    report = mozhu.check(folder, against=str(benchmark))
    found = {(finding.code, finding.file, finding.line) for finding in report.findings}
    assert found == {
        ("DATA-321", "train.jsonl", 3),
        ("DATA-322", "train.jsonl", 4),
        ("DATA-324", "train.jsonl", 5),
        ("DATA-323", "test.jsonl", 1),
    }
    assert report.rows == {"train": 6, "test": 1} and report.against == {str(benchmark): 1}


def test_a_prepared_data_set_is_checked_in_all_its_parts(write: Write) -> None:
    rows = alpaca([(f"第{n}个问题是什么？", f"这是第{n}个问题的答案，与别的不同。") for n in range(20)])
    mozhu.prepare(input=str(write("raw.json", rows)), output_dir="out", quiet=True)
    report = mozhu.check("out")
    assert sum(report.rows.values()) == 20 and set(report.rows) == {"train", "validation", "test"}
    assert report.findings == []


@pytest.mark.parametrize(("answer", "code"), [("工作顺利完成了。", 0), ("丢失\ufffd了的字", 3)])
def test_the_command_fails_only_for_errors(
    write: Write, answer: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(write, "rows.jsonl", alpaca([("怎么样了？", answer)]))
    assert main(["data", "check", "--dataset", str(path), "--json", "--report", "all.jsonl"]) == code
    shown = json.loads(capsys.readouterr().out)
    written = [json.loads(line) for line in Path("all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert shown["findings"] == written and shown["errors"] == len(written) == bool(code)
    assert main(["data", "check", "--dataset", str(path)]) == code
    said = capsys.readouterr().out
    assert ("DATA-306" in said and "rows.jsonl:1" in said) if code else "Nothing found in 1 rows" in said


def test_check_digits() -> None:
    assert is_identity_number(ID) and is_identity_number(ID.lower())
    assert not is_identity_number("110105194912310021") and not is_identity_number("110105194913310029")
    assert is_bank_card("4111111111111111") is False  # fewer than four different digits
    assert is_bank_card("4539578763621486") and not is_bank_card("4539578763621487")


def test_the_two_scripts_share_no_character() -> None:
    assert not SIMPLIFIED & TRADITIONAL and len(SIMPLIFIED) > 300
    for char in SIMPLIFIED:
        char.encode("gb2312")
    for char in TRADITIONAL:
        with pytest.raises(UnicodeEncodeError):
            char.encode("gb2312")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_and_field_has_its_words(language: str) -> None:
    page = page_texts(language, "data")
    for code in {code for code, *_ in FAULTS} | {"DATA-321", "DATA-322", "DATA-323", "DATA-324"}:
        assert all(page[f"{code}.{part}"] for part in ("what", "expected", "next"))
    named = {f"field.{field.name}" for field in fields_of(CheckSpec)} - {"field.dataset"}
    assert named <= set(page_texts(language, "verb_data_check"))


def codes(report: Any) -> list[str]:
    return [finding.code for finding in report.findings]


def test_rows_of_another_stage_are_findings_and_not_an_end(write: Write) -> None:
    path = write_lines(
        write, "text.jsonl", [{"text": f"一段用来预训练的文字，第 {n} 段。"} for n in range(3)]
    )
    warned, wrong = mozhu.check(path, stage="sft"), mozhu.check(path, stage="dpo")
    assert codes(warned) == codes(wrong) == ["DATA-317"] * 3
    assert [warned.errors, wrong.errors] == [0, 3]
    assert codes(mozhu.check(path, stage="pt")) == codes(mozhu.check(path)) == []


def test_excerpts_of_copies_and_of_other_findings_hide_private_data(write: Write) -> None:
    row = {
        "instruction": f"请打电话 13912345678 给张三，证件 {ID}",
        "output": "<p>好的，13912345678 已经记下。</p>",
    }
    bench = write_lines(write, "bench.jsonl", [row])
    path = write_lines(
        write, "rows.jsonl", [row, row, {**row, "output": "<p>好的，13912345678 已经记下了</p>"}]
    )
    report = mozhu.check(path, against=bench, report="all.jsonl")
    assert {"DATA-303", "DATA-311", "DATA-312", "DATA-324"} <= set(codes(report))
    shown = json.dumps(report.to_json(), ensure_ascii=False) + Path("all.jsonl").read_text(encoding="utf-8")
    assert "13912345678" not in shown and ID not in shown


def test_another_label_is_a_contradiction_and_no_copy(write: Write) -> None:
    rows = [
        {"prompt": "怎样滑雪？", "completion": "先学会摔倒和停下。", "label": label}
        for label in (True, False, True)
    ]
    assert [(f.code, f.line) for f in mozhu.check(write_lines(write, "kto.jsonl", rows)).findings] == [
        ("DATA-321", 3),
        ("DATA-320", 2),
    ]


def test_another_answer_to_the_same_question_is_told_but_not_for_other_images(write: Write) -> None:
    same = alpaca(
        [("天为什么是蓝的？", "因为空气散射蓝光。"), ("天为什么是蓝的？", "海水把它映蓝了，所以是蓝色。")]
    )
    report = mozhu.check(write_lines(write, "rows.jsonl", same))
    assert [(f.code, f.level, f.line, f.field) for f in report.findings] == [
        ("DATA-319", "info", 2, "instruction")
    ]
    for name in ("a.png", "b.png"):
        write(name, b"png")
    shown = [
        {
            "messages": [
                {"role": "user", "content": "<image>图里是什么？"},
                {"role": "assistant", "content": said},
            ],
            "images": [name],
        }
        for name, said in (
            ("a.png", "一只猫在睡觉。"),
            ("b.png", "一只狗在奔跑，很高兴。"),
            ("b.png", "一只猫在睡觉。"),
        )
    ]
    assert [(f.code, f.line) for f in mozhu.check(write_lines(write, "m.jsonl", shown)).findings] == [
        ("DATA-319", 3)
    ]


def test_copies_of_a_copy_of_a_benchmark_are_the_benchmarks_too(write: Write) -> None:
    question = "请说明金丝猴为什么生有金色的长毛，并举出两个理由"
    bench = write_lines(write, "bench file, new.jsonl", alpaca([(question, "标准答案在这里，不公开。")]))
    rows = alpaca([(question + "吧", "为了保暖。"), (question + "吧", "为了好看，也为了在高山上保暖。")])
    path = write_lines(write, "rows.jsonl", rows)
    found = [(f.code, f.line) for f in mozhu.check(path, against=[bench]).findings if f.code == "DATA-324"]
    assert found == [("DATA-324", 1), ("DATA-324", 2)]
    alone = mozhu.check(path, against=[bench], duplicates=False)
    assert set(codes(alone)) == {"DATA-324"}


def test_paths_with_blanks_and_several_lists_are_given_one_by_one(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_lines(
        write, "my rows.jsonl", alpaca([("说一句话", "这里有坏词甲。"), ("再说一句", "这里有坏词乙。")])
    )
    first, second = write("list one.txt", "坏词甲\n"), write("list, two.txt", "坏词乙\n")
    base = ["data", "check", "--dataset", str(path), "--json"]
    for words in (
        ["--words", str(first), "--words", str(second)],
        ["--words", str(first), str(second)],
        ["--words", f"{first},{write('three.txt', '坏词乙')}"],
        [f"--words={first}", f"--words={second}"],
    ):
        assert main([*base, *words]) == 0
        assert json.loads(capsys.readouterr().out)["counts"] == {"DATA-316": 2}


def test_a_file_that_breaks_off_is_a_finding_and_the_others_are_checked(write: Write) -> None:
    whole = json.dumps(
        alpaca([(f"问题 {n} 是什么？", f"回答第 {n} 个问题。") for n in range(5)]),
        ensure_ascii=False,
        indent=1,
    )
    write("data/broken.json", whole[: whole.index("问题 3")])
    write("data/noise.jsonl", bytes(range(256)) * 10)
    write("data/odd.jsonl", '{"foo": 1}\n')
    write_lines(write, "data/rows.jsonl", alpaca([("还好吗？", "")]))
    report = mozhu.check("data")
    found = {(f.file, f.line, f.code) for f in report.findings}
    assert found == {
        ("broken.json", 18, "FILE-004"),
        ("noise.jsonl", 1, "DATA-004"),
        ("odd.jsonl", 1, "DATA-002"),
        ("rows.jsonl", 1, "DATA-105"),
    }
    assert report.rows == {"train": 3 + 4} and all(f.reason and f.fix for f in report.findings)


def test_findings_beyond_the_list_are_counted_and_written(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mozhu.engine.data.checks.report.LISTED", 3)
    path = write_lines(write, "rows.jsonl", alpaca([(f"第{n}问？", "") for n in range(10)]))
    report = mozhu.check(path, report="all.jsonl")
    assert len(report.findings) == 3 and report.unlisted == 7
    assert report.counts() == {"DATA-105": 10} and report.errors == 10
    assert len(Path("all.jsonl").read_text(encoding="utf-8").splitlines()) == 10


def test_labels_that_are_texts_everywhere_are_right(write: Write) -> None:
    texts = ["很好用，会再来买。", "包装破损，不满意。", "一般般，没有惊喜。"]
    for labels, wanted in ((["1", "0", "1"], []), ([1, "0", 1], ["DATA-318"]), (["1", 0, 1], ["DATA-318"])):
        rows = [{"text": content, "label": label} for content, label in zip(texts, labels)]
        assert codes(mozhu.check(write_lines(write, "labels.jsonl", rows))) == wanted
