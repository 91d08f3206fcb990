"""A training as one picture for the terminal: its curve, its figures, what it noticed, what it answers."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from mozhu.display.curve import Series, draw_curve
from mozhu.display.progress import clock, finding_text, is_step
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import has_text, text

_LEAST_CURVE, _MOST_CURVE = 6, 30
_MOST_FINDINGS, _MOST_SAMPLES = 3, 3
_KNOWN = frozenset(
    {
        "schema",
        "seq",
        "t",
        "kind",
        "of",
        "step",
        "total",
        "epoch",
        "unit",
        "rows",
        "loss",
        "loss_smooth",
        "lr",
    }
    | {"grad_norm", "tokens", "tokens_per_s", "memory_bytes", "eta_s"}
)


class TrainingPicture:
    """Takes events one by one; drawn to the size that the terminal has at that moment."""

    def __init__(self, name: str, *, state: str = "running") -> None:
        self.name, self.state = name, state
        self.losses: dict[int, float] = {}
        self.smooth: dict[int, float] = {}
        self.evaluations: dict[int, float] = {}
        self.last: dict[str, Any] = {}
        self.findings: dict[tuple[str, str], str] = {}
        self.samples: dict[str, dict[str, Any]] = {}
        self.checkpoints: list[int] = []
        self.failure = ""

    def take(self, event: dict[str, Any]) -> None:
        kind = event["kind"]
        step = event.get("step")
        if is_step(event):
            self.last = event
            if step is not None and "loss" in event:
                self.losses[step] = _number(event["loss"])
                self.smooth[step] = _number(event.get("loss_smooth", event["loss"]))
        elif kind == "eval" and step is not None:
            self.evaluations[step] = _number(event.get("loss"))
        elif kind == "finding":
            self.findings[str(event.get("code")), str(event.get("params"))] = finding_text(event)
        elif kind == "sample" and "question" in event:
            self.samples[str(event.get("row_id"))] = event
        elif kind == "checkpoint" and step is not None:
            self.checkpoints.append(step)
        elif kind == "failed":
            self.failure = f"{event.get('code')}: {event.get('message', '')}"

    @property
    def has_curve(self) -> bool:
        return bool(self.losses or self.evaluations)

    def facts(self) -> dict[str, Any]:
        """Where the run is, for ``--json``."""
        known = {step: loss for step, loss in self.evaluations.items() if math.isfinite(loss)}
        best = min(known, key=lambda step: known[step]) if known else None
        names = ("step", "total", "loss", "loss_smooth", "lr", "tokens_per_s", "memory_bytes", "eta_s")
        found = {name: self.last.get(name) for name in names if name in self.last}
        if best is not None:
            found["eval_loss"] = self.evaluations[max(self.evaluations)]
            found["best"] = {"step": best, "loss": known[best]}
        return found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        braille = options.encoding.startswith("utf")
        yield from self.lines(options.max_width, console.size.height, braille=braille)

    def lines(self, width: int, height: int, *, braille: bool = True) -> list[Text]:
        """At most ``height`` lines of at most ``width`` columns."""
        head = [self._head(width)]
        legend = self._legend(width) if self.has_curve else []
        below = [*legend, *self._numbers(width), *self._notes(), *self._answers()]
        room = height - len(head) - len(below)
        if room < _LEAST_CURVE:  # the curve comes first
            below = below[: max(2, height - len(head) - _LEAST_CURVE)]
            room = height - len(head) - len(below)
        curve = self._curve(width, min(room, _MOST_CURVE), braille=braille)
        found = [*head, *curve, *below]
        for line in found:
            line.truncate(width, overflow="ellipsis")
        return found[:height]

    def _head(self, width: int) -> Text:
        step, total = self.last.get("step"), self.last.get("total")
        line = Text().append(self.name, style="bold")
        line.append(f"  {text('runs.state.' + self.state)}", style=_STATE_STYLE.get(self.state, ""))
        if step is not None:
            line.append(f"  {step:,}/{total:,}" if total else f"  {step:,}")
        if total and step is not None and width >= 60:
            done = round(20 * min(1.0, step / total))
            line.append("  " + "━" * done, style="cyan")
            line.append("━" * (20 - done), style="dim")
            line.append(f" {step / total:.0%}")
        if isinstance(self.last.get("epoch"), (int, float)):
            line.append("  " + text("progress.watch.epoch", value=f"{self.last['epoch']:.2f}"))
        if self.state == "running" and "eta_s" in self.last:
            line.append(f"  ETA {clock(self.last['eta_s'])}")
        return line

    def _curve(self, width: int, height: int, *, braille: bool) -> list[Text]:
        series = [
            Series(sorted(self.losses.items()), "dim cyan", "dots"),
            Series(sorted(self.smooth.items()), "bold cyan", "line"),
            Series(sorted(self.evaluations.items()), "bold yellow", "marks"),
        ]
        to = self.last.get("total") if self.state == "running" else None
        return draw_curve(series, width, height, braille=braille, x_to=to)

    def _legend(self, width: int) -> list[Text]:
        parts = []
        entries = [
            ("dim cyan", "··", "raw", self._newest(self.losses)),
            ("bold cyan", "──", "smooth", self._newest(self.smooth)),
            ("bold yellow", "o", "eval", self._newest(self.evaluations)),
        ]
        for style, mark, name, value in entries:
            if value is not None:
                words = f" {text('progress.watch.' + name)} {value:.4f}"
                parts.append(Text.assemble((mark, style), words))
        known = {step: loss for step, loss in self.evaluations.items() if math.isfinite(loss)}
        if known:
            best = min(known, key=lambda step: known[step])
            parts.append(Text(text("progress.watch.best", value=f"{known[best]:.4f}", step=f"{best:,}")))
        return _packed(parts, width, "   ")

    def _numbers(self, width: int) -> list[Text]:
        last = self.last
        parts = []
        for name, form in (("lr", ".2e"), ("grad_norm", ".3f"), ("tokens_per_s", ",.0f"), ("tokens", ",")):
            if isinstance(last.get(name), (int, float)):
                parts.append(f"{text('progress.watch.' + name)} {last[name]:{form}}")
        if isinstance(last.get("memory_bytes"), int):
            parts.append(f"{text('progress.watch.memory')} {human_size(last['memory_bytes'])}")
        if self.checkpoints:
            parts.append(f"{text('progress.watch.checkpoint')} {self.checkpoints[-1]:,}")
        for name, value in last.items():
            if name not in _KNOWN and isinstance(value, (int, float)):
                shown = text(f"report.figure.{name}") if has_text(f"report.figure.{name}") else name
                parts.append(f"{shown} {value:.4g}")
        return _packed([Text(part) for part in parts], width, "  ·  ")

    def _notes(self) -> list[Text]:
        lines = [Text(f"  {one}", style="yellow") for one in list(self.findings.values())[-_MOST_FINDINGS:]]
        if self.failure:
            lines.append(Text(f"  {self.failure}", style="bold red"))
        return [_one_line(line) for line in lines]

    def _answers(self) -> list[Text]:
        lines = []
        for event in list(self.samples.values())[:_MOST_SAMPLES]:
            line = Text("  ")
            line.append(f"{event.get('question', '')}", style="dim")
            line.append("  →  ")
            answer, expected = str(event.get("answer", "")), str(event.get("expected", ""))
            line.append(answer or text("report.sample.empty"), style="green" if answer == expected else "")
            if answer != expected:
                line.append(f"  ({expected})", style="dim")
            lines.append(_one_line(line))
        if lines:
            step = max(event.get("step", 0) for event in self.samples.values())
            lines.insert(0, Text("  " + text("progress.watch.samples", step=f"{step:,}"), style="bold"))
        return lines

    def _newest(self, values: dict[int, float]) -> float | None:
        return values[max(values)] if values else None


_STATE_STYLE = {"running": "cyan", "succeeded": "green", "failed": "bold red", "cancelled": "yellow"}


def _packed(parts: list[Text], width: int, between: str) -> list[Text]:
    """``parts`` side by side, in as many lines as they need."""
    lines: list[Text] = []
    for part in parts:
        if lines and lines[-1].cell_len + len(between) + part.cell_len <= width:
            lines[-1].append(between, style="dim").append_text(part)
        else:
            lines.append(Text("  ").append_text(part))
    return lines


def _one_line(line: Text) -> Text:
    """Line breaks of a message or an answer as marks, so that a picture keeps its height."""
    if "\n" not in line.plain:
        return line
    found = Text()
    for number, part in enumerate(line.split("\n")):
        if number:
            found.append(" ⏎ ", style="dim")
        found.append_text(part)
    return found


def _number(value: object) -> float:
    """A number of an event; the records write what is not finite as a word."""
    try:
        return float(str(value))
    except ValueError:
        return math.nan
