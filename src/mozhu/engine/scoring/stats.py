"""``data stats``: what a data set looks like, for the terminal, as JSON and as a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mozhu.engine.data.dataset import Reading
from mozhu.engine.data.parts import part_streams
from mozhu.engine.data.statistics.collect import Settings, collect_statistics
from mozhu.engine.data.statistics.measured import Voice
from mozhu.engine.data.statistics.record import Statistics
from mozhu.engine.scoring.parity import open_voice
from mozhu.engine.scoring.report.stats import write_statistics
from mozhu.engine.weights.folder import ModelFolder
from mozhu.specs.data import StatsSpec

_LONGEST_DEFAULT = 2048


def run_stats(spec: StatsSpec, progress: Callable[[str, int], None] | None = None) -> Statistics:
    """The statistics of every part of ``spec.dataset``; with ``html`` also written as one self-contained page.

    Args:
        progress: Called with a part and how many of its rows were read.

    Raises:
        What find_model and find_place raise. NoUsableRows: DATA-003.
    """
    voice = _voice(spec)
    reading = Reading(
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        columns=spec.columns,
        stage=None,
    )
    found = collect_statistics(
        part_streams(spec.dataset, reading),
        dataset=spec.dataset,
        model=spec.model or "",
        voice=voice,
        settings=Settings(
            batch_size=spec.batch_size,
            duplicates=spec.duplicates,
            similarity=spec.similarity,
            rows_shown=spec.rows_shown,
            seed=spec.seed,
        ),
        progress=progress,
    )
    if spec.html:
        write_statistics(Path(spec.html), found)
    return found


def _voice(spec: StatsSpec) -> Voice | None:
    if spec.model is None:
        return None
    voice = open_voice(spec.model)
    limit = ModelFolder.open(voice.folder).max_length or _LONGEST_DEFAULT
    chosen = min(spec.max_length, limit) if spec.max_length else min(limit, _LONGEST_DEFAULT)
    return Voice(voice.tokenizer, voice.renderer, chosen, spec.train_on, spec.over_length)
