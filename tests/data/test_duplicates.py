"""Near duplicates are found with their first, and different rows are left alone."""

from __future__ import annotations

import random
import re
import unicodedata

import numpy as np
import pytest

from mozhu.engine.data.duplicates import Duplicates, edit_distance, letters, similarity
from mozhu.engine.data.likely_pairs import signatures

ROWS, PLANTED = 10_000, 500
SYLLABLES = re.findall("..", "kalomirentuvasopeldrafingohusjemnoquirilbetzanworyitz")
HAN = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]


def sentence(rng: random.Random, chinese: bool) -> str:
    if chinese:
        parts = ["".join(rng.choices(HAN, k=rng.randint(6, 14))) for _ in range(rng.randint(3, 7))]
        return "，".join(parts) + "。"
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 3))) for _ in range(rng.randint(8, 25))]
    return " ".join(words).capitalize() + "."


def templated(rng: random.Random) -> str:
    """Rows that look alike and are not: another number, another thing."""
    if rng.random() < 0.5:
        first, second = rng.randint(10, 99999), rng.randint(10, 99999)
        return f"Please compute the sum of {first} and {second}. The answer is {first + second}."
    thing = "".join(rng.choices(HAN, k=6))
    return f"请介绍一下{thing}这个地方。{''.join(rng.choices(HAN, k=12))}是{thing}的特点。"


def edited(rng: random.Random, content: str) -> str:
    """One or two light edits: punctuation, spaces, width, one or two letters."""
    for _ in range(rng.randint(1, 2)):
        kind, place = rng.randrange(4), rng.randrange(1, len(content) - 1)
        if kind == 0:
            content = content.replace("，", rng.choice([",", "、", " "])).replace(".", rng.choice(["!", ""]))
        elif kind == 1:
            content = content[:place] + " " + content[place:]
        elif kind == 2:
            wide = {ord(char): chr(ord(char) + 0xFEE0) for char in "abcdefghijklmnop,.!"}
            content = content.translate(wide)
        else:
            letter = rng.choice(HAN) if ord(content[place]) > 0x2000 else rng.choice("abcdefgh")
            content = content[:place] + letter + content[place + rng.randint(0, 1) :]
    return content


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    rng = random.Random(4)
    rows = [
        templated(rng) if n % 10 == 0 else sentence(rng, chinese=n % 2 == 0) for n in range(ROWS - PLANTED)
    ]
    rows = list(dict.fromkeys(rows))
    origins = rng.sample([n for n in range(len(rows)) if not rows[n].startswith("Please")], PLANTED)
    truth = {}
    for origin in origins:
        truth[len(rows)] = origin
        rows.append(edited(rng, rows[origin]))
    search = Duplicates()
    for row in rows:
        search.add(row)
    found = {pair.second: pair.first for pair in search.pairs()}
    right = sum(found.get(second) == first for second, first in truth.items())
    assert right / len(truth) >= 0.98
    assert right / len(found) >= 0.99


def test_exact_copies_name_the_first() -> None:
    search = Duplicates()
    for row in ["同一句话，说三遍。", "another row of words", "同一句话 说三遍", "同一句话，说三遍！"]:
        search.add(row)
    assert [(pair.first, pair.second, pair.exact) for pair in search.pairs()] == [(0, 2, True), (0, 3, True)]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("How much is 3 + 4, please tell me now", "How much is 3 + 5, please tell me now"),
        ("请问 15 + 3 等于多少？请直接告诉我结果", "请问 15 - 3 等于多少？请直接告诉我结果"),
        ("The capital of France is the city of Paris", "The capital of Poland is the city of Warsaw"),
    ],
)
def test_rows_that_say_another_thing_are_no_duplicates(first: str, second: str) -> None:
    search = Duplicates()
    search.add(first)
    search.add(second)
    assert list(search.pairs()) == []


def test_many_rows_of_one_template_stay_apart_and_empty_ones_are_nobodys() -> None:
    search = Duplicates()
    for number in range(2000):
        search.add(f"Translate sentence {number} of the book into French, and keep its tone.")
    search.add("")
    search.add("！")
    assert list(search.pairs()) == []


def test_the_edit_distance_is_that_of_the_textbook() -> None:
    rng = random.Random(1)
    for _ in range(300):
        first, second = ("".join(rng.choices("abc", k=rng.randint(0, 12))) for _ in range(2))
        assert edit_distance(first, second) == textbook_distance(first, second)


def textbook_distance(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for place, letter in enumerate(first, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(second, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (letter != other)),
            )
    return row[-1]


def test_signatures_agree_as_often_as_the_grams_do() -> None:
    rng = random.Random(2)
    base = "".join(rng.choices(HAN, k=200))
    other = base[:150] + "".join(rng.choices(HAN, k=50))
    grams = [{text[n : n + 5] for n in range(len(text) - 4)} for text in (base, other)]
    jaccard = len(grams[0] & grams[1]) / len(grams[0] | grams[1])
    signed = signatures([base, "a filler between the two", other], 5)
    assert np.mean(signed[:, 0] == signed[:, 2]) == pytest.approx(jaccard, abs=0.17)
    assert np.mean(signed[:, 0] == signed[:, 1]) < 0.05


def test_width_case_spaces_and_punctuation_do_not_count() -> None:
    assert letters("Ｈello，　World！") == letters("hello world")
    assert unicodedata.is_normalized("NFKC", letters("①Ａ"))
    assert similarity("", "") == 1.0
