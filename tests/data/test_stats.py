"""The numbers of ``data stats`` are those of counting by hand, of training, and of the other data verbs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mozhu.engine.data.checks.run import run_check
from mozhu.engine.data.dataset import Reading, load_rows
from mozhu.engine.data.parts import part_streams
from mozhu.engine.data.statistics import collect, repeats
from mozhu.engine.data.statistics.collect import Settings, collect_statistics
from mozhu.engine.data.statistics.facts import first_words
from mozhu.engine.data.statistics.frequent import Frequent
from mozhu.engine.data.statistics.languages import language_of_text
from mozhu.engine.data.statistics.lengths import Lengths
from mozhu.engine.data.statistics.masking import without_private
from mozhu.engine.data.statistics.padding import packing, padding
from mozhu.engine.data.statistics.record import Statistics
from mozhu.kernel.errors import NoUsableRows
from mozhu.specs.data import CheckSpec

LENGTHS = st.lists(st.integers(1, 5000), min_size=1, max_size=200)
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def counted(lengths: list[int]) -> Lengths:
    found = Lengths()
    for length in lengths:
        found.add(length)
    return found


def stats(path: Path, *, settings: Settings | None = None, **fields: Any) -> Statistics:
    streams = part_streams(str(path), Reading(stage=None))
    return collect_statistics(streams, dataset=str(path), settings=settings, **fields)


def qa(question: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"question": question, "answer": answer, **more}


# ---------------------------------------------------------------- lengths
@given(LENGTHS)
def test_percentiles_are_lengths_of_the_rank_they_say(lengths: list[int]) -> None:
    told, ordered = counted(lengths).summary(), sorted(lengths)
    assert told is not None
    assert (told.count, told.total, told.min, told.max) == (
        len(lengths),
        sum(lengths),
        ordered[0],
        ordered[-1],
    )
    assert told.mean == round(statistics.fmean(lengths), 2)
    for name, share in SHARES.items():
        assert getattr(told, name) == ordered[math.ceil(round(share * len(ordered), 6)) - 1]


@given(LENGTHS)
def test_a_histogram_holds_every_length_once_and_has_no_gaps(lengths: list[int]) -> None:
    bins = counted(lengths).histogram()
    assert sum(one.count for one in bins) == len(lengths)
    assert all(left.high + 1 == right.low for left, right in zip(bins, bins[1:], strict=False))
    assert bins[0].low <= min(lengths) and max(lengths) <= bins[-1].high
    for one in bins:
        assert one.count == sum(one.low <= length <= one.high for length in lengths)


def test_one_enormous_row_does_not_flatten_the_histogram() -> None:
    bins = counted([*range(1, 1001), 1_000_000]).histogram()
    assert len(bins) > 10 and bins[-1].count == 2 and bins[-1].high == 1_000_000
    assert max(one.high - one.low for one in bins[:-1]) < 100


@given(LENGTHS, LENGTHS)
def test_parts_add_up(first: list[int], second: list[int]) -> None:
    together = counted(first)
    together.update(counted(second))
    assert together.summary() == counted(first + second).summary()


# ---------------------------------------------------------------- batches
@pytest.mark.parametrize("lengths", [[3, 9, 5, 5, 1], [7], [4, 4, 4, 4], [1, 2, 3, 4, 5, 100]])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_padding_is_the_mean_over_every_order_of_the_rows(lengths: list[int], size: int) -> None:
    def places(order: tuple[int, ...]) -> int:
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        return sum(max(batch) * len(batch) for batch in batches)

    told = padding(counted(lengths), size)
    orders = [places(order) for order in permutations(lengths)]
    assert told is not None
    assert told.shuffled == pytest.approx(1 - sum(lengths) / statistics.fmean(orders), abs=1e-4)
    assert told.by_length == pytest.approx(1 - sum(lengths) / places(tuple(sorted(lengths))), abs=1e-4)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=60))
def test_packing_is_best_fit_decreasing(lengths: list[int]) -> None:
    room: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [place for place, left in enumerate(room) if left >= length]
        if fitting:
            room[min(fitting, key=lambda place: room[place])] -= length
        else:
            room.append(100 - length)
    told = packing(counted(lengths), 100)
    assert told is not None and told.sequences == len(room) and told.examples == len(lengths)
    assert told.filled == pytest.approx(sum(lengths) / (100 * len(room)), abs=1e-4)


# ---------------------------------------------------------------- what texts are
@pytest.mark.parametrize(
    ("content", "language"),
    [
        ("请解释为什么天空是蓝色的。", "zh_simplified"),
        ("請解釋為什麼天空是藍色的。", "zh_traditional"),
        ("你好", "zh"),
        ("请解释為什麼這個問題这样难", "zh_both"),
        ("Why is the sky blue?", "en"),
        ("用 Python 写一个函数 def add(a, b): return a + b 并且解释它的作用和参数含义", "zh_simplified"),
        ("Please write a long English essay about the word 学习方法 in Chinese culture today", "mixed"),
        ("空はなぜ青いのですか？", "other"),
        ("Почему небо голубое?", "other"),
        ("하늘은 왜 파란가요?", "other"),
        ("Où êtes-vous allé cet été, à la plage où là-bas ?", "other"),
        ("She went to the café.", "other"),
        ("1 + 1 = 2", "none"),
        ("", "none"),
        ("😀😀", "none"),
    ],
)
def test_languages_by_their_letters(content: str, language: str) -> None:
    assert language_of_text(content) == language


@pytest.mark.parametrize(
    ("question", "begin"),
    [
        ("请解释一下：天空", "请解释一"),
        ("How do I boil an egg?", "how do"),
        ("“什么”是高血压？", "什么是高"),
        ("<image>Who are they?", "who are"),
        ("What's up?", "what's up"),
        ("写 Python 代码", "写"),
        ("？！", ""),
    ],
)
def test_beginnings_of_questions(question: str, begin: str) -> None:
    assert first_words(question) == begin


def test_rare_values_are_forgotten_but_their_number_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mozhu.engine.data.statistics.frequent._MOST_KEPT", 100)
    found = Frequent()
    for number in range(5000):
        found.add(f"rare {number}")
        found.add("often")
    assert found.top(1) == [("often", 5000)]
    assert found.different == 5001 and not found.exact and len(found.counts) <= 100


# ---------------------------------------------------------------- a data set
def test_rows_of_every_part_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for part, count in (("train", 8), ("validation", 3), ("test", 2)):
        rows = [qa(f"{part} 问题 {n}？", "答案" * (n + 1)) for n in range(count)]
        (folder / f"{part}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    found = stats(folder)
    assert {name: part.rows for name, part in found.parts.items()} == {"train": 8, "validation": 3, "test": 2}
    assert found.whole.rows == 13 and found.whole.kinds == {"sft": 13}
    answers = found.whole.characters["answer"].summary
    assert answers is not None and (answers.count, answers.max) == (13, 16)
    assert found.whole.turns.counts == {"1": 13} and found.whole.first_words.different == 3
    assert [row.characters for row in found.whole.longest] == sorted(
        (row.characters for part in found.parts.values() for row in part.longest), reverse=True
    )[:5]
    assert [source["file"] for source in found.whole.sources] == [
        "train.json",
        "validation.json",
        "test.json",
    ]


def test_rejected_rows_are_counted_by_reason_with_their_first_place(write: Callable[..., Path]) -> None:
    rows = [qa("什么？", "这个。"), qa("什么？", ""), qa("", "没有问题"), qa("又是什么？", "")]
    path = write("rows.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    whole = stats(path).whole
    assert (whole.rows, whole.rejected) == (1, 3)
    told = {(reason.code, reason.count, reason.first) for reason in whole.rejected_reasons}
    assert told == {("DATA-105", 2, "rows.jsonl:2"), ("DATA-106", 1, "rows.jsonl:3")}
    with pytest.raises(NoUsableRows):
        stats(write("bad.jsonl", json.dumps(qa("什么？", ""))))


def test_turns_system_prompts_tools_and_calls_are_counted(write: Callable[..., Path]) -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "北京"}}}
    rows = [
        {
            "messages": [
                {"role": "system", "content": "简短回答。"},
                {"role": "user", "content": "北京天气？"},
                {"role": "assistant", "content": "", "tool_calls": [call]},
                {"role": "tool", "content": "晴"},
                {"role": "assistant", "content": "晴天。"},
                {"role": "user", "content": "谢谢"},
                {"role": "assistant", "content": "不客气。"},
            ],
            "tools": [tool],
        },
        {"messages": [{"role": "user", "content": "你好"}, {"role": "assistant", "content": "你好。"}]},
    ]
    whole = stats(write("chat.json", rows)).whole
    assert whole.turns.counts == {"1": 1, "2": 1} and whole.turns.messages is not None
    assert whole.turns.messages.max == 7
    extras = whole.extras
    assert (extras.system, extras.tools, extras.calls, extras.images) == (1, 1, 1, 0)
    assert [(one.value, one.count) for one in extras.called_names.top] == [("weather", 1)]
    assert [one.value for one in extras.system_prompts.top] == ["简短回答。"]


def test_label_balance_and_length_bias(write: Callable[..., Path]) -> None:
    texts = [{"text": f"新闻 {n}", "label": "体育" if n % 4 else "财经"} for n in range(12)]
    (labels,) = stats(write("news.json", texts)).whole.labels
    assert labels.kind == "classification" and labels.imbalance == 3.0
    assert [(one.value, one.count) for one in labels.values.top] == [("体育", 9), ("财经", 3)]
    pairs = [{"prompt": f"问 {n}", "chosen": "长" * (n + 3), "rejected": "短" * 4} for n in range(4)]
    whole = stats(write("pairs.json", pairs)).whole
    assert whole.pairs is not None
    told = (whole.pairs.chosen_longer, whole.pairs.equal, whole.pairs.rejected_longer)
    assert told == (2, 1, 1) and whole.pairs.ratio == round(18 / 16, 4)
    marks = [{"prompt": f"问 {n}", "completion": "答", "label": n != 0} for n in range(5)]
    (marked,) = stats(write("kto.json", marks)).whole.labels
    assert (marked.kind, marked.imbalance) == ("kto", 4.0)


def test_duplicates_are_those_that_a_check_reports(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    long = "这是一个足够长的回答，用来比较两行是不是几乎说了同样的话，所以要多写几个字。"
    train = [qa(f"第{n}个问题是什么？", f"{long}{'甲乙丙丁戊己庚辛'[n] * 20}") for n in range(8)]
    train += [dict(train[0]), qa(train[1]["question"], train[1]["answer"].replace("足够长", "足够的长"))]
    test = [dict(train[2]), qa("完全不同的另一个提问", "毫不相干的内容，没有谁说过这样的话。")]
    for part, rows in (("train", train), ("test", test)):
        (folder / f"{part}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    report = run_check(CheckSpec(dataset=str(folder))).counts()
    found = stats(folder).repeats
    assert found.method == "near" and found.rows == 12
    assert found.exact["inside"] == {"train": report["DATA-321"], "test": 0} == {"train": 1, "test": 0}
    assert found.near["inside"]["train"] == report["DATA-322"] == 1
    assert found.exact["across"] == {"train/test": report["DATA-323"]} == {"train/test": 1}
    assert found.questions == 3
    exact = stats(folder, settings=Settings(duplicates="exact")).repeats
    assert (exact.method, exact.exact, exact.near["inside"]) == (
        "exact",
        found.exact,
        {"train": 0, "test": 0},
    )
    assert stats(folder, settings=Settings(duplicates="none")).repeats.method == "none"


def test_beyond_so_many_rows_only_exact_duplicates_are_looked_for() -> None:
    search = repeats.RepeatSearch("auto", most_near=5)
    for number in range(7):
        search.add("train", f"同一句话 {number % 2}", "问")
    found = search.found()
    assert found.method == "exact" and found.exact["inside"] == {"train": 5} and found.questions == 6


# ---------------------------------------------------------------- rows that are shown
def test_samples_are_the_same_for_the_same_seed_and_hide_private_data(write: Callable[..., Path]) -> None:
    rows = [qa(f"我是第 {n} 位", f"电话 13812345678，邮箱 someone@gmail.com，序号 {n}") for n in range(50)]
    path = write("rows.json", rows)
    first, again = (stats(path, settings=Settings(rows_shown=6)) for _ in range(2))
    assert first.to_json() == again.to_json() and len(first.samples) == 6
    other = stats(path, settings=Settings(rows_shown=6, seed=7))
    assert [row.row_id for row in first.samples] != [row.row_id for row in other.samples]
    fewer = stats(path, settings=Settings(rows_shown=3))
    assert [row.row_id for row in fewer.samples] == [row.row_id for row in first.samples][:3]
    told = json.dumps(first.to_json(), ensure_ascii=False)
    assert "13812345678" not in told and "someone@gmail.com" not in told and "138****5678" in told


def test_private_data_is_hidden_wherever_a_text_is_shown(write: Callable[..., Path]) -> None:
    row = {
        "messages": [
            {"role": "system", "content": "密钥 sk-abcdefghijklmnopqrstuvwx0123"},
            {"role": "user", "content": "someone@gmail.com 是谁的邮箱？" + "很长" * 40},
            {
                "role": "assistant",
                "content": "-----BEGIN PRIVATE KEY-----\nMIIBVgIBADANBg\n-----END PRIVATE KEY-----",
            },
        ]
    }
    told = json.dumps(stats(write("rows.json", [row])).to_json(), ensure_ascii=False)
    for secret in ("sk-abcdefghijkl", "someone@gmail.com", "MIIBVgIBADANBg"):
        assert secret not in told
    assert without_private("没有什么可藏的 1 + 1") == "没有什么可藏的 1 + 1"


def test_the_longest_and_shortest_rows_have_their_places(write: Callable[..., Path]) -> None:
    rows = [qa(f"第 {n} 问", "字" * (10 * n + 1)) for n in range(20)]
    path = write("rows.jsonl", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    whole = stats(path).whole
    assert [row.line for row in whole.longest] == [20, 19, 18, 17, 16]
    assert [row.line for row in whole.shortest] == [1, 2, 3, 4, 5]
    assert {row.file for row in whole.longest} == {"rows.jsonl"}


def test_sample_rows_show_what_a_reading_gives(write: Callable[..., Path]) -> None:
    path = write("rows.json", [qa("问题一？", "回答一。")])
    (sample,) = stats(path).samples
    assert sample.messages == [("user", "问题一？"), ("assistant", "回答一。")]
    assert sample.row_id == load_rows(str(path)).rows[0]["row_id"] and sample.kind == "sft"
    assert collect.Settings().seed == 42
