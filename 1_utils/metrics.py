"""Text metrics as plain functions, and a place for a metric of your own.

评估指标：普通函数形式；也可登记自己的指标，之后 `mozhu evaluate --metrics 名称` 就能使用。

``answers`` and ``references`` are two texts, or two lists of the same length. The numbers are those of
``mozhu evaluate``: Chinese is counted by characters. All but ``accuracy``, ``perplexity`` need ``[train]``.

    from metrics import bleu, rouge

    print(rouge("北京是首都", "首都是北京")["rougeL"])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mozhu.kernel import slots
from mozhu.kernel.errors import BadToolArgument
from mozhu.kernel.texts import text

Texts = str | Sequence[str]
_SLOT = "mozhu.metrics"


def score(name: str, answers: Texts, references: Texts) -> Any:
    """The scores of a metric by name: ``corpus`` (all pairs together), ``rows`` (one a pair), ``signature``.

    Raises:
        MissingExtra: ENV-001, with the command to install it. UnknownSlotName: ENV-004, the nearest names.
    """
    pairs = _pairs(name, answers, references)
    return slots.load(_SLOT, name).score(pairs)


def bleu(answers: Texts, references: Texts) -> float:
    """Corpus BLEU by sacrebleu, 0..100; Chinese by characters."""
    return float(score("bleu", answers, references).corpus)


def rouge(answers: Texts, references: Texts) -> dict[str, float]:
    """F1 of ``rouge1``, ``rouge2`` and ``rougeL`` (Lin 2004), each 0..1."""
    return {name: float(score(name, answers, references).corpus) for name in ("rouge1", "rouge2", "rougeL")}


def f1(answers: Texts, references: Texts) -> float:
    """F1 over the words and characters that both texts share, 0..1, the mean over pairs."""
    return float(score("f1", answers, references).corpus)


def exact_match(answers: Texts, references: Texts) -> float:
    """The share of answers that equal their reference, but for blanks at the ends and full-width letters."""
    return float(score("exact_match", answers, references).corpus)


def accuracy(answers: Sequence[object], labels: Sequence[object]) -> float:
    """The share of ``answers`` equal to their label, 0..1; NaN for none. Any values that ``==`` compares."""
    _check_length("accuracy", "labels", len(labels), len(answers))
    if not answers:
        return float("nan")
    return sum(answer == label for answer, label in zip(answers, labels, strict=True)) / len(answers)


def perplexity(losses: Sequence[float], tokens: Sequence[int] | None = None) -> float:
    """exp of the mean loss (nats a token); ``tokens`` weighs each loss by the tokens it is a mean over.

    困惑度；各批 token 数不同时请给出 `tokens`，否则短的一批会被算得过重。
    """
    counts = [1] * len(losses) if tokens is None else list(tokens)
    _check_length("perplexity", "tokens", len(counts), len(losses))
    if min(counts, default=0) < 0 or sum(counts) == 0:
        expected = text("toolbox.expected.tokens")
        raise BadToolArgument(tool="perplexity", name="tokens", value=counts, expected=expected)
    mean = math.fsum(loss * count for loss, count in zip(losses, counts, strict=True) if count) / sum(counts)
    try:
        return math.exp(mean)
    except OverflowError:
        return math.inf


def register_metric(
    name: str,
    function: Callable[[str, str], float],
    *,
    better: Literal["higher", "lower"] = "higher",
    rule: str = "custom",
) -> None:
    """Make ``function(answer, reference) -> number`` a metric of this process, the mean over pairs.

    登记一个指标；写在 `2_core/` 的文件里，则工作区的每条命令都能用。

    ``rule`` goes into the signature beside every number: say what is counted, change it when that changes.
    """
    if not callable(function):
        _refuse("function", function, "function")
    if better not in ("higher", "lower"):
        _refuse("better", better, "better")
    slots.register(_SLOT, name, _OwnMetric(name, function, better, rule))


def metric_names() -> list[str]:
    """Every metric there is: built in, registered, and installed by third parties."""
    return slots.names(_SLOT)


@dataclass(frozen=True)
class _OwnMetric:
    """The port of the slot; what builds scores is loaded when it first scores: registering needs no extra."""

    name: str
    function: Callable[[str, str], float]
    better: str
    rule: str

    def score(self, pairs: Sequence[tuple[str, str]]) -> Any:
        mean = slots.load("mozhu.rooms", "mean_metric")
        return mean(self.name, self._one, self.rule, self.better).score(pairs)

    def _one(self, answer: str, reference: str) -> float:
        return float(self.function(answer, reference))


def _pairs(tool: str, answers: Texts, references: Texts) -> list[tuple[str, str]]:
    left = [answers] if isinstance(answers, str) else list(answers)
    right = [references] if isinstance(references, str) else list(references)
    _check_length(tool, "references", len(right), len(left))
    return list(zip(left, right, strict=True))


def _check_length(tool: str, name: str, found: int, wanted: int) -> None:
    if found != wanted:
        expected = text("toolbox.expected.same_length", count=wanted)
        raise BadToolArgument(tool=tool, name=name, value=found, expected=expected)


def _refuse(name: str, value: object, expected: str) -> None:
    words = text(f"toolbox.expected.{expected}")
    raise BadToolArgument(tool="register_metric", name=name, value=value, expected=words)
