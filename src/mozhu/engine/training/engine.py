"""The port of a training engine (slot ``mozhu.training_engines``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mozhu.engine.weights.references import FoundModel
from mozhu.kernel.progress import Emit
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec


@dataclass(frozen=True)
class TrainingData:
    """Rows ready to train on: examples of token ids with labels, -100 where nothing is to be learnt; or, for the
    stages that need them, pairs and marked examples (staged.py).

    Lists, or stores on disk that give an example when it is asked for. ``keep``: what lives as long as they do.
    ``classes``: the names of classes in the order of their numbers. ``place``: where other processes find the same.
    """

    train: Sequence[Any]
    validation: Sequence[Any]
    keep: object = None
    classes: tuple[str, ...] = ()
    place: Path | None = None


@dataclass(frozen=True)
class Trained:
    """``folder`` is the artefact inside the run folder; ``losses`` and ``facts`` go into its sidecars."""

    kind: str
    folder: Path
    steps: int
    metrics: dict[str, float]
    facts: dict[str, Any] = field(default_factory=dict)


class TrainingEngine(Protocol):
    """Trains what a spec asks for. ``run`` may be interrupted at any moment and resumes when called again."""

    def check(self, spec: TrainSpec) -> list[Finding]:
        """What stands against this spec on this machine, all of it in one pass."""
        ...

    def run(
        self, spec: TrainSpec, model: FoundModel, data: TrainingData, folder: Path, emit: Emit
    ) -> Trained:
        """Train in ``folder`` (checkpoints) and leave the artefact there."""
        ...
