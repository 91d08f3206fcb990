"""Texts kept on disk are the texts, and duplicates found from disk are those found in memory."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.engine.data import likely_pairs, spool
from mozhu.engine.data.duplicates import Duplicates, Pair
from mozhu.engine.data.spool import Spool


@given(texts=st.lists(st.text(), max_size=30), at=st.data())
@settings(max_examples=60, deadline=None)
def test_a_spool_gives_back_what_it_was_given(texts: list[str], at: st.DataObject) -> None:
    kept = Spool()
    for number, content in enumerate(texts):
        assert kept.add(content) == number
        if at.draw(st.booleans()):  # reading between two additions changes nothing
            assert kept[number // 2] == texts[number // 2]
    assert len(kept) == len(texts)
    assert kept.between(0, len(texts) + 5) == texts
    assert [kept[number] for number in range(len(texts))] == texts


def found() -> list[Pair]:
    rng = random.Random(5)
    search = Duplicates()
    rows = [
        "".join(rng.choices("春夏秋冬山水云雨风花雪月江河湖海", k=rng.randint(20, 60))) for _ in range(400)
    ]
    for row in [*rows, *(row[:9] + "人" + row[10:] for row in rows[::7]), *rows[::31]]:
        search.add(row)
    return list(search.pairs())


def test_duplicates_are_the_same_from_disk_as_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    in_memory = found()
    assert len(in_memory) >= 60
    monkeypatch.setattr(spool, "_IN_MEMORY_BYTES", 1000)
    monkeypatch.setattr(likely_pairs, "_IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(likely_pairs, "_BLOCK_LETTERS", 500)
    monkeypatch.setattr(likely_pairs, "_TEXTS_READ", 7)
    monkeypatch.setattr(likely_pairs, "_PAIRS_AT_ONCE", 11)
    assert found() == in_memory


def test_a_negation_makes_another_text_and_what_sets_texts_apart_does_too() -> None:
    search = Duplicates()
    search.add("在这种情况下，病人每天可以服用两片这种药物，并多喝水。")
    search.add("在这种情况下，病人每天不可以服用两片这种药物，并多喝水。")
    search.add("You can leave the engine running while you fill the tank.", apart="true")
    search.add("You can not leave the engine running while you fill the tank.", apart="true")
    search.add("You can leave the engine running while you fill the tank!", apart="false")
    assert list(search.pairs()) == []
