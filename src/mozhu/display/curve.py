"""A line chart of characters for the terminal: braille cells of 2 x 4 points, with axes.

Where the terminal cannot show braille, cells become ``*`` and ``.``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rich.text import Text

from mozhu.kernel.ticks import nice_ticks, tick_label

Points = Sequence[tuple[float, float]]
# The bit of each point of a braille cell, by row and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BRAILLE = 0x2800


@dataclass(frozen=True)
class Series:
    """``dots`` shows single points, ``line`` joins them, ``marks`` draws a letter at each; later ones lie above."""

    points: Points
    style: str
    kind: Literal["dots", "line", "marks"] = "line"
    mark: str = "o"


def draw_curve(
    series: Sequence[Series], width: int, height: int, *, braille: bool = True, x_to: float | None = None
) -> list[Text]:
    """The chart in at most ``width`` columns and ``height`` lines, axis included; nothing without finite points.

    Args:
        x_to: How far the x axis goes at least: the last step of a run that is under way.
    """
    points = [point for item in series for point in item.points if math.isfinite(point[1])]
    if not points or height < 3 or width < 16:
        return []
    frame = _frame(points, height - 2, x_to)
    labels = frame.labels(height - 2)
    margin = max((len(label) for label in labels.values()), default=1) + 1
    canvas = _Canvas(width - margin - 1, height - 2, frame)
    for item in series:
        canvas.draw(item)
    lines = []
    for row in range(canvas.rows):
        label = labels.get(row, "")
        line = Text().append(label.rjust(margin) + ("┤" if label else "│"), style="dim")
        line.append_text(canvas.row(row, braille=braille))
        lines.append(line)
    return [*lines, *_x_axis(canvas, margin)]


@dataclass(frozen=True)
class _Frame:
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def labels(self, rows: int) -> dict[int, str]:
        """What stands beside each row: round values, where they fall."""
        ticks = nice_ticks(self.y_low, self.y_high, max(2, rows // 3))
        step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(self.y_high - self.y_low)
        return {self.row_of(value, rows): tick_label(value, step) for value in ticks}

    def row_of(self, value: float, rows: int) -> int:
        share = (value - self.y_low) / (self.y_high - self.y_low)
        return min(rows - 1, max(0, round((1 - share) * (rows - 1))))


def _frame(points: Points, rows: int, x_to: float | None) -> _Frame:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    room = (high - low) * 0.04 or abs(high) * 0.1 or 1.0
    x_low, x_high = min(xs), max([*xs, x_to or 0.0])
    return _Frame(x_low, x_high if x_high > x_low else x_low + 1, low - room, high + room)


class _Canvas:
    def __init__(self, columns: int, rows: int, frame: _Frame) -> None:
        self.columns, self.rows, self.frame = columns, rows, frame
        self._bits = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._marks: dict[tuple[int, int], tuple[str, str]] = {}

    def draw(self, series: Series) -> None:
        last: tuple[int, int] | None = None
        for x, y in series.points:
            if not math.isfinite(y):
                last = None  # a gap
                continue
            place = self._place(x, y)
            if series.kind == "marks":
                self._marks[place[1] // 4, place[0] // 2] = (series.mark, series.style)
            elif series.kind == "line" and last is not None:
                self._line(last, place, series.style)
            else:
                self._dot(*place, series.style)
            last = place

    def column(self, x: float) -> int:
        return self._place(x, self.frame.y_low)[0] // 2

    def row(self, row: int, *, braille: bool) -> Text:
        line = Text()
        for column in range(self.columns):
            bits, style = self._bits[row][column], self._styles[row][column]
            if (row, column) in self._marks:
                line.append(*self._marks[row, column])
            elif bits:
                line.append(chr(_BRAILLE + bits) if braille else "." if "dim" in style else "*", style=style)
            else:
                line.append(" ")
        return line

    def _place(self, x: float, y: float) -> tuple[int, int]:
        """Column and row of a point, in points; the first row is the top one."""
        frame = self.frame
        across = (x - frame.x_low) / (frame.x_high - frame.x_low) * (self.columns * 2 - 1)
        down = (frame.y_high - y) / (frame.y_high - frame.y_low) * (self.rows * 4 - 1)
        return (
            min(self.columns * 2 - 1, max(0, round(across))),
            min(self.rows * 4 - 1, max(0, round(down))),
        )

    def _dot(self, x: int, y: int, style: str) -> None:
        self._bits[y // 4][x // 2] |= _BITS[y % 4][x % 2]
        self._styles[y // 4][x // 2] = style

    def _line(self, start: tuple[int, int], end: tuple[int, int], style: str) -> None:
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for number in range(steps + 1):
            share = number / steps
            self._dot(
                round(start[0] + (end[0] - start[0]) * share),
                round(start[1] + (end[1] - start[1]) * share),
                style,
            )


def _x_axis(canvas: _Canvas, margin: int) -> list[Text]:
    frame = canvas.frame
    ticks = nice_ticks(frame.x_low, frame.x_high, max(2, canvas.columns // 14))
    rule, words, free = ["─"] * canvas.columns, [" "] * canvas.columns, 0
    for value in ticks:
        if not float(value).is_integer():
            continue
        column, label = canvas.column(value), f"{value:,.0f}"
        start = min(max(0, column - len(label) // 2), canvas.columns - len(label))
        if start < free:
            continue
        rule[column] = "┬"
        words[start : start + len(label)] = label
        free = start + len(label) + 2
    return [
        Text(" " * margin + "└" + "".join(rule), style="dim"),
        Text((" " * (margin + 1) + "".join(words)).rstrip(), style="dim"),
    ]
