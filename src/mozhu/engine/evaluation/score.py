"""One model scored on one set of rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mozhu.engine.evaluation.progress import Progress
from mozhu.engine.evaluation.sides import Side
from mozhu.engine.inference.generate import Answer, generate_many
from mozhu.engine.scoring.examples import Ask, flattened, row_ask, row_examples
from mozhu.engine.scoring.intervals import mean_of
from mozhu.engine.scoring.metrics import Better, Metric, Scores
from mozhu.engine.scoring.perplexity import (
    Likelihood,
    RowScore,
    bits_per_byte_of,
    perplexity_of,
    score_rows,
)
from mozhu.kernel.errors import BadMetric
from mozhu.specs.evaluate import EvaluateSpec

LIKELIHOOD = ("perplexity", "bits_per_byte")
_SIGNATURE = {
    "perplexity": "exp(nats/token)|scored:assistant tokens, or a text's|weighted by tokens",
    "bits_per_byte": "bits/utf-8 byte of the scored text|comparable between tokenizers",
}


@dataclass
class Scored:
    """What one model did on one set of rows. ``metrics`` hold one value for each of their own rows.

    ``rows_of`` gives the row numbers that a metric counted; ``seconds`` are the wall time; ``details``
    is what else is written beside the metrics.
    """

    metrics: dict[str, Scores] = field(default_factory=dict)
    better: dict[str, Better] = field(default_factory=dict)
    rows_of: dict[str, list[int]] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    asks: dict[int, Ask] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0
    details: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, scores: Scores, rows: list[int], better: Better) -> None:
        self.metrics[name], self.rows_of[name], self.better[name] = scores, rows, better

    def column(self, name: str) -> dict[int, float]:
        """The value of every row that the metric counted."""
        return dict(zip(self.rows_of[name], self.metrics[name].rows, strict=True))


def work_of(rows: Sequence[dict[str, Any]], spec: EvaluateSpec) -> int:
    """How many rows of work :func:`score_side` reports for ``rows``."""
    passes = int(any(name in LIKELIHOOD for name in spec.metrics)) + int(asks_answers(spec))
    return passes * len(rows)


def asks_answers(spec: EvaluateSpec) -> bool:
    return any(name not in LIKELIHOOD for name in spec.metrics)


def score_side(
    side: Side,
    rows: Sequence[dict[str, Any]],
    spec: EvaluateSpec,
    metrics: Sequence[Metric],
    progress: Progress,
) -> Scored:
    """Every metric of ``spec`` for ``side`` on ``rows``; rows that a metric cannot use are left out of it.

    Raises:
        BadMetric: EVAL-003. Generation and rendering errors as they come.
    """
    began = time.monotonic()
    scored = Scored()
    if any(name in LIKELIHOOD for name in spec.metrics):
        _add_likelihood(scored, side, rows, spec, progress)
    if asks_answers(spec):
        _add_answers(scored, side, rows, spec, progress)
        _add_text_metrics(scored, metrics)
    scored.seconds = time.monotonic() - began
    return scored


def _add_likelihood(
    scored: Scored, side: Side, rows: Sequence[dict[str, Any]], spec: EvaluateSpec, progress: Progress
) -> None:
    groups = [row_examples(row, side.tokenizer, side.renderer) for row in rows]
    examples, owners = flattened(groups)
    report = progress.part("perplexity")
    values = score_rows(
        side.model,
        examples,
        batch_size=spec.batch_size,
        progress=lambda done, of: report(done * len(rows) // of, len(rows)),
    )
    report(len(rows), len(rows))
    likelihood = Likelihood(tuple(_by_row(values, owners)))
    counted = list(dict.fromkeys(owners))
    if not counted:
        return
    scored.tokens = likelihood.tokens
    for name, combine in (("perplexity", perplexity_of), ("bits_per_byte", bits_per_byte_of)):
        if name in spec.metrics:
            parts = likelihood.parts()
            each = [combine(part) for part in parts]
            scored.add(
                name,
                Scores(each, combine(parts.sum(axis=0)), _SIGNATURE[name], parts, combine),
                counted,
                "lower",
            )


def _by_row(values: Sequence[RowScore], owners: Sequence[int]) -> list[RowScore]:
    """The scores of a row's examples together, in the order of the rows."""
    sums: dict[int, RowScore] = {}
    for owner, value in zip(owners, values, strict=True):
        old = sums.get(owner, RowScore(0.0, 0, 0))
        sums[owner] = RowScore(
            old.nll + value.nll, old.tokens + value.tokens, old.text_bytes + value.text_bytes
        )
    return list(sums.values())


def _add_answers(
    scored: Scored, side: Side, rows: Sequence[dict[str, Any]], spec: EvaluateSpec, progress: Progress
) -> None:
    asks = [ask for number, row in enumerate(rows) if (ask := row_ask(number, row, side.renderer))]
    report = progress.part("answers")
    if asks and side.renderer is not None:
        answers = generate_many(
            side.model,
            side.tokenizer,
            [ask.prompt_ids for ask in asks],
            max_new_tokens=spec.max_new_tokens,
            stop_ids=side.renderer.stop_ids,
            temperature=spec.temperature,
            top_p=spec.top_p,
            seed=spec.seed,
            batch_size=spec.batch_size,
            progress=lambda done, of: report(done * len(rows) // of, len(rows)),
        )
        scored.asks = {ask.row: ask for ask in asks}
        scored.answers = {ask.row: answer for ask, answer in zip(asks, answers, strict=True)}
    report(len(rows), len(rows))


def _add_text_metrics(scored: Scored, metrics: Sequence[Metric]) -> None:
    if not scored.answers:
        return
    rows = sorted(scored.answers)
    pairs = [(scored.answers[row].text, scored.asks[row].reference) for row in rows]
    for metric in metrics:
        scores = metric.score(pairs)
        if len(scores.rows) != len(pairs):
            raise BadMetric(name=metric.name, pairs=len(pairs), rows=len(scores.rows))
        scored.add(metric.name, scores, rows, metric.better)
    stopped = [float(scored.answers[row].stopped) for row in rows]
    signature = "share of answers that ended by themselves"
    scored.add(
        "stop_rate", Scores(stopped, float(np.mean(stopped)), signature, None, mean_of), rows, "higher"
    )
