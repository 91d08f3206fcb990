"""What the engine tells, in the words of our events: smooth loss, tokens in all, speed, time left."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

_SMOOTHING = 0.9


@dataclass
class Curve:
    """Where a run is; ``losses`` of all its steps, also of those before it was resumed."""

    total: int
    losses: dict[int, float] = field(default_factory=dict)
    evals: dict[int, float] = field(default_factory=dict)
    tokens: int = 0
    tokens_before: int = 0
    seconds: float = 0.0
    steps_here: int = 0
    last: int = 0
    peak_memory_bytes: int = 0

    @classmethod
    def restored(cls, total: int, events: Iterable[dict[str, Any]], step: int) -> Curve:
        """The curve up to the checkpoint of ``step``: what came after it was lost with the process."""
        curve = cls(total, last=step)
        for event in events:
            if event["kind"] == "step" and event["step"] <= step:
                curve.losses[event["step"]] = float(event["loss"])
                curve.tokens = int(event["tokens"])
            elif event["kind"] == "eval" and event.get("step", 0) <= step:
                curve.evals[event["step"]] = float(event["loss"])
        curve.tokens_before = curve.tokens
        return curve

    @property
    def loss_smooth(self) -> float:
        """Exponential mean of the loss without the bias of its start."""
        smooth = weight = 0.0
        for number in sorted(self.losses):
            smooth = _SMOOTHING * smooth + (1 - _SMOOTHING) * self.losses[number]
            weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        return smooth / weight if weight else math.nan

    def take_step(self, told: dict[str, Any]) -> dict[str, Any]:
        """The fields of our ``step`` event."""
        step, loss, seconds = int(told["step"]), float(told["loss"]), float(told["seconds"])
        tokens = int(told["tokens"])
        self.losses[step] = loss
        self.tokens += tokens
        self.seconds += seconds
        self.steps_here += step - self.last
        self.last = step
        return {
            "step": step,
            "total": self.total,
            "epoch": round(float(told["epoch"]), 4),
            "loss": loss,
            "loss_smooth": round(self.loss_smooth, 6),
            "lr": float(told["lr"]),
            "grad_norm": float(told["grad_norm"]),
            "tokens": self.tokens,
            "tokens_per_s": round(tokens / seconds, 1) if seconds > 0 else 0.0,
            "memory_bytes": int(told["memory_bytes"]),
            "eta_s": round((self.total - step) * self.seconds / max(1, self.steps_here), 1),
            "rows": list(told["rows"]),
        }

    def metrics(self, *, of_tokens: bool = True) -> dict[str, float]:
        found = {"train_loss": self.loss_smooth}
        if self.evals:
            found["eval_loss"] = self.evals[max(self.evals)]
            if of_tokens:
                found["eval_perplexity"] = perplexity(found["eval_loss"])
        return found

    def facts(self, device: str, threads: int, version: str) -> dict[str, Any]:
        here = self.tokens - self.tokens_before
        return {
            "tokens": self.tokens,
            "tokens_here": here,
            "train_seconds": round(self.seconds, 2),
            "tokens_per_s": round(here / self.seconds, 1) if self.seconds else 0.0,
            "peak_memory_bytes": self.peak_memory_bytes,
            "device": device,
            "threads": threads,
            "engine_version": version,
        }


def perplexity(loss: float) -> float:
    return math.exp(min(loss, 700.0))
