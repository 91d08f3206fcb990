"""How fast answers are scored.

ROUGE-L: peer is the textbook table of the longest common subsequence (one cell for each pair of units), the
algorithm of ``rouge_score`` and of most scripts, over the same units. BLEU: peer is sacrebleu called directly for
the same answer (the corpus value and every sentence's); Mozhu uses sacrebleu and adds the counts that its
confidence intervals are made of. Values are compared before anything is measured.
"""

from __future__ import annotations

import random
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU

from benchmarks.harness import alternate, in_process
from benchmarks.report import Comparison
from benchmarks.table import Size
from mozhu.engine.scoring.metrics import bleu, rouge_longest
from mozhu.engine.scoring.overlap import f_measure
from mozhu.engine.scoring.units import units

Pairs = list[tuple[str, str]]
_LETTERS = "高血压是指血压持续高于正常值需要长期管理感冒多喝水好休息发烧超过三天请看医生糖尿病可以吃水果"


def measure(work: Path, size: Size) -> list[Comparison]:
    pairs = make_pairs(size["pairs"])
    return [_rouge(pairs), _bleu(pairs)]


def make_pairs(count: int, length: int = 150) -> Pairs:
    """Chinese answers of about ``length`` characters, each a reference with a third of its letters changed."""
    chance = random.Random(0)
    pairs = []
    for _ in range(count):
        reference = chance.choices(_LETTERS, k=chance.randint(length // 2, 3 * length // 2))
        answer = [chance.choice(_LETTERS) if chance.random() < 1 / 3 else letter for letter in reference]
        pairs.append(("".join(answer), "".join(reference)))
    return pairs


def _rouge(pairs: Pairs) -> Comparison:
    assert rouge_longest.score(pairs).rows == _rouge_by_table(pairs), "both sides give the same values"

    def ours() -> None:
        units.cache_clear()
        rouge_longest.score(pairs)

    def theirs() -> None:
        units.cache_clear()
        _rouge_by_table(pairs)

    measured = alternate({"mozhu": in_process(ours), "table of cells": in_process(theirs)})
    return Comparison("ROUGE-L", measured, len(pairs), "pairs", against=[("table of cells", "mozhu")])


def _bleu(pairs: Pairs) -> Comparison:
    ours, theirs = bleu.score(pairs), _bleu_by_sacrebleu(pairs)
    assert (ours.corpus, ours.rows) == theirs, "both sides give the same values"

    def mozhu() -> None:
        bleu.score(pairs)

    def sacrebleu() -> None:
        _bleu_by_sacrebleu(pairs)

    measured = alternate({"mozhu": in_process(mozhu), "sacrebleu": in_process(sacrebleu)})
    return Comparison("BLEU", measured, len(pairs), "pairs", against=[("mozhu", "sacrebleu")])


def _rouge_by_table(pairs: Pairs) -> list[float]:
    return [_table_f(units(answer), units(reference)) for answer, reference in pairs]


def _table_f(left: tuple[str, ...], right: tuple[str, ...]) -> float:
    above = [0] * (len(right) + 1)
    for one in left:
        row = [0]
        for place, other in enumerate(right):
            row.append(above[place] + 1 if one == other else max(above[place + 1], row[place]))
        above = row
    return f_measure(above[-1], len(left), len(right))


def _bleu_by_sacrebleu(pairs: Pairs) -> tuple[float, list[float]]:
    corpus, sentence = BLEU(tokenize="zh"), BLEU(tokenize="zh", effective_order=True)
    total = corpus.corpus_score([answer for answer, _ in pairs], [[reference for _, reference in pairs]])
    return total.score, [sentence.sentence_score(answer, [reference]).score for answer, reference in pairs]
