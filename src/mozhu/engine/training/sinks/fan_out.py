"""A run's events, handed on to the sinks that were asked for. The run's own records never depend on one of them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mozhu.engine.training.sinks.packages import SLOT
from mozhu.engine.training.sinks.sink import Sink, SinkRun
from mozhu.kernel import slots
from mozhu.kernel.files import read_jsonl
from mozhu.kernel.progress import Emit
from mozhu.specs.train import TrainSpec

_KINDS = ("step", "eval", "sample")
_PREFIX = {"step": "train", "eval": "eval"}
_NO_VALUES = frozenset({"schema", "seq", "step", "total", "eta_s", "rows"})
# Libraries that would report their use, or wait minutes for a server that is gone, do so only when told to;
# what the user has set stands.
_MODEST = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_FILE_STORE": "true",  # a folder needs no database; MLflow asks to be told so
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


class Sinks:
    """Hands every event on to the run first and then to each sink.

    A sink that raises is told as one finding (TRAIN-080) and hears nothing more.

    Raises:
        UnknownSlotName: ENV-004. MissingExtra: ENV-001. Both before anything is trained.
    """

    def __init__(self, spec: TrainSpec, folder: Path, emit: Emit, *, log: Path) -> None:
        self._emit = emit
        self._open: dict[str, Sink] = {}
        if not spec.report_to or os.environ.get("RANK", "0") != "0":  # of many processes one tells
            return
        for name, value in _MODEST.items():
            os.environ.setdefault(name, value)
        kinds = {name: slots.load(SLOT, name) for name in spec.report_to}
        run = SinkRun(folder.name, folder, spec.model_dump(mode="json"), told_events(log))
        for name, kind in kinds.items():
            self._guarded(name, lambda name=name, kind=kind: self._begin(name, kind, run))

    def __enter__(self) -> Sinks:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        stopped = kind is not None and not issubclass(kind, Exception)
        self.close("succeeded" if kind is None else "cancelled" if stopped else "failed")

    def emit(self, kind: str, /, **fields: Any) -> None:
        self._emit(kind, **fields)
        if kind in _KINDS:
            for name in list(self._open):
                self._guarded(name, lambda name=name: tell(self._open[name], {"kind": kind, **fields}))

    def close(self, state: str) -> None:
        for name in list(self._open):
            self._guarded(name, lambda name=name: self._open[name].close(state))
        self._open.clear()

    def _begin(self, name: str, kind: Any, run: SinkRun) -> None:
        sink = kind(run)
        if sink.tells_again:
            for event in run.earlier:
                tell(sink, event)
        self._open[name] = sink

    def _guarded(self, name: str, act: Any) -> None:
        try:
            act()
        except Exception as error:
            self._open.pop(name, None)
            reason = (
                f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"
            )
            self._emit("finding", level="warning", code="TRAIN-080", params={"sink": name, "reason": reason})


def told_events(log: Path) -> list[dict[str, Any]]:
    """Steps, evaluations and samples of an earlier start, in the order of their steps, none twice."""
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for event in read_jsonl(log) if log.is_file() else ():
        if event.get("kind") in _KINDS and isinstance(event.get("step"), int):
            found.setdefault((event["step"], event["kind"], str(event.get("row_id"))), event)
    return sorted(found.values(), key=lambda event: event["step"])


def tell(sink: Sink, event: dict[str, Any]) -> None:
    step = int(event["step"])
    if event["kind"] == "sample":
        sink.words(step, f"sample/{event['row_id']}", sample_text(event))
    elif values := dict(numbers_of(event)):
        sink.numbers(step, values)


def numbers_of(event: dict[str, Any]) -> Iterable[tuple[str, float]]:
    """``("train/loss", 2.1)`` for each number of a step or an evaluation; a word for what is not finite is one."""
    prefix = _PREFIX[event["kind"]]
    for name, value in event.items():
        if name in _NO_VALUES or isinstance(value, bool):
            continue
        if isinstance(value, (int, float)):
            yield f"{prefix}/{name}", float(value)
        elif value in ("nan", "inf", "-inf"):
            yield (
                f"{prefix}/{name}",
                math.nan if value == "nan" else math.inf * (-1 if value[0] == "-" else 1),
            )


def sample_text(event: dict[str, Any]) -> str:
    """Question, answer and what was expected, as Markdown."""
    parts = [("Q", event.get("question")), ("A", event.get("answer")), ("=", event.get("expected"))]
    return "\n\n".join(f"**{mark}** {words}" for mark, words in parts if words)
