"""Plots of counts as inline SVG: a histogram with its cut-off and cumulative curve, bars inside of tables.

Colours are the page's CSS variables. A histogram is drawn twice, wide and narrow; the style shows the one that fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from mozhu.engine.data.statistics.lengths import Bin
from mozhu.engine.scoring.report.page import Html
from mozhu.kernel.ticks import nice_ticks, tick_label

_TOP, _BOTTOM = 26, 44
_SIZES = (("wide", 960, 300, 10), ("narrow", 400, 260, 4))


@dataclass(frozen=True)
class Series:
    """The bins of one kind of thing; ``css`` is its colour: ``main`` or ``second``."""

    name: str
    css: str
    bins: Sequence[Bin]


@dataclass(frozen=True)
class Labels:
    """The words of a histogram: what lies along it, what its cumulative curve means, the cut-off's own."""

    axis: str
    cumulative: str = ""
    cut_off: str = ""


def histogram(series: Sequence[Series], labels: Labels, cut_off: int | None = None) -> Html:
    """The picture; empty when there is nothing to draw. One series also has its cumulative curve."""
    shown = [one for one in series if one.bins]
    if not shown:
        return Html("")
    drawn = "".join(
        f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(labels.axis)}">'
        f"{_Picture(shown, labels, width, height, ticks).draw(cut_off)}</svg>"
        for css, width, height, ticks in _SIZES
    )
    return Html(f'<figure class="chart plot">{drawn}{_legend(shown, labels, cut_off)}</figure>')


def bar(share: float, css: str = "main") -> Html:
    """A bar that fills ``share`` of its cell."""
    width = 100 * min(1.0, max(0.0, share))
    return Html(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="rail" width="100" height="10"/><rect class="{css}" width="{width:.2f}" height="10"/></svg>'
    )


def stacked(parts: Sequence[tuple[str, str, float]]) -> Html:
    """One bar of several parts, (name, css, share of the whole) each, with its legend."""
    left, pieces = 0.0, []
    for name, css, share in parts:
        width = 100 * share
        pieces.append(
            f'<rect class="{css}" x="{left:.2f}" width="{width:.2f}" height="10">'
            f"<title>{escape(name)} {100 * share:.1f} %</title></rect>"
        )
        left += width
    keys = "".join(
        f'<span class="box {css}">{escape(name)} <b>{100 * share:.1f} %</b></span>'
        for name, css, share in parts
    )
    return Html(
        '<figure class="chart"><svg class="bar tall" viewBox="0 0 100 10" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(pieces)}</svg><figcaption class="legend">{keys}</figcaption></figure>'
    )


class _Picture:
    """One drawing. The last bin, which may hold all that is far longer, is as wide as the others."""

    def __init__(self, series: Sequence[Series], labels: Labels, width: int, height: int, ticks: int) -> None:
        self.series, self.labels, self.ticks = series, labels, ticks
        self.width, self.height = width, height
        self.curve = len(series) == 1 and bool(labels.cumulative)
        self.left, self.right = 48, 44 if self.curve else 14
        step = max(series, key=lambda one: len(one.bins)).bins[0]
        self.step = step.high - step.low + 1
        self.low = min(one.bins[0].low for one in series)
        self.high = max(self._end(one.bins) for one in series)
        last = max((one.bins[-1] for one in series), key=lambda piece: piece.low)
        self.long = last.low if last.high - last.low >= self.step else 0
        self.most = max(piece.count for one in series for piece in one.bins) or 1

    def draw(self, cut_off: int | None) -> str:
        bars = "".join(self._bars(one, place) for place, one in enumerate(self.series))
        curve = self._curve(self.series[0].bins) if self.curve else ""
        return f"{self._grid()}{bars}{curve}{self._cut_off(cut_off)}"

    def _end(self, bins: Sequence[Bin]) -> int:
        """Where the bars end: a last bin of the long ones counts as one step."""
        return min(bins[-1].high + 1, bins[-1].low + self.step)

    def _x(self, value: float) -> float:
        inside = (min(value, self.high) - self.low) / max(1, self.high - self.low)
        return self.left + inside * (self.width - self.left - self.right)

    def _y(self, share: float) -> float:
        return self.height - _BOTTOM - share * (self.height - _TOP - _BOTTOM)

    def _bars(self, one: Series, place: int) -> str:
        count, made = len(self.series), []
        for piece in one.bins:
            if not piece.count:
                continue
            first, last = self._x(piece.low), self._x(min(piece.high + 1, piece.low + self.step))
            room = (last - first) / count
            x, y = first + place * room, self._y(piece.count / self.most)
            made.append(
                f'<rect class="{one.css}" x="{x + 0.5:.1f}" y="{y:.1f}" width="{max(0.8, room - 1):.1f}" '
                f'height="{self.height - _BOTTOM - y:.1f}"><title>{piece.low:,}–{piece.high:,}: {piece.count:,}'
                "</title></rect>"
            )
        return "".join(made)

    def _curve(self, bins: Sequence[Bin]) -> str:
        total, seen = sum(piece.count for piece in bins), 0
        points = [(self._x(bins[0].low), self._y(0))]
        for piece in bins:
            seen += piece.count
            points.append((self._x(min(piece.high + 1, piece.low + self.step)), self._y(seen / total)))
        path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        words = "".join(
            f'<text x="{self.width - self.right + 6}" y="{self._y(share) + 4:.1f}">{100 * share:.0f} %</text>'
            for share in (0, 0.25, 0.5, 0.75, 1)
        )
        return f'<path class="curve" d="{path}"/>{words}'

    def _grid(self) -> str:
        parts = []
        values = [value for value in nice_ticks(0, self.most, 5) if float(value).is_integer()]
        for value in values:
            y = self._y(value / self.most)
            parts.append(
                f'<line class="grid" x1="{self.left}" x2="{self.width - self.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'
            )
        ticks = nice_ticks(self.low, self.high, self.ticks)
        step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
        last = self.width - self.right - (24 + 14 * len(f"{self.long:,}") if self.long else 0)
        y = self.height - _BOTTOM + 18
        for value in ticks:
            if step >= 1 and self._x(value) <= last:
                words = tick_label(value, max(step, 1.0))
                parts.append(f'<text x="{self._x(value):.1f}" y="{y}" text-anchor="middle">{words}</text>')
        if self.long:
            words = f"≥ {self.long:,}"
            parts.append(f'<text x="{self.width - self.right}" y="{y}" text-anchor="end">{words}</text>')
        middle = (self.left + self.width - self.right) / 2
        parts.append(
            f'<text class="axis" x="{middle}" y="{self.height - 6}" text-anchor="middle">'
            f"{escape(self.labels.axis)}</text>"
        )
        return "".join(parts)

    def _cut_off(self, limit: int | None) -> str:
        """The line of the cut-off; at the right edge, without a line, where everything is shorter."""
        if limit is None or limit > self.high:
            return ""
        x = self._x(limit)
        right = x > self.width / 2
        anchor, place = ("end", x - 6) if right else ("start", x + 6)
        return (
            f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 14}" y2="{self.height - _BOTTOM}"/>'
            f'<text class="limit" x="{place:.1f}" y="{_TOP - 12}" text-anchor="{anchor}">'
            f"{escape(self.labels.cut_off)}</text>"
        )


def _legend(series: Sequence[Series], labels: Labels, cut_off: int | None) -> str:
    keys = [f'<span class="box {one.css}">{escape(one.name)}</span>' for one in series]
    if len(series) == 1 and labels.cumulative:
        keys.append(f'<span class="key curve">{escape(labels.cumulative)}</span>')
    if cut_off is not None and labels.cut_off:
        keys.append(f'<span class="key limit">{escape(labels.cut_off)}</span>')
    return f'<figcaption class="legend">{"".join(keys)}</figcaption>'
