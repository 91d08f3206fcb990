"""``--duplicates`` and ``--against``: every row that goes is a copy of one that stays, and no other goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.copies import find_copies
from mozhu.engine.data.prepare import run_prepare
from mozhu.kernel.errors import NoUsableRows
from mozhu.kernel.files import read_jsonl
from mozhu.specs.data import PrepareSpec
from mozhu.specs.records.snapshot import Snapshot

LONG = (
    "在订单页面点击退货按钮，填写原因之后等待审核，审核通过后把商品寄回，仓库收到后三天内退款到原来的账户。"
)


def row_of(number: int, question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"row_id": f"d#{number}", "messages": messages, **more}


def gone(rows: list[dict[str, Any]], how: str = "near", least: float = 0.9) -> dict[int, tuple[str, str]]:
    copies = find_copies(how, least, ())
    for number, row in enumerate(rows):
        copies.add(row, "d.jsonl", number + 1)
    return {n: (problem.code, problem.params["other"].split(" ")[0]) for n, problem in copies.found().items()}


def test_exact_copies_go_and_blanks_do_not_make_a_row_another() -> None:
    rows = [
        row_of(0, "问", "答 案"),
        row_of(1, "问", "答案二"),
        row_of(2, " 问\n", "答  案"),
        row_of(3, "问", "答 案"),
    ]
    assert gone(rows, "exact") == {2: ("DATA-160", "d.jsonl:1"), 3: ("DATA-160", "d.jsonl:1")}
    assert gone(rows, "keep") == {}


def test_near_copies_go_and_small_words_that_matter_do_not() -> None:
    rows = [
        row_of(0, "怎样退货？", LONG),
        row_of(1, "怎样退货？", LONG.replace("三天", "几天")),
        row_of(2, "怎样退货？", LONG.replace("商品", "货品")),
        row_of(3, "怎样换货？", LONG),
        row_of(4, "怎样退货?", LONG.replace("，", ",")),
        row_of(5, "3 + 4 等于几？请写出完整的计算过程", "等于 7"),
        row_of(6, "3 + 5 等于几？请写出完整的计算过程", "等于 8"),
    ]
    found = gone(rows)
    assert set(found) == {1, 2, 4}
    assert {place for _, place in found.values()} == {"d.jsonl:1"}


def test_questions_on_the_same_long_text_are_no_copies() -> None:
    passage = LONG * 6
    rows = [
        row_of(n, f"{passage}\n{asked}", "是")
        for n, asked in enumerate(["可以退货吗？", "要等多久？", "由谁审核的呢？"])
    ]
    answers = [row_of(9 + n, f"{passage}\n总结全文", answer) for n, answer in enumerate(["好", "坏"])]
    assert gone([*rows, *answers]) == {}


def test_another_label_preference_or_image_is_another_row() -> None:
    same = ("怎样退货？", LONG)
    rows = [row_of(0, *same, label=True), row_of(1, *same, label=False), row_of(2, *same, label=True)]
    assert set(gone(rows)) == {2} and set(gone(rows, "exact")) == {2}
    pictures = [row_of(0, *same, images=["a.png"]), row_of(1, *same, images=["b.png"])]
    assert gone(pictures) == {}
    good, bad = [{"role": "assistant", "content": LONG}], [{"role": "assistant", "content": "不知道"}]
    asked = [{"role": "user", "content": "怎样退货？"}]
    pairs = [
        {"row_id": "a", "messages": asked, "chosen": good, "rejected": bad},
        {"row_id": "b", "messages": asked, "chosen": bad, "rejected": good},
    ]
    assert gone(pairs) == {}


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2), st.booleans()), max_size=30))
@settings(max_examples=60, deadline=None)
def test_each_row_that_goes_names_an_earlier_one_that_stays(made: list[tuple[int, int, bool]]) -> None:
    edits = (LONG, LONG.replace("仓库", "库房"), LONG.replace("审核", "审查"))
    rows = [
        row_of(n, f"第{'一二三四五六'[q]}个问题", edits[e], label=mark) for n, (q, e, mark) in enumerate(made)
    ]
    found = gone(rows)
    for number, (_, place) in found.items():
        first = int(place.partition(":")[2]) - 1
        assert first < number and first not in found
        assert rows[first]["label"] == rows[number]["label"]
    kept = [made[number] for number in range(len(rows)) if number not in found]
    assert len(kept) == len(set(kept)), "no exact copy stays"


def test_rows_of_a_benchmark_are_left_out_however_many_copies_there_are(
    own_folder: Path, write: Any, events: Any
) -> None:
    bench = [
        {"question": f"{LONG[:30]}这是基准的第{'甲乙丙'[n]}题吗？", "answer": f"是的{n}"} for n in range(3)
    ]
    rows = [{"question": f"普通的问题{n}", "answer": f"普通的回答{n}"} for n in range(20)]
    rows += [
        {"question": bench[0]["question"].replace("？", "?"), "answer": f"别的回答{n}"} for n in range(5)
    ]
    spec = PrepareSpec(
        input=str(write("rows.json", rows)), output_dir="out", against=(str(write("bench.json", bench)),)
    )
    run_prepare(spec, own_folder, events)
    snapshot = Snapshot.read(own_folder / "out/snapshot.json")
    assert snapshot.left_out == {"DATA-162": 5} and snapshot.rejected == 0
    assert sum(part.rows for part in snapshot.parts.values()) == 20
    rejected = list(read_jsonl(own_folder / "out/rejected.jsonl"))
    assert {row["code"] for row in rejected} == {"DATA-162"}
    assert all(row["params"]["other"].startswith("bench.json:") for row in rejected)


def test_a_benchmark_without_rows_is_an_error_and_so_is_one_that_takes_every_row(
    own_folder: Path, write: Any, events: Any
) -> None:
    rows = str(write("rows.json", [{"question": f"问题{n}", "answer": f"回答{n}"} for n in range(5)]))
    for bench, code in ((str(write("empty.json", [])), "DATA-003"), (rows, "DATA-162")):
        with pytest.raises(NoUsableRows) as caught:
            run_prepare(PrepareSpec(input=rows, output_dir="out", against=(bench,)), own_folder, events)
        assert code in str(caught.value) and not (own_folder / "out").exists()


def test_copies_are_in_the_file_and_no_limit_counts_them(own_folder: Path, write: Any, events: Any) -> None:
    rows = [{"question": f"问题{n % 10}", "answer": f"回答{n % 10}"} for n in range(40)]
    spec = PrepareSpec(
        input=str(write("rows.json", rows)), output_dir="out", duplicates="exact", max_rejected_share=0
    )
    outcome = run_prepare(spec, own_folder, events)
    assert outcome.metrics["left_out_rows"].value == 30
    assert len(list(read_jsonl(own_folder / "out/rejected.jsonl"))) == 30
    assert {part: metric.value for part, metric in outcome.metrics.items() if part.startswith("t")} == {
        "train_rows": 8,
        "test_rows": 1,
    }
    assert "DATA-136" in events.codes()
