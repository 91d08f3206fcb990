"""How good the evaluations of a run were: which was the best, and whether it is time to stop.

Kept as ``quality.json`` in every checkpoint, so that a run that goes on remembers what its checkpoint knew.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mozhu.kernel.files import finite, read_json, write_json

FILE = "quality.json"


@dataclass
class Best:
    """The evaluation with the lowest loss: its step, its figures, and the smoothed training loss of then."""

    step: int
    found: dict[str, float]
    train_loss: float


@dataclass
class Quality:
    """``patience`` evaluations in a row whose loss is not below ``mark`` by ``delta`` stop a run; ``None`` never.

    A loss that is not finite is never the best one. ``last``: the newest evaluation, as (step, figures).
    """

    patience: int | None = None
    delta: float = 0.0
    best: Best | None = None
    mark: float = math.inf
    waited: int = 0
    stopped_at: int | None = None
    last: tuple[int, dict[str, float]] | None = field(default=None)

    def take(self, step: int, found: dict[str, float], train_loss: float) -> bool:
        """Remember an evaluation; true when it is the best so far. A step that is told again counts once."""
        if self.last is not None and self.last[0] >= step:
            return self.best is not None and self.best.step == step
        self.last = (step, found)
        loss = found["loss"]
        if math.isfinite(loss) and loss < self.mark - self.delta:
            self.mark, self.waited = loss, 0
        else:
            self.waited += 1
        if self.patience is not None and self.waited >= self.patience:
            self.stopped_at = step
        is_best = math.isfinite(loss) and (self.best is None or loss < self.best.found["loss"])
        if is_best:
            self.best = Best(step, dict(found), train_loss)
        return is_best

    def write(self, checkpoint: Path) -> None:
        kept = asdict(self)
        write_json(checkpoint / FILE, finite({name: kept[name] for name in _KEPT}))

    def read(self, checkpoint: Path) -> None:
        """Remember what the checkpoint knew; a checkpoint of a version that kept nothing leaves it as it is."""
        if not (checkpoint / FILE).is_file():
            return
        kept = read_json(checkpoint / FILE)
        best, last = kept["best"], kept["last"]
        self.best = Best(best["step"], _numbers(best["found"]), float(best["train_loss"])) if best else None
        self.mark, self.waited, self.stopped_at = float(kept["mark"]), kept["waited"], kept["stopped_at"]
        self.last = (last[0], _numbers(last[1])) if last else None


_KEPT = ("best", "mark", "waited", "stopped_at", "last")


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """Values as numbers again: a record writes what is not finite as a word."""
    return {name: float(value) for name, value in found.items()}
