"""Plots and answers of a training's page: what its events say of every step beside the loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from mozhu.engine.scoring.report.blocks import named
from mozhu.engine.scoring.report.charts import SMALL, Line, Points, line_chart, smooth_line
from mozhu.engine.scoring.report.page import Cell, Html, Section, badge, table
from mozhu.engine.scoring.report.ticks import number
from mozhu.kernel.texts import text

_MOST_QUESTIONS, _MOST_ANSWERS = 8, 6
_GIB = 1 << 30
# Numbers of an event that are no figure of their own, or have a plot of their own.
_OTHERS = frozenset(
    {"schema", "seq", "step", "total", "epoch", "rows", "tokens", "eta_s", "loss", "loss_smooth", "lr"}
    | {"grad_norm", "tokens_per_s", "memory_bytes", "perplexity"}  # perplexity is the loss once more
)


def plots_section(events: Sequence[dict[str, Any]]) -> Section:
    """Learning rate, gradient norm, speed, memory, and the figures of the stage, each over the steps."""
    plots = [
        _plot(text("report.plot.lr"), [Line("lr", "smooth", _points(events, "step", "lr"))]),
        _noisy(text("report.plot.grad_norm"), _points(events, "step", "grad_norm")),
        _noisy(text("report.plot.tokens_per_s"), _points(events, "step", "tokens_per_s")),
        _plot(text("report.plot.memory"), [Line("memory", "smooth", _memory(events))], from_zero=True),
        *(_figure(events, name) for name in _figure_names(events)),
    ]
    drawn = "".join(plots)
    return Section(text("report.section.plots"), Html(f'<div class="plots">{drawn}</div>' if drawn else ""))


def answers_section(events: Iterable[dict[str, Any]]) -> Section:
    """What the model answered to each validation question over the steps."""
    asked: dict[str, dict[int, dict[str, Any]]] = {}
    for event in events:
        if event["kind"] == "sample" and "question" in event and event.get("step") is not None:
            asked.setdefault(str(event.get("row_id")), {})[event["step"]] = event
    shown = list(asked.values())[:_MOST_QUESTIONS]
    note = ""
    if len(asked) > len(shown):
        note = text("report.note.answers", shown=len(shown), total=len(asked))
    return Section(text("report.section.answers"), Html("".join(_answers(steps) for steps in shown)), note)


def _answers(steps: dict[int, dict[str, Any]]) -> str:
    first = next(iter(steps.values()))
    expected = str(first.get("expected") or "")
    chosen = sorted(steps)
    if len(chosen) > _MOST_ANSWERS:
        last = len(chosen) - 1
        chosen = [chosen[round(place * last / (_MOST_ANSWERS - 1))] for place in range(_MOST_ANSWERS)]
    rows: list[Sequence[Cell]] = [(number(step), _answer(steps[step], expected)) for step in chosen]
    headers = [text("report.column.step"), text("report.column.answer")]
    told = f"<p>{escape(text('report.sample.expected', words=expected))}</p>" if expected else ""
    body = table(headers, rows).markup
    return f'<div class="answered"><h3>{escape(str(first["question"]))}</h3>{told}{body}</div>'


def _answer(event: dict[str, Any], expected: str) -> Html:
    words = str(event.get("answer") or "")
    shown = escape(words) if words.strip() else f"<i>{escape(text('report.sample.empty'))}</i>"
    if event.get("stopped") is False:
        shown += " " + badge(text("report.sample.cut"), "plain").markup
    if expected and words.strip() == expected.strip():
        shown += ' <span class="badge good">✓</span>'
    return Html(shown)


def _figure(events: Sequence[dict[str, Any]], name: str) -> str:
    """A figure of the steps, pale with its smooth line, and of the evaluations with a point each."""
    points, checked = _points(events, "step", name), _points(events, "eval", name)
    lines = [*_smoothed(points), Line(text("report.plot.check"), "check", checked)]
    return _plot(named("report.figure", name), [line for line in lines if line.points])


def _figure_names(events: Iterable[dict[str, Any]]) -> list[str]:
    found: dict[str, None] = {}
    for event in events:
        if event["kind"] in ("step", "eval"):
            found.update(
                dict.fromkeys(
                    name for name, value in event.items() if name not in _OTHERS and _is_number(value)
                )
            )
    return list(found)


def _noisy(title: str, points: Points) -> str:
    return _plot(title, [line for line in _smoothed(points) if line.points])


def _smoothed(points: Points) -> list[Line]:
    """The points themselves, pale, under their smooth line."""
    return [
        Line(text("report.plot.train"), "raw", points),
        Line(text("report.plot.smooth"), "smooth", smooth_line(points)),
    ]


def _plot(title: str, lines: Sequence[Line], *, from_zero: bool = False) -> str:
    return line_chart(lines, text("report.loss.step"), title, size=SMALL, title=title, from_zero=from_zero)


def _memory(events: Iterable[dict[str, Any]]) -> Points:
    return [(step, value / _GIB) for step, value in _points(events, "step", "memory_bytes")]


def _points(events: Iterable[dict[str, Any]], kind: str, name: str) -> Points:
    """A number by step; what is not finite leaves a gap, and a step that was run twice shows its last value."""
    found: dict[float, float] = {}
    for event in events:
        step, value = event.get("step"), event.get(name)
        if event["kind"] == kind and step is not None and value is not None:
            found[step] = float(value) if _is_number(value) else math.nan
    return sorted(found.items())


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
