"""Fixers: each keeps to its subject, says nothing new, and a second time changes nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.checks.litter import find_litter
from mozhu.engine.data.checks.pii import find_private
from mozhu.engine.data.fixers.base import TextFixer
from mozhu.engine.data.fixers.mend import Mender, fix_texts
from mozhu.engine.data.fixers.table import FIXERS, chosen
from mozhu.engine.data.rows import RowProblem
from mozhu.engine.data.shapes import convert
from mozhu.kernel.errors import OpposedFixers, UnknownFixers

TEXT_FIXERS = {name: fixer for name, fixer in FIXERS.items() if isinstance(fixer, TextFixer)}
# Pieces of what fixers look for, and of what they must leave.
PIECES = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<br/>",
        "<b>",
        "</b>",
        "<a·href='x'>",
        "</a>",
        "&nbsp;",
        "&amp;",
        "lt;",
        "&lt;",
        "&gt;",
        "p",
        "b",
        "<",
        ">",
        "中文",
        "测试",
        "\n",
        "\n\n\n",
        "··",
        "\t",
        "```",
        "~~~",
        "`",
        "``",
        "\\*",
        "\\",
        "**",
        "#·",
        "#",
        "[](x)",
        "![a]()",
        "\\n",
        "\u200b",
        "\u200d",
        "👨",
        "👩",
        "ก",
        "\ufeff",
        "\x00",
        "\r\n",
        "\r",
        "ï¼Œ",
        "ä½",
        "å¥½",
        "鍒涘缓",
        "１２",
        "Ａ",
        "13812345678",
        "a@b.cn",
        "sk-abcdefghijklmnopqrstuv",
        "|·a·|",
        "····code",
        "é",
        "ا",
        "\u202e",
        "Ã©",
        "Ã",
        "©",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<li>",
        "</li>",
        "\u2028",
        "\u3000",
        "國",
        "学",
        "発",
        "ひ",
        "🏴",
        "\U000e0067",
        "-----BEGIN·PRIVATE·KEY-----",
        "11010519491231002X",
    ]
).map(lambda piece: piece.replace("·", " "))
TEXTS = st.one_of(st.lists(PIECES, max_size=14).map("".join), st.text(max_size=40))


def fix(name: str, content: str) -> str:
    if name in {"simplified", "traditional"}:
        pytest.importorskip("opencc")
    fixer = TEXT_FIXERS[name]
    return fixer.change(content)


def row_of(question: str, answer: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


@pytest.mark.parametrize("name", TEXT_FIXERS)
def test_a_second_time_changes_nothing(name: str) -> None:
    @given(TEXTS)
    @settings(max_examples=150, deadline=None)
    def once_is_enough(content: str) -> None:
        after = fix(name, content)
        assert fix(name, after) == after

    once_is_enough()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("html", "<p>您好&nbsp;请<b>退货</b></p><br/>谢谢", "您好 请退货\n\n谢谢"),
        ("html", "<ul><li>一</li><li>二</li></ul>", "- 一\n- 二"),
        ("html", "<table><tr><td>甲</td><td>乙</td></tr></table>", "甲\t乙"),
        ("html", "&lt;p&gt;两次转义&amp;lt;br&amp;gt;", "两次转义"),
        ("html", '<a href="http://x.cn">点这里</a><!-- 广告 --><script>alert(1)</script>', "点这里"),
        ("html", "AT&amp;T", "AT&T"),
        ("invisible", "零\u200b宽\ufeff字\u0000符\u00ad", "零宽字符"),
        ("invisible", "一行\u2028二行\x0c三行", "一行\n二行\n三行"),
        ("invisible", "hi\U000e0068\U000e0069", "hi"),
        ("encoding", "ä½\xa0å¥½ï¼Œä¸–ç•Œ", "你好，世界"),
        ("encoding", "cafÃ© â€œquotedâ€\x9d", "café “quoted”"),
        ("encoding", "鍒涘缓鏂囦欢", "创建文件"),
        ("encoding", "Ã¤Â½Â\xa0Ã¥Â¥Â½", "你好"),
        ("newlines", "第一步：打开\\n第二步：点击\\n完成", "第一步：打开\n第二步：点击\n完成"),
        ("markdown", "普通\\*星号\\*和\\_线；[](http://x)空", "普通*星号*和_线；空"),
        ("markdown", "##\n正文![]()", "正文"),
        ("fences", "看：\n```python\nprint(1)", "看：\n```python\nprint(1)\n```"),
        ("fences", "```\na\n```\n完\n```", "```\na\n```\n完"),
        ("width", "ＡＢＣ１２３，。", "ABC123，。"),
        ("spaces", "一  二 \r\n\r\n\r\n\r\n三\u00a0四 ", "一 二\n\n三 四"),
        ("simplified", "這個問題後面的頭髮", "这个问题后面的头发"),
        ("traditional", "皇后以后再来", "皇后以後再來"),
        ("pii", "号码11010519491231002X，电话 138-1234-5678", "号码[ID]，电话 [PHONE]"),
        ("pii", "mail zhang@corp.cn key sk-abcdefghijklmnopqrstuv", "mail [EMAIL] key [KEY]"),
        ("pii", "卡 6222021234567890128", "卡 [CARD]"),
        ("pii", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----。", "[KEY]。"),
    ],
)
def test_what_each_mends(name: str, before: str, after: str) -> None:
    assert fix(name, before) == after


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (
            "html",
            "若 a<b 且 c>d，则 x&y；std::vector<int> v; <think>想</think> <|im_end|> <image> if a<b and c>d",
        ),
        ("html", "用 `<br>` 换行：\n```html\n<p>&nbsp;</p>\n```\n完"),
        ("html", "T extends Map<a> 与 List<b>"),
        ("invisible", "👨‍👩‍👧 ❤️‍🔥 می‌خواهم क्‍ष ไทย\u200bไทย ქართული"),
        ("invisible", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"),
        ("invisible", "عربي \u200fabc\u200e"),
        ("invisible", "列\t表\n下一行"),
        ("encoding", "naïve café, Ångström, £5, «déjà», Ähre, 你好，联通 測試 日本語 한국어 Ünïcödé Ã"),
        ("encoding", "锟斤拷 \ufffd lost"),
        ("newlines", "路径 C:\\new\\name"),
        ("newlines", "公式 $\\nabla f$ 与 $\\nu$"),
        ("newlines", 'print("a\\nb\\nc")'),
        ("newlines", "真的\n换行\\n和\\n字面"),
        ("markdown", "公式 \\(a\\_b\\) 与 $x\\_1$，`a\\_b`，**粗**，# 标题\n[文](http://x) ![图](a.png)"),
        ("width", "，。！？（）【】％＋－＝"),
        ("spaces", "```\na  =  1\n\n\n\nb\n```\n| a   | b |\n    x  = 1\n- 列表\n\n段"),
        ("fences", "```\na\n```\n~~~\nb\n~~~"),
        ("simplified", "これは漢字です、發見"),
        ("pii", "订单 2024010112345678，版本 1.2.3，name@example.com，110105194912310021"),
    ],
)
def test_what_each_leaves(name: str, content: str) -> None:
    assert fix(name, content) == content


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_what_was_mended_is_not_found_again(content: str) -> None:
    private = TEXT_FIXERS["pii"].change(content)
    assert not list(find_private(private))
    codes = {hit.code for hit in find_litter(TEXT_FIXERS["invisible"].change(content))}
    assert "DATA-305" not in codes
    assert "DATA-304" not in {hit.code for hit in find_litter(TEXT_FIXERS["fences"].change(content))}


@given(
    st.text(
        "".join(chr(code) for code in range(0x4E00, 0x4E80)) + "，。的一是在不了有和人这中大为上个国",
        min_size=2,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_chinese_text_read_as_latin_comes_back(content: str) -> None:
    broken = "".join(bytes([byte]).decode("cp1252", "replace") for byte in content.encode("utf-8"))
    if "\ufffd" not in broken:
        assert fix("encoding", broken) == content


def test_rows_about_markup_keep_their_tags() -> None:
    answer = "在段落里写 <p>你好</p> 即可"
    assert fix_texts(row_of("HTML 怎样分段？", answer), TEXT_FIXERS["html"])[1] == 0
    assert fix_texts(row_of("怎样分段？", answer), TEXT_FIXERS["html"])[1] == 1


def test_tool_calls_and_what_tools_say_are_not_touched() -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": {"q": "<p>x</p>  ＡＢ"}}}]
    said = json.dumps({"html": "<p>x</p>", "phone": "13812345678"})
    row: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "<p>查询</p>"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": said},
            {"role": "assistant", "content": "<p>好</p>"},
        ]
    }
    mended = Mender(["html", "width", "spaces"]).convert({}, lambda _: row)
    assert [message["content"] for message in mended.content["messages"]] == ["查询", "", said, "好"]
    assert mended.content["messages"][1]["tool_calls"] == calls
    assert mended.changes == {"html": 2}
    assert row["messages"][0]["content"] == "<p>查询</p>", "the row as it was converted stays as it is"


def test_private_data_is_masked_in_what_tools_are_asked_and_say_too() -> None:
    calls = [
        {
            "type": "function",
            "function": {"name": "call", "arguments": {"to": ["13812345678"], "n": 13812345678}},
        }
    ]
    said = '{ "phone":"13812345678",\t"n": 13812345678, "note": "\\u4f60\\n" }'
    row: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "打给 13812345678"},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "content": said},
            {"role": "assistant", "content": "好"},
        ]
    }
    mended, changed = fix_texts(row, FIXERS["pii"])  # type: ignore[arg-type]
    assert changed == 3
    assert mended["messages"][1]["tool_calls"][0]["function"]["arguments"] == {
        "to": ["[PHONE]"],
        "n": 13812345678,
    }
    assert mended["messages"][2]["content"] == said.replace('"13812345678"', '"[PHONE]"'), (
        "the rest keeps its bytes"
    )
    assert fix_texts(mended, FIXERS["pii"])[1] == 0  # type: ignore[arg-type]
    assert calls[0]["function"]["arguments"]["to"] == ["13812345678"], "what was read stays as it is"  # type: ignore[index]


def shaped(shape: str, value: dict[str, Any], *names: str) -> Any:
    return Mender(names).convert(value, lambda item: convert(item, shape))


def test_numbers_become_text_where_text_is_wanted() -> None:
    done = shaped("alpaca", {"instruction": 1, "input": "", "output": 2.5}, "numbers")
    assert [message["content"] for message in done.content["messages"]] == ["1", "2.5"]
    history = {"instruction": "q", "output": "a", "history": [["x", 1], [2, "y"]]}
    assert len(shaped("alpaca", history, "numbers").content["messages"]) == 6
    turns = [{"from": "human", "value": 5}, {"from": "gpt", "value": 7}] * 30
    assert len(shaped("sharegpt", {"conversations": turns}, "numbers").content["messages"]) == 60
    for wrong in (True, None, float("nan"), [1], {"a": 1}):
        with pytest.raises(RowProblem):
            shaped("alpaca", {"instruction": "q", "input": "", "output": wrong}, "numbers")


def test_roles_are_put_in_order_and_what_nobody_answers_is_dropped() -> None:
    turns = [
        {"role": "system", "content": "s"},
        {"role": "assistant", "content": "欢迎"},
        {"role": "用户", "content": "在吗"},
        {"role": "user", "content": "退货"},
        {"role": "AI", "content": "好"},
        {"role": "user", "content": "谢谢"},
    ]
    done = shaped("messages", {"messages": turns}, "roles", "unanswered")
    assert [(message["role"], message["content"]) for message in done.content["messages"]] == [
        ("system", "s"),
        ("user", "在吗\n退货"),
        ("assistant", "好"),
    ]
    assert set(done.changes) == {"roles", "unanswered"}
    with pytest.raises(RowProblem) as caught:
        shaped("messages", {"messages": turns}, "unanswered")
    assert caught.value.code == "DATA-107"


def test_turns_of_tools_are_never_joined() -> None:
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    turns = [{"role": "user", "content": "q"}, call, call, {"role": "assistant", "content": "a"}]
    with pytest.raises(RowProblem) as caught:
        shaped("messages", {"messages": turns}, "roles")
    assert caught.value.code == "DATA-108"


def test_a_row_of_which_nothing_is_left_cannot_be_used() -> None:
    with pytest.raises(RowProblem) as caught:
        shaped("alpaca", {"instruction": "q", "input": "", "output": "<br>"}, "html")
    assert (caught.value.code, caught.value.params["fixer"]) == ("DATA-119", "html")
    with pytest.raises(RowProblem) as caught:
        shaped("preference", {"prompt": "q", "chosen": "好", "rejected": "<p>好</p>"}, "html")
    assert caught.value.code == "DATA-143"


def test_names_are_checked_all_at_once_and_the_order_is_the_tables() -> None:
    assert [fixer.name for fixer in chosen(["pii", "html", "numbers", "html"])] == ["numbers", "html", "pii"]
    every = {fixer.name for fixer in chosen(["all"])}
    assert every == FIXERS.keys() - {"simplified", "traditional"}
    with pytest.raises(UnknownFixers) as caught:
        chosen(["htlm", "spaces", "foo"])
    assert caught.value.params["names"] == ["foo", "htlm"] and caught.value.params["near"] == ["html"]
    with pytest.raises(OpposedFixers):
        chosen(["simplified", "traditional"])
