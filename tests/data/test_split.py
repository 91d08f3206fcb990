"""The split: nothing lost, nothing twice, the same every time, no question in two parts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data.split import Shares, question_key, split_rows


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
