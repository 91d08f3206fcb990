"""Text metrics over (answer, reference) pairs, each with a signature that says what was counted.

The port (slot ``mozhu.metrics``): an object with ``name``, ``better`` (``higher`` or ``lower``) and
``score(pairs) -> Scores``. An empty answer scores 0 and is counted; nothing is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from mozhu.engine.scoring.intervals import Combine, Interval, bootstrap, mean_of
from mozhu.engine.scoring.overlap import common_subsequence, f_measure, shared_ngrams
from mozhu.engine.scoring.units import TOKENISER, has_cjk, plain, units
from mozhu.kernel import slots

Pairs = Sequence[tuple[str, str]]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Scores:
    """``rows`` has one value a pair, in order. ``corpus`` is the value of all pairs together.

    ``parts`` (rows, k) and ``combine`` rebuild ``corpus`` from any rows; without them it is the mean.
    """

    rows: list[float]
    corpus: float
    signature: str
    parts: np.ndarray | None = None
    combine: Combine = field(default=mean_of, repr=False)

    def all_parts(self) -> np.ndarray:
        if self.parts is not None:
            return self.parts
        return np.column_stack([np.asarray(self.rows, dtype=np.float64), np.ones(len(self.rows))])

    def interval(self, seed: int = 42) -> Interval:
        return bootstrap(self.all_parts(), self.combine, seed=seed)


class Metric(Protocol):
    """What a metric is; a workspace's own goes into the slot ``mozhu.metrics``."""

    name: str
    better: Better

    def score(self, pairs: Pairs) -> Scores: ...


@dataclass(frozen=True)
class MeanMetric:
    """The mean over pairs of one value a pair."""

    name: str
    one: Callable[[str, str], float]
    rule: str
    better: Better = "higher"

    def score(self, pairs: Pairs) -> Scores:
        rows = [self.one(answer, reference) for answer, reference in pairs]
        return Scores(rows, _mean(rows), f"{self.name}|{self.rule}|mean")


class Bleu:
    """Corpus BLEU by sacrebleu on its scale 0..100; ``rows`` are sentence BLEU with effective order.

    Tokenised as ``zh`` (characters; Latin words whole) when a reference holds Chinese, else as ``13a``; the
    default ``13a`` gives 0 for Chinese.
    """

    name = "bleu"
    better: Better = "higher"

    def score(self, pairs: Pairs) -> Scores:
        tokenise = "zh" if any(has_cjk(reference) for _, reference in pairs) else "13a"
        corpus, sentence = BLEU(tokenize=tokenise), BLEU(tokenize=tokenise, effective_order=True)
        if not pairs:
            return Scores([], float("nan"), f"BLEU|tok:{tokenise}", np.zeros((0, 10)), _bleu_of)
        single = [sentence.sentence_score(answer, [reference]) for answer, reference in pairs]
        total = corpus.corpus_score([answer for answer, _ in pairs], [[reference for _, reference in pairs]])
        parts = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in single], dtype=np.float64)
        signature = f"BLEU|{corpus.get_signature()}|scale:0-100"
        return Scores([s.score for s in single], total.score, signature, parts, _bleu_of)


def _bleu_of(sums: np.ndarray) -> float:
    """Corpus BLEU from summed counts (4), totals (4) and the two lengths."""
    counts, totals = [int(n) for n in sums[:4]], [int(n) for n in sums[4:8]]
    return float(BLEU.compute_bleu(counts, totals, int(sums[8]), int(sums[9]), smooth_method="exp").score)


def rouge_n(answer: str, reference: str, n: int) -> float:
    """ROUGE-N F1 (Lin 2004) of two texts over :func:`units`, 0..1."""
    left, right = units(answer), units(reference)
    return f_measure(shared_ngrams(left, right, n), max(len(left) - n + 1, 0), max(len(right) - n + 1, 0))


def rouge_l(answer: str, reference: str) -> float:
    """ROUGE-L F1 (Lin 2004) of two texts over :func:`units`, 0..1."""
    left, right = units(answer), units(reference)
    return f_measure(common_subsequence(left, right), len(left), len(right))


def exact_match(answer: str, reference: str) -> float:
    """1 when both are the same text after NFKC and without blanks at the ends; an empty answer is 0."""
    return float(bool(plain(answer)) and plain(answer) == plain(reference))


def token_f1(answer: str, reference: str) -> float:
    """F1 over the units of both texts, whatever their order: the number that question-answering sets (SQuAD)
    report under this name, equal to ROUGE-1 F1 over the same units, 0..1.
    """
    return rouge_n(answer, reference, 1)


_RULE = f"tok:{TOKENISER}|norm:nfkc|case:lower|f1|scale:0-1"
bleu = Bleu()
rouge1 = MeanMetric("rouge1", lambda answer, reference: rouge_n(answer, reference, 1), _RULE)
rouge2 = MeanMetric("rouge2", lambda answer, reference: rouge_n(answer, reference, 2), _RULE)
rouge_longest = MeanMetric("rougeL", rouge_l, _RULE)
exact = MeanMetric("exact_match", exact_match, "norm:nfkc+strip|case:kept|scale:0-1")
f1 = MeanMetric("f1", token_f1, _RULE)


def load_metrics(names: Sequence[str]) -> list[Metric]:
    """The metrics of the slot ``mozhu.metrics`` by name, in order, each once.

    Raises:
        UnknownSlotName: ENV-004 with the nearest names.
    """
    return [slots.load("mozhu.metrics", name) for name in dict.fromkeys(names)]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else float("nan")
