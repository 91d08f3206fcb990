"""Charts as inline SVG that need nothing else: the loss curve, and a value with its interval.

Colours are the page's CSS variables, so a chart follows the light and the dark look.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, TypeGuard

from mozhu.kernel.texts import text
from mozhu.kernel.ticks import nice_ticks, tick_label

Points = list[tuple[float, float]]
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 14, 44
_MOST_POINTS = 1200
_SMOOTHING = 0.9


@dataclass(frozen=True)
class Size:
    """Of a picture, and about how many ticks its axes have."""

    width: int = 960
    height: int = 320
    x_ticks: int = 10
    y_ticks: int = 7


LARGE, SMALL = Size(), Size(480, 210, 5, 4)


@dataclass(frozen=True)
class Mark:
    """Something that happened at ``x``. ``css``: ``checkpoint`` is a small sign on the axis, ``best`` a line."""

    x: float
    css: str
    name: str


@dataclass(frozen=True)
class Line:
    """One line of a chart. ``css``: ``raw`` is thin and pale, ``smooth`` bold, ``check`` has points."""

    name: str
    css: str
    points: Points


@dataclass(frozen=True)
class _Scale:
    """From values to places in the picture."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    size: Size

    def x(self, value: float) -> float:
        room = self.size.width - _LEFT - _RIGHT
        return _LEFT + (value - self.x_low) / (self.x_high - self.x_low) * room

    def y(self, value: float) -> float:
        room = self.size.height - _TOP - _BOTTOM
        return self.size.height - _BOTTOM - (value - self.y_low) / (self.y_high - self.y_low) * room


def loss_chart(events: Iterable[dict[str, Any]]) -> str:
    """The loss curve of a run: training loss, its smoothed line, and validation loss with a point each.

    A step that was run twice (after a resume) shows its last value; losses that are not finite leave a gap.
    Checkpoints are marked on the axis, and the lowest validation loss by a line. Without any loss it is empty.
    """
    events = list(events)
    training, smooth, validation = loss_lines(events)
    lines = [
        Line(text("report.loss.train"), "raw", training),
        Line(text("report.loss.smooth"), "smooth", smooth),
        Line(text("report.loss.validation"), "check", validation),
    ]
    return line_chart(
        [line for line in lines if line.points],
        text("report.loss.step"),
        text("report.loss.loss"),
        marks=_happenings(events, validation),
    )


def loss_lines(events: Iterable[dict[str, Any]]) -> tuple[Points, Points, Points]:
    """(training, smoothed, validation) loss by step, from a run's events."""
    training: dict[float, float] = {}
    smoothed: dict[float, float] = {}
    validation: dict[float, float] = {}
    for event in events:
        step, loss = event.get("step"), _value(event.get("loss"))
        if step is None or loss is None:
            continue
        if event["kind"] == "step":
            training[step] = loss
            given = _value(event.get("loss_smooth"))
            if given is not None:
                smoothed[step] = given
        elif event["kind"] == "eval":
            validation[step] = loss
    points = sorted(training.items())
    return points, sorted(smoothed.items()) or smooth_line(points), sorted(validation.items())


def _happenings(events: Iterable[dict[str, Any]], validation: Points) -> list[Mark]:
    steps = sorted({event["step"] for event in events if event["kind"] == "checkpoint" and event.get("step")})
    marks = [Mark(step, "checkpoint", text("report.loss.checkpoint")) for step in steps]
    known = [point for point in validation if math.isfinite(point[1])]
    if len(known) > 1:
        marks.append(Mark(min(known, key=lambda point: point[1])[0], "best", text("report.loss.best")))
    return marks


def smooth_line(points: Points, weight: float = _SMOOTHING) -> Points:
    """The exponential mean of ``points`` with the start corrected for (Kingma & Ba 2015, section 3)."""
    mean, seen, out = 0.0, 0.0, []
    for step, value in points:
        if math.isfinite(value):
            mean = weight * mean + (1 - weight) * value
            seen = weight * seen + (1 - weight)
        out.append((step, mean / seen if seen else value))
    return out


def line_chart(
    lines: Sequence[Line],
    x_name: str,
    y_name: str,
    *,
    size: Size = LARGE,
    marks: Sequence[Mark] = (),
    title: str = "",
    from_zero: bool = False,
) -> str:
    """An SVG picture of ``lines`` on common axes, with a legend; empty when there is nothing to draw.

    With a ``title`` it stands above the picture, and one line needs no legend.
    """
    scale = _scale(lines, size, from_zero)
    if scale is None:
        return ""
    shown = [mark for mark in marks if scale.x_low <= mark.x <= scale.x_high]
    drawn = "".join([*(_happened(mark, scale) for mark in shown), *(_draw(line, scale) for line in lines)])
    heading = f"<h3>{escape(title)}</h3>" if title else ""
    legend = "" if title and len(lines) == 1 else _legend(lines, shown)
    return (
        f'<figure class="chart">{heading}<svg viewBox="0 0 {size.width} {size.height}" role="img" '
        f'aria-label="{escape(y_name)}">{_axes(scale, x_name)}{drawn}</svg>{legend}</figure>'
    )


def interval_chart(values: Sequence[tuple[str, float, float | None, float | None]]) -> str:
    """Small picture of values above each other on one scale: (css class, value, low, high) each."""
    ends = [end for _, *three in values for end in three if end is not None and math.isfinite(end)]
    if not ends:
        return ""
    first, last = min(ends), max(ends)
    span = (last - first) or abs(last) or 1.0
    rows = []
    for index, (css, *three) in enumerate(values):
        value, low, high = ((8 + (end - first) / span * 144) if _finite(end) else None for end in three)
        y = 9 + 14 * index
        if low is not None and high is not None:
            rows.append(f'<line class="{css}" x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}"/>')
        if value is not None:
            rows.append(f'<circle class="{css}" cx="{value:.1f}" cy="{y}" r="4"/>')
    height = 4 + 14 * len(values)
    return f'<svg class="interval" viewBox="0 0 160 {height}" aria-hidden="true">{"".join(rows)}</svg>'


def _value(value: Any) -> float | None:
    """A number of an event; the records write what is not finite as a word."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _scale(lines: Sequence[Line], size: Size, from_zero: bool) -> _Scale | None:
    """Room for every finite value; from zero where the values come near it."""
    xs = [x for line in lines for x, y in line.points if math.isfinite(y)]
    ys = [y for line in lines for _, y in line.points if math.isfinite(y)]
    if not xs:
        return None
    low, high = min(ys), max(ys)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    floor = 0.0 if 0 <= low < (high - low) * 0.25 or (from_zero and low >= 0) else low - room
    room = max(room, high * 0.06) if from_zero else room
    x_low, x_high = min(xs), max(xs)
    return _Scale(x_low, x_high if x_high > x_low else x_low + 1, floor, high + room, size)


def _axes(scale: _Scale, x_name: str) -> str:
    parts = []
    right, bottom = scale.size.width - _RIGHT, scale.size.height - _BOTTOM
    y_ticks = nice_ticks(scale.y_low, scale.y_high, scale.size.y_ticks)
    y_step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else 1.0
    for value in y_ticks:
        y = scale.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_y_label(value, y_step)}</text>'
        )
    for value in nice_ticks(scale.x_low, scale.x_high, scale.size.x_ticks):
        if not float(value).is_integer():
            continue
        x = scale.x(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{value:,.0f}</text>')
    middle, foot = (_LEFT + right) / 2, scale.size.height - 6
    parts.append(f'<text class="axis" x="{middle}" y="{foot}" text-anchor="middle">{escape(x_name)}</text>')
    return "".join(parts)


def _y_label(value: float, step: float) -> str:
    """Very small values as powers of ten, as learning rates are written."""
    return f"{value:.0e}".replace("e-0", "e-") if value and 0 < step < 5e-5 else tick_label(value, step)


def _happened(mark: Mark, scale: _Scale) -> str:
    x, bottom = scale.x(mark.x), scale.size.height - _BOTTOM
    tip = f"<title>{escape(mark.name)} {mark.x:,.0f}</title>"
    if mark.css == "checkpoint":
        return f'<path class="mark checkpoint" d="M{x:.1f} {bottom - 7} l4 7 l-8 0 z">{tip}</path>'
    return f'<line class="mark {mark.css}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}">{tip}</line>'


def _draw(line: Line, scale: _Scale) -> str:
    shown = [[(scale.x(x), scale.y(y)) for x, y in run] for run in _runs(thinned(line.points))]
    path = " ".join("M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in run) for run in shown if run)
    marked = line.points if line.css == "check" or len(line.points) == 1 else []
    return f'<path class="{line.css}" d="{path}"/>' + "".join(_mark(line, x, y, scale) for x, y in marked)


def _mark(line: Line, x: float, y: float, scale: _Scale) -> str:
    """A point that says its value when the mouse is over it."""
    if not math.isfinite(y):
        return ""
    tip = f"<title>{escape(line.name)} {x:,.0f}: {y:.4f}</title>"
    return f'<circle class="{line.css}" cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="3">{tip}</circle>'


def _runs(points: Points) -> list[Points]:
    """``points`` cut where a value is not finite."""
    runs: list[Points] = [[]]
    for x, y in points:
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return runs


def thinned(points: Points, most: int = _MOST_POINTS) -> Points:
    """At most about ``most`` points that keep the lowest and the highest of every stretch, so spikes stay."""
    if len(points) <= most:
        return points
    size = math.ceil(2 * len(points) / most)
    kept: Points = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        ends = {min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])}
        kept.extend(sorted(ends))
    return kept


def _legend(lines: Sequence[Line], marks: Sequence[Mark] = ()) -> str:
    named = {line.css: line.name for line in lines} | {mark.css: mark.name for mark in marks}
    items = "".join(f'<span class="key {css}">{escape(name)}</span>' for css, name in named.items())
    return f'<figcaption class="legend">{items}</figcaption>'
