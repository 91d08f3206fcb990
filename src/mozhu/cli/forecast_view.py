"""A training plan in words: what stands against it, and what it will take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.display.progress import clock
from mozhu.kernel import slots
from mozhu.kernel.errors import MozhuError
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import describe
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec


def plan(spec: TrainSpec, folder: Path) -> tuple[list[Finding], Any]:
    """Findings and forecast; the forecast is ``None`` where model or data cannot be read (a finding says why)."""
    machine = describe(folder)
    findings: list[Finding] = slots.load("mozhu.rooms", "preflight")(spec, machine, folder)
    try:
        return findings, slots.load("mozhu.rooms", "forecast")(spec, machine)
    except MozhuError:
        return findings, None


def forecast_lines(forecast: Any) -> list[str]:
    """The forecast, most important line first."""
    memory = sorted(forecast.memory.items(), key=lambda item: -item[1])
    terms = ", ".join(f"{text('forecast.' + name)} {human_size(size)}" for name, size in memory if size)
    known = text("forecast.learnt") if forecast.learnt else text("forecast.guessed")
    return [
        text(
            "forecast.head",
            steps=forecast.steps,
            rows=forecast.rows,
            tokens=f"{forecast.tokens_per_epoch:,}",
            time=clock(forecast.seconds),
            memory=human_size(forecast.peak_memory_bytes),
            free=human_size(forecast.memory_free_bytes),
            device=forecast.device,
        ),
        f"  {text('forecast.memory')}: {terms}",
        "  "
        + text(
            "forecast.parameters",
            trained=f"{forecast.trainable_parameters:,}",
            share=f"{100 * forecast.trainable_parameters / max(1, forecast.parameters):.2f}",
            rate=f"{forecast.learning_rate:g}",
            length=forecast.max_length,
        ),
        f"  {known}",
        f"  {text('forecast.fits' if forecast.fits else 'forecast.too_big')}",
    ]
