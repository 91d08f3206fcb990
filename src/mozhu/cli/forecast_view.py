"""A forecast in words."""

from __future__ import annotations

from typing import Any

from mozhu.display.progress import clock
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text


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
