"""The port of a sink (slot ``mozhu.training_sinks``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class SinkRun:
    """What a sink is made with. ``config``: every field of the training's spec.

    ``earlier``: the events that the run told before this start, each step once; empty for a run that begins.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    earlier: Sequence[dict[str, Any]] = field(default_factory=tuple)


class Sink(Protocol):
    """Made with a :class:`SinkRun`. Whatever it raises switches it off and never stops the run.

    ``tells_again``: it keeps nothing of an earlier start, so that ``earlier`` is told to it first.
    """

    tells_again: bool

    def numbers(self, step: int, values: dict[str, float]) -> None:
        """Values of a step by name (``train/loss``, ``eval/loss``); steps never go back."""
        ...

    def words(self, step: int, name: str, words: str) -> None:
        """A text of a step: what the model answered."""
        ...

    def close(self, state: str) -> None:
        """The run has ended: ``succeeded``, ``failed`` or ``cancelled``; a run that was stopped may go on later."""
        ...
