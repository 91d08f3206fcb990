"""Numbers of one or two models side by side, each with its interval, and what the difference shows."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from mozhu.engine.evaluation.score import Scored
from mozhu.engine.scoring.intervals import Interval, bootstrap_difference
from mozhu.specs.records.result import Metric

Verdict = Literal["better", "worse", "none", "few"]
# Resampling fewer rows than this says nothing about other rows.
LEAST_ROWS = 10


@dataclass(frozen=True)
class Number:
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """One metric. ``difference`` is tuned minus base; ``verdict`` needs its interval clear of 0."""

    name: str
    better: str
    signature: str
    rows: int
    tuned: Number
    base: Number | None = None
    difference: Number | None = None
    verdict: Verdict | None = None

    def record(self) -> Metric:
        """As it stands in ``result.json``."""
        more: dict[str, Any] = {"better": self.better}
        for name in ("base", "difference"):
            number = getattr(self, name)
            if number is not None:
                more[name] = asdict(number)
        if self.verdict is not None:
            more["verdict"] = self.verdict
        return Metric(
            value=self.tuned.value,
            low=self.tuned.low,
            high=self.tuned.high,
            n=self.rows,
            signature=self.signature,
            **more,
        )


def compare(tuned: Scored, base: Scored | None, *, seed: int, same_tokens: bool = True) -> list[Compared]:
    """Every metric of ``tuned``, beside ``base`` where it scored the same rows.

    Args:
        same_tokens: Whether both count the same tokens; perplexity of different tokenizers is not compared.
    """
    return [_compared(name, tuned, base, seed, same_tokens) for name in tuned.metrics]


def _compared(name: str, tuned: Scored, base: Scored | None, seed: int, same_tokens: bool) -> Compared:
    scores = tuned.metrics[name]
    own = _number(scores.corpus, scores.interval(seed))
    plain = Compared(name, tuned.better[name], scores.signature, len(scores.rows), own)
    if base is None or name not in base.metrics:
        return plain
    other = base.metrics[name]
    beside = _number(other.corpus, other.interval(seed))
    comparable = tuned.rows_of[name] == base.rows_of[name] and (same_tokens or name != "perplexity")
    if not comparable:
        return Compared(plain.name, plain.better, plain.signature, plain.rows, own, beside)
    gap = bootstrap_difference(scores.all_parts(), other.all_parts(), scores.combine, seed=seed)
    difference = _number(own.value - beside.value, gap)
    verdict = _verdict(gap, tuned.better[name]) if plain.rows >= LEAST_ROWS else "few"
    return Compared(plain.name, plain.better, plain.signature, plain.rows, own, beside, difference, verdict)


def _number(value: float, interval: Interval) -> Number:
    return Number(value, interval.low, interval.high)


def _verdict(gap: Interval, better: str) -> Verdict:
    if not gap.excludes_zero():
        return "none"
    return "better" if (gap.low > 0) == (better == "higher") else "worse"
