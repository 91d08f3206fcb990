"""A run's events as people want to see them: a live line on a terminal, plain lines in a file, HTML in a notebook."""

from __future__ import annotations

import html
import sys
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from mozhu.kernel.errors import shown_value
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import has_text, text

_PLAIN_EVERY_S = 5.0


class View(Protocol):
    """Shows events; ``close`` leaves the screen tidy."""

    def show(self, event: dict[str, Any]) -> None: ...

    def close(self) -> None: ...


def open_view(*, quiet: bool = False) -> View:
    """The view that fits where we are."""
    if quiet:
        return Silent()
    if _in_notebook():
        return Notebook()
    return Terminal() if sys.stderr.isatty() else Plain()


def is_step(event: dict[str, Any]) -> bool:
    """Whether ``event`` moves the bar: a step, or one that a resumed run makes a second time."""
    return event["kind"] == "step" or (event["kind"] == "again" and event.get("of") == "step")


def describe_step(event: dict[str, Any]) -> str:
    """``loss 2.104 · lr 2.0e-04 · 5,120 tok/s · ETA 0:41``, from whatever the event holds."""
    parts = []
    if "loss" in event:
        parts.append(f"loss {_number(event['loss'], '.4f')}")
    if "lr" in event:
        parts.append(f"lr {_number(event['lr'], '.1e')}")
    if "tokens_per_s" in event:
        parts.append(f"{_number(event['tokens_per_s'], ',.0f')} tok/s")
    if "bytes_per_s" in event:
        parts.append(_bytes_a_second(event["bytes_per_s"]))
    if event.get("unit"):
        parts.append(str(event["unit"]))
    if "eta_s" in event:
        parts.append(f"ETA {clock(event['eta_s'])}")
    return " · ".join(parts)


def describe_event(event: dict[str, Any]) -> str | None:
    """One line for the events that are worth a line of their own; ``None`` for the others."""
    kind = event["kind"]
    if kind == "eval":
        return text("progress.eval", step=event.get("step", 0), loss=_number(event.get("loss", "nan"), ".4f"))
    if kind == "checkpoint":
        return text("progress.checkpoint", path=event.get("path", ""))
    if kind == "sample" and "question" in event:
        words = {name: " ".join(str(event.get(name, "")).split()) for name in ("question", "answer")}
        return text("progress.sample", step=event.get("step", 0), **words)
    if kind == "resumed":
        return text("progress.resumed")
    if kind == "log":
        return str(event.get("message", ""))
    if kind == "finding":
        return finding_text(event)
    return None


def finding_text(event: dict[str, Any]) -> str:
    """A finding in words: its level, its code, and the catalogue's text for it."""
    code = str(event.get("code", ""))
    key = f"{code.split('-')[0].lower()}.{code}.what"
    params = {name: shown_value(value) for name, value in event.get("params", {}).items()}
    words = text(key, **params) if has_text(key) else str(params)
    return f"{text('progress.level.' + str(event.get('level', 'info')))} {code}: {words}"


def clock(seconds: object) -> str:
    """``1:02:03`` or ``0:41``."""
    if not isinstance(seconds, (int, float)):
        return "-"
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


class Silent:
    def show(self, event: dict[str, Any]) -> None:
        pass

    def close(self) -> None:
        pass


class Plain:
    """A line every five seconds: for logs and pipes."""

    def __init__(self) -> None:
        self._last: float = 0.0

    def show(self, event: dict[str, Any]) -> None:
        line = describe_event(event)
        if is_step(event):
            seconds = _seconds_of_day(event["t"])
            if abs(seconds - self._last) < _PLAIN_EVERY_S and event.get("step") != event.get("total"):
                return
            self._last = seconds
            line = f"{event.get('step', '')}/{event.get('total', '')} {describe_step(event)}"
        if line:
            print(line, file=sys.stderr)

    def close(self) -> None:
        sys.stderr.flush()


class Terminal:
    """One live line with a bar; findings and evaluations scroll above it."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            BarColumn(),
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=4,
        )
        self._task: TaskID | None = None
        self._progress.start()

    def show(self, event: dict[str, Any]) -> None:
        if is_step(event):
            total = float(event.get("total") or 1)
            if self._task is None:
                self._task = self._progress.add_task("", total=total)
            done = float(event.get("step") or 0)
            self._progress.update(self._task, completed=done, total=total, description=describe_step(event))
        elif line := describe_event(event):
            self._progress.console.print(line, highlight=False, markup=False)

    def close(self) -> None:
        self._progress.stop()


class Notebook:
    """One HTML line that is replaced in place; needs nothing but IPython, which a notebook has."""

    def __init__(self) -> None:
        self._module = (
            sys.modules["IPython.display"] if "IPython.display" in sys.modules else _ipython_display()
        )
        self._handle = self._module.display(self._module.HTML(""), display_id=True)
        self._lines: list[str] = []
        self._bar = ""

    def show(self, event: dict[str, Any]) -> None:
        if is_step(event):
            done, total = float(event.get("step") or 0), float(event.get("total") or 1)
            facts = html.escape(describe_step(event))
            self._bar = f'<progress value="{done:g}" max="{total:g}"></progress> {done:g}/{total:g} {facts}'
        elif line := describe_event(event):
            self._lines = [*self._lines[-7:], html.escape(line)]
        self._handle.update(self._module.HTML("<br>".join([*self._lines, self._bar])))

    def close(self) -> None:
        pass


def _in_notebook() -> bool:
    """True inside a Jupyter kernel, where ``get_ipython`` is of the ZMQ kind."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


def _ipython_display() -> Any:
    return sys.modules["IPython"].display


def _seconds_of_day(moment: str) -> float:
    hours, minutes, seconds = moment[11:].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _bytes_a_second(value: object) -> str:
    return f"{human_size(value)}/s" if isinstance(value, (int, float)) else str(value)


def _number(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, (int, float)) else str(value)
