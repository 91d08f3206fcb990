"""``report.html`` of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from mozhu.engine.evaluation.compare import Compared, Number
from mozhu.engine.scoring.report.blocks import (
    Sample,
    certificate_section,
    code,
    metric_value,
    named,
    samples_section,
    with_small,
)
from mozhu.engine.scoring.report.charts import interval_chart, loss_chart
from mozhu.engine.scoring.report.page import (
    Card,
    Cell,
    Heading,
    Html,
    Section,
    badge,
    folded,
    joined,
    pairs,
    table,
    write_report,
)
from mozhu.kernel.texts import text
from mozhu.specs.records.certificate import Certificate

_MOST_SAMPLES = 12
_FIRST = ("perplexity", "rougeL", "exact_match")
_VERDICT_KIND = {"better": "good", "worse": "bad", "none": "plain", "few": "plain"}


@dataclass(frozen=True)
class Report:
    """Everything the page shows. ``rows`` are those of the row table; ``events`` of the training run."""

    name: str
    facts: Sequence[tuple[str, str]]
    metrics: Sequence[Compared]
    rows: Sequence[dict[str, Any]]
    rows_file: str
    train_metrics: Sequence[Compared] = ()
    events: Sequence[dict[str, Any]] = ()
    certificates: Sequence[Certificate] = field(default_factory=tuple)


def write_evaluation_report(path: Path, report: Report) -> Path:
    """Write the page in one atomic step and return its path."""
    sections = [
        _metrics_section(text("report.section.metrics"), report.metrics),
        _metrics_section(text("report.section.metrics_train"), report.train_metrics),
        _samples(report),
        Section(text("report.section.loss"), Html(loss_chart(report.events))),
        *(certificate_section(certificate) for certificate in report.certificates),
    ]
    heading = Heading(
        title=text("report.title.evaluation", name=report.name), lines=report.facts, cards=_cards(report)
    )
    return write_report(path, heading, sections)


def _cards(report: Report) -> list[Card]:
    answered = sum(1 for row in report.rows if row["reference"] is not None)
    cards = [
        Card(
            text("report.card.rows"),
            f"{len(report.rows):,}",
            text("report.card.answers", count=f"{answered:,}"),
        )
    ]
    by_name = {metric.name: metric for metric in report.metrics}
    for name in [name for name in dict.fromkeys((*_FIRST, *by_name)) if name in by_name][:3]:
        metric = by_name[name]
        beside = text("report.card.base", value=metric_value(name, metric.base.value)) if metric.base else ""
        cards.append(Card(_metric_name(name), metric_value(name, metric.tuned.value), beside))
    return cards


def _metrics_section(title: str, metrics: Sequence[Compared]) -> Section:
    if not metrics:
        return Section(title, Html(""))
    compared = any(metric.base for metric in metrics)
    names = ["metric", "base", "tuned", "interval", "difference", "verdict"]
    names = names if compared else ["metric", "value", "interval"]
    rows = [_compared_row(metric) if compared else _plain_row(metric) for metric in metrics]
    body = joined(
        table([_header(name) for name in names], rows, numeric=(1, 2, 4) if compared else (1,)),
        folded(
            text("report.signatures"), pairs([(_metric_name(m.name), code(m.signature)) for m in metrics])
        ),
    )
    return Section(title, body, text("report.note.interval"))


def _header(name: str) -> Cell:
    """A model's column carries the colour of its marks."""
    word = text(f"report.column.{name}")
    return Html(f'<span class="dot {name}"></span>{escape(word)}') if name in ("base", "tuned") else word


def _plain_row(metric: Compared) -> list[Cell]:
    return [
        _named(metric),
        metric_value(metric.name, metric.tuned.value),
        joined(Html(interval_chart([_dot("tuned", metric.tuned)])), _range(metric.name, metric.tuned)),
    ]


def _compared_row(metric: Compared) -> list[Cell]:
    dots = [_dot("base", metric.base)] if metric.base else []
    chart = interval_chart([*dots, _dot("tuned", metric.tuned)])
    return [
        _named(metric),
        _with_range(metric.name, metric.base),
        _with_range(metric.name, metric.tuned),
        Html(chart),
        _with_range(metric.name, metric.difference, sign=True),
        _verdict(metric),
    ]


def _named(metric: Compared) -> Html:
    return with_small(_metric_name(metric.name), text(f"report.better.{metric.better}"))


def _metric_name(name: str) -> str:
    return named("report", f"metric.{name}").removeprefix("metric.")


def _dot(css: str, number: Number) -> tuple[str, float, float | None, float | None]:
    return css, number.value, number.low, number.high


def _range(name: str, number: Number) -> Html:
    return with_small("", f"{metric_value(name, number.low)} – {metric_value(name, number.high)}")


def _with_range(name: str, number: Number | None, *, sign: bool = False) -> Cell:
    if number is None:
        return "—"
    plus = "+" if sign and number.value > 0 else ""
    shown = f"{metric_value(name, number.low)} – {metric_value(name, number.high)}"
    return with_small(plus + metric_value(name, number.value), shown)


def _verdict(metric: Compared) -> Cell:
    if metric.verdict is None:
        return "—"
    return badge(text(f"report.verdict.{metric.verdict}"), _VERDICT_KIND[metric.verdict])


def _samples(report: Report) -> Section:
    """Rows with answers, the ones where the two models differ first."""
    answered = [row for row in report.rows if row["answer"] is not None]
    shown = sorted(answered, key=lambda row: row["answer"] == row["base_answer"])[:_MOST_SAMPLES]
    note = text("report.sample.note", total=f"{len(report.rows):,}", shown=len(shown), file=report.rows_file)
    return samples_section([_sample(row) for row in shown], note)


def _sample(row: dict[str, Any]) -> Sample:
    answers: list[tuple[str, str, str, bool]] = []
    if row["base_answer"] is not None:
        answers.append(("base", text("report.sample.base"), row["base_answer"], row["base_stopped"] is False))
    answers.append(("tuned", text("report.sample.tuned"), row["answer"], row["stopped"] is False))
    return Sample(row["prompt"], row["reference"], answers)
