"""The split: nothing lost, nothing twice, the same every time, no question in two parts."""

from __future__ import annotations

import json
import random
from array import array
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.prepare import run_prepare
from mozhu.engine.data.split import (
    PARTS,
    HeldOut,
    Shares,
    hold_out,
    joined_ranks,
    number_of,
    question_key,
    split_rows,
)
from mozhu.kernel.errors import NoSplitField
from mozhu.kernel.files import read_jsonl
from mozhu.specs.data import PrepareSpec


def rows_of(questions: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "row_id": f"d#{number}",
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": f"a{number}"},
            ],
        }
        for number, question in enumerate(questions)
    ]


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["row_id"] for row in rows]


@given(
    st.lists(st.sampled_from([f"q{n}" for n in range(12)]), max_size=40),
    st.integers(0, 99),
    st.sampled_from([Shares(), Shares(0.9, 0.1, 0.0), Shares(0.5, 0.25, 0.25), Shares(1.0, 0.0, 0.0)]),
)
@settings(deadline=None)
def test_the_split_keeps_its_promises(questions: list[str], seed: int, shares: Shares) -> None:
    rows = rows_of(questions)
    split = split_rows(rows, shares, seed=seed)
    parts = split.parts
    assert sorted(row_id for part in parts.values() for row_id in ids(part)) == sorted(ids(rows))
    keys = [{question_key(row) for row in part} for part in parts.values()]
    assert not (keys[0] & keys[1] or keys[0] & keys[2] or keys[1] & keys[2])
    again = split_rows(rows, shares, seed=seed)
    assert {name: ids(part) for name, part in again.parts.items()} == {
        name: ids(part) for name, part in parts.items()
    }
    for part in parts.values():  # order is kept
        assert part == [row for row in rows if row in part]
    if rows:
        assert split.train
    if len(rows) >= 3 and len(set(questions)) >= 3:
        assert bool(split.validation) == (shares.validation > 0)
        assert bool(split.test) == (shares.test > 0)
        assert split.finding() is None


def test_ten_rows_are_eight_one_and_one() -> None:
    split = split_rows(rows_of([f"q{n}" for n in range(10)]))
    assert [len(part) for part in split.parts.values()] == [8, 1, 1]


def test_a_thousand_rows_meet_their_shares_exactly() -> None:
    split = split_rows(rows_of([f"q{n}" for n in range(1000)]))
    assert [len(part) for part in split.parts.values()] == [800, 100, 100]


def test_one_and_two_rows_all_train_and_it_is_said() -> None:
    for count in (1, 2):
        split = split_rows(rows_of([f"q{n}" for n in range(count)]))
        assert len(split.train) == count
        finding = split.finding()
        assert finding and finding["code"] == "DATA-130"
        assert finding["params"]["parts"] == "validation, test"


def test_the_split_follows_the_content_and_not_the_order() -> None:
    rows = rows_of([f"q{n}" for n in range(50)])
    forward, backward = split_rows(rows), split_rows(rows[::-1])
    assert set(ids(forward.test)) == set(ids(backward.test))
    assert set(ids(split_rows(rows, seed=7).test)) != set(ids(forward.test))


def test_one_question_asked_very_often_stays_in_training() -> None:
    split = split_rows(rows_of(["same"] * 90 + [f"q{n}" for n in range(10)]))
    assert sum(row["messages"][0]["content"] == "same" for row in split.train) == 90
    assert split.validation and split.test


# (question, group, stratum) of each row.
ROWS = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 12), st.integers(0, 3)), min_size=1, max_size=120
)


def numbers(values: list[int], kind: str, seed: int) -> array[int]:
    return array("Q", (number_of(f"{kind}{value}", seed) for value in values))


def parts_of(
    rows: list[tuple[int, int, int]], seed: int, *, stratify: bool, group: bool
) -> tuple[list[str], HeldOut]:
    ranks = numbers([row[0] for row in rows], "q", seed)
    if group:
        ranks = joined_ranks(ranks, numbers([row[1] for row in rows], "g", seed))
    strata = numbers([row[2] for row in rows], "s", seed) if stratify else None
    held = hold_out(ranks, Shares(), strata)
    return [held.part_of(place) for place in ranks], held


@given(ROWS, st.integers(0, 9), st.booleans())
@settings(deadline=None)
def test_no_group_and_no_question_is_in_two_parts(
    rows: list[tuple[int, int, int]], seed: int, stratify: bool
) -> None:
    parts, held = parts_of(rows, seed, stratify=stratify, group=True)
    for column in (0, 1):
        seen = defaultdict(set)
        for row, part in zip(rows, parts):
            seen[row[column]].add(part)
        assert all(len(found) == 1 for found in seen.values())
    assert "train" in parts
    if held.groups >= 3 and len(rows) >= 10:
        assert set(parts) == set(PARTS)


@given(ROWS, st.integers(0, 9), st.booleans(), st.booleans())
@settings(deadline=None)
def test_the_rows_order_does_not_matter(
    rows: list[tuple[int, int, int]], seed: int, stratify: bool, group: bool
) -> None:
    order = list(range(len(rows)))
    random.Random(seed).shuffle(order)
    parts, _ = parts_of(rows, seed, stratify=stratify, group=group)
    mixed, _ = parts_of([rows[number] for number in order], seed, stratify=stratify, group=group)
    assert mixed == [parts[number] for number in order]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=3, max_size=80), st.integers(0, 9))
@settings(deadline=None)
def test_every_stratum_has_its_shares_to_within_one_group(groups: list[tuple[int, int]], seed: int) -> None:
    rows = [(number, number, stratum) for number, (stratum, size) in enumerate(groups) for _ in range(size)]
    parts, _ = parts_of(rows, seed, stratify=True, group=True)
    sizes = Counter(row[2] for row in rows)
    for stratum, size in sizes.items():
        largest = max(count for kind, count in groups if kind == stratum)
        for part, share in (("validation", 0.1), ("test", 0.1)):
            got = sum(row[2] == stratum and where == part for row, where in zip(rows, parts))
            assert abs(got - share * size) <= largest + 1, "rounding to whole rows is one more"


def test_strata_of_single_rows_meet_their_shares_exactly() -> None:
    rows = [(number, 0, 0 if number < 900 else 1 if number < 980 else 2) for number in range(1000)]
    parts, _ = parts_of(rows, 42, stratify=True, group=False)
    counts = Counter((row[2], part) for row, part in zip(rows, parts))
    assert [[counts[stratum, part] for part in PARTS] for stratum in range(3)] == [
        [720, 90, 90],
        [64, 8, 8],
        [16, 2, 2],
    ]


def test_a_field_with_a_value_for_each_row_still_gives_the_shares() -> None:
    parts, _ = parts_of([(n, 0, n) for n in range(100)], 42, stratify=True, group=False)
    assert Counter(parts) == {"train": 80, "validation": 10, "test": 10}


def test_a_group_reaches_through_common_questions() -> None:
    ranks = joined_ranks(array("Q", [5, 5, 9, 7]), [1, 2, 2, 3])
    assert ranks[0] == ranks[1] == ranks[2] != ranks[3]


def prepared(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {part: list(read_jsonl(folder / f"out/train_{part}.jsonl")) for part in PARTS}


def visits(count: int) -> list[dict[str, Any]]:
    return [
        {
            "question": f"第{n}次就诊说了什么？",
            "answer": f"答{n}",
            "meta": {"patient": n % 20},
            "label_zh": "急诊" if n % 5 == 0 else "门诊",
        }
        for n in range(count)
    ]


def test_prepare_splits_by_fields_of_the_rows(own_folder: Path, write: Any, events: Any) -> None:
    rows = visits(200)
    spec = PrepareSpec(
        input=str(write("v.json", rows)), output_dir="out", group="meta.patient", stratify="label_zh"
    )
    run_prepare(spec, own_folder, events)
    by_question = {row["question"]: row for row in rows}
    parts = {
        part: [by_question[row["messages"][0]["content"]] for row in found]
        for part, found in prepared(own_folder).items()
    }
    assert {part: len(found) for part, found in parts.items()} == {"train": 160, "validation": 20, "test": 20}
    patients = [{row["meta"]["patient"] for row in found} for found in parts.values()]
    assert not (patients[0] & patients[1] or patients[0] & patients[2] or patients[1] & patients[2])


@pytest.mark.parametrize("field", ["language", "length", "source"])
def test_what_is_told_from_the_content_can_stratify(
    own_folder: Path, write: Any, events: Any, field: str
) -> None:
    rows = [{"question": f"问题第{n}个", "answer": "好" * (20 if n % 2 else 200)} for n in range(40)]
    rows += [{"question": f"What is number {n}?", "answer": f"It is a number {n} of rows"} for n in range(40)]
    run_prepare(
        PrepareSpec(input=str(write("v.json", rows)), output_dir="out", stratify=field), own_folder, events
    )
    test = prepared(own_folder)["test"]
    assert len(test) == 8
    if field == "language":
        assert sum("问题" in row["messages"][0]["content"] for row in test) == 4


def test_rows_without_the_field_are_named_and_nothing_is_written(
    own_folder: Path, write: Any, events: Any
) -> None:
    rows = visits(30)
    del rows[3]["label_zh"]
    rows[7]["label_zh"] = None
    rows[9]["label_zh"] = ["x"]
    lines = write("v.jsonl", "\n".join(json.dumps(row) for row in rows))
    with pytest.raises(NoSplitField) as caught:
        run_prepare(PrepareSpec(input=str(lines), output_dir="out", stratify="label_zh"), own_folder, events)
    assert caught.value.params["lines"] == "v.jsonl:4, v.jsonl:8, v.jsonl:10"
    assert caught.value.params["found"] == ["question", "answer", "meta", "label_zh"]
    assert not (own_folder / "out").exists()


def test_values_that_are_not_in_every_part_are_told(own_folder: Path, write: Any, events: Any) -> None:
    rows = visits(60)
    rows[0]["label_zh"] = rows[1]["label_zh"] = "罕见"
    run_prepare(
        PrepareSpec(input=str(write("v.json", rows)), output_dir="out", stratify="label_zh"),
        own_folder,
        events,
    )
    (finding,) = (event for event in events if event.get("code") == "DATA-134")
    assert finding["params"]["values"] == "罕见 (2)" and finding["params"]["total"] == 3


def test_one_group_that_is_most_of_the_rows_is_told(own_folder: Path, write: Any, events: Any) -> None:
    rows = [{**row, "who": "a" if n < 48 else f"b{n}"} for n, row in enumerate(visits(50))]
    run_prepare(
        PrepareSpec(input=str(write("v.json", rows)), output_dir="out", group="who"), own_folder, events
    )
    assert "DATA-135" in events.codes()
    assert all(prepared(own_folder).values())
