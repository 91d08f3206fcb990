"""Metrics against reference implementations, and the rules that a reader of a report relies on."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from mozhu.engine.scoring.intervals import bootstrap, bootstrap_difference, mean_of
from mozhu.engine.scoring.metrics import bleu, exact, f1, load_metrics, rouge1, rouge2, rouge_longest
from mozhu.engine.scoring.overlap import common_subsequence
from mozhu.engine.scoring.units import units
from mozhu.kernel import slots
from mozhu.kernel.errors import UnknownSlotName

ZH = [
    ("高血压要长期管理，少吃盐。", "高血压需要长期管理，并且少吃盐。"),
    ("多喝水，好好休息。", "感冒了要多喝水，好好休息，三天不退烧看医生。"),
    ("", "不能空着。"),
    ("完全不相干的话", "苹果和柚子"),
]


def naive_lcs(left: str, right: str) -> int:
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1][j + 1] = table[i][j] + 1 if a == b else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@settings(max_examples=200, deadline=None)
@given(st.text("abc高血", max_size=80), st.text("abc高血", max_size=80))
def test_the_common_subsequence_is_that_of_the_plain_table(left: str, right: str) -> None:
    assert common_subsequence(left, right) == naive_lcs(left, right)


def test_units_are_characters_for_chinese_and_words_for_english() -> None:
    assert units("ＧＰＴ-4 很强，don't 怕！") == ("gpt", "4", "很", "强", "don", "t", "怕")


def test_bleu_is_that_of_sacrebleu_and_not_zero_for_chinese() -> None:
    scores = bleu.score(ZH)
    reference = BLEU(tokenize="zh").corpus_score([a for a, _ in ZH], [[r for _, r in ZH]])
    assert scores.corpus == pytest.approx(reference.score)
    assert scores.corpus > 5
    assert "tok:zh" in scores.signature
    assert "version:" in scores.signature
    assert len(scores.rows) == len(ZH)


def test_english_bleu_is_the_published_one() -> None:
    pairs = [
        ("the cat sat on the mat", "the cat is on the mat"),
        ("hello there, world", "hello, world there"),
    ]
    reference = BLEU().corpus_score([a for a, _ in pairs], [[r for _, r in pairs]])
    assert bleu.score(pairs).corpus == pytest.approx(reference.score)


@pytest.mark.parametrize("pairs", [ZH, ZH[:1], ZH[2:3]])
def test_the_parts_of_bleu_add_up_to_the_corpus_value(pairs: list[tuple[str, str]]) -> None:
    scores = bleu.score(pairs)
    assert scores.combine(scores.all_parts().sum(axis=0)) == pytest.approx(scores.corpus)


def test_rouge_by_hand() -> None:
    pair = [
        ("我爱北京", "我很爱北京城")
    ]  # 4 and 6 characters, 4 shared in order; bigrams 爱北 北京 of 3 and 5
    assert rouge1.score(pair).corpus == pytest.approx(2 * 4 / 10)
    assert rouge2.score(pair).corpus == pytest.approx(2 * 2 / 8)
    assert rouge_longest.score(pair).corpus == pytest.approx(2 * 4 / 10)
    turned = [("京北爱我", "我很爱北京城")]
    assert rouge1.score(turned).corpus == pytest.approx(0.8)
    assert rouge_longest.score(turned).corpus < 0.4


def test_an_empty_answer_counts_as_zero_and_a_perfect_one_as_full() -> None:
    for metric in (bleu, rouge1, rouge2, rouge_longest, exact, f1):
        full = 100.0 if metric is bleu else 1.0
        scores = metric.score([("", "有答案。"), ("高血压要长期管理。", "高血压要长期管理。")])
        assert scores.rows[0] == 0
        assert scores.rows[1] == pytest.approx(full)
        assert len(scores.rows) == 2
        assert metric.score([("", "")]).rows == [0.0]


def test_exact_match_ignores_width_and_outer_blanks_only() -> None:
    assert exact.score([(" Ａ1 \n", "A1")]).corpus == 1.0
    assert exact.score([("a1", "A1")]).corpus == 0.0


def test_random_texts_never_leave_the_scale() -> None:
    random.seed(3)
    words = ["高", "血", "压", " cat", " dog", "。", "，", "1"]
    pairs = [
        tuple("".join(random.choices(words, k=random.randint(0, 30))) for _ in range(2)) for _ in range(100)
    ]
    for metric in (rouge1, rouge2, rouge_longest, exact, f1):
        assert all(0 <= value <= 1 for value in metric.score(pairs).rows)
    assert all(-1e-9 <= value <= 100.0001 for value in bleu.score(pairs).rows)


def test_intervals_are_repeatable_and_hold_the_value() -> None:
    scores = rouge1.score(ZH * 20)
    first, again = scores.interval(7), scores.interval(7)
    assert first == again
    assert first.low < scores.corpus < first.high
    constant = np.column_stack([np.full(30, 0.5), np.ones(30)])
    assert bootstrap(constant, mean_of).low == pytest.approx(0.5)


def test_the_interval_is_about_as_wide_as_theory_says() -> None:
    values = np.random.default_rng(0).normal(1.0, 2.0, 400)
    found = bootstrap(np.column_stack([values, np.ones(400)]), mean_of)
    half = 1.96 * values.std() / math.sqrt(400)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.12)


def test_a_paired_difference_sees_what_separate_intervals_do_not() -> None:
    noise = np.random.default_rng(1).normal(0, 1, 200)
    base = np.column_stack([noise, np.ones(200)])
    tuned = np.column_stack([noise + 0.05, np.ones(200)])
    gap = bootstrap_difference(tuned, base, mean_of)
    assert gap.excludes_zero()
    assert gap.low == pytest.approx(0.05)
    assert not bootstrap_difference(base, base, mean_of).excludes_zero()


def test_metrics_come_from_the_slot_and_a_workspace_can_add_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [metric.name for metric in load_metrics(["bleu", "f1", "bleu"])] == ["bleu", "f1"]
    monkeypatch.setitem(slots._added, "mozhu.metrics", {"mine": rouge1})
    assert load_metrics(["mine"]) == [rouge1]
    with pytest.raises(UnknownSlotName, match="rougeL"):
        load_metrics(["rouge-l"])
