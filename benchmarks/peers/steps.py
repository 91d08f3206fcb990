"""What every training driver does the same way: it watches the steps of Transformers' Trainer, whoever drives it.

Standard library, torch and transformers alone: it runs in each peer's environment. Counted is from the end of the first
step, which pays for warming up, to the end of the last: loading, preparing and saving are outside. A real token is
one that is not padding.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.without_products import WithoutProducts

_IGNORED = -100


def settings() -> dict[str, Any]:
    """``python -m benchmarks.peers.DRIVER SETTINGS RESULT``: what is asked."""
    found: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    return found


def answer(told: dict[str, Any]) -> None:
    Path(sys.argv[2]).write_text(json.dumps(told), encoding="utf-8")


def watch_steps(asked: dict[str, Any]) -> None:
    """Every Trainer made from here on is watched; the answer is there after the last step that is ``asked``.

    To be called after the imports: ms-swift replaces the callbacks that a Trainer has of itself.
    """
    import transformers
    from transformers import TrainerCallback, trainer

    if asked.get("without_products"):
        WithoutProducts().__enter__()  # to the end of the process
    counts = _Counts()
    every_trainer: Any = transformers.Trainer
    plain = every_trainer.training_step

    def counted(self: Any, model: Any, inputs: Any, *args: Any, **options: Any) -> Any:
        counts.take(inputs)
        return plain(self, model, inputs, *args, **options)

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
            counts.step_ended()
            if state.global_step == asked["steps"]:
                answer(counts.told())

    every_trainer.training_step = counted
    vars(trainer)["DEFAULT_CALLBACKS"] = [*trainer.DEFAULT_CALLBACKS, Watch]


class _Counts:
    """Real tokens, places and labels of the batches after the first step, and the time that they took."""

    def __init__(self) -> None:
        self._sums = [0, 0, 0]
        self._first: tuple[float, float] | None = None
        self._last = (0.0, 0.0)

    def take(self, inputs: Any) -> None:
        if self._first is not None:
            self._sums = [a + b for a, b in zip(self._sums, _sizes(inputs), strict=True)]

    def step_ended(self) -> None:
        self._last = (time.monotonic(), time.process_time())
        self._first = self._first or self._last

    def told(self) -> dict[str, Any]:
        assert self._first is not None
        tokens, places, labels = self._sums
        return {
            "tokens": tokens,
            "places": places,
            "labels": labels,
            "wall_s": self._last[0] - self._first[0],
            "cpu_s": self._last[1] - self._first[1],
            "peak_bytes": _peak_bytes(),
        }


def _sizes(inputs: Any) -> tuple[int, int, int]:
    """Real tokens, places (padding among them) and labels of one batch."""
    if hasattr(inputs, "row_ids"):  # a batch of Mozhu
        return inputs.tokens, inputs.ids.numel(), inputs.items
    ids, mask = inputs["input_ids"], inputs.get("attention_mask")
    tokens = ids.numel() if mask is None else int((mask != 0).sum())
    return tokens, ids.numel(), int((inputs["labels"] != _IGNORED).sum())


def _peak_bytes() -> int:
    """The most this process ever held, by the system's own high-water mark."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0
