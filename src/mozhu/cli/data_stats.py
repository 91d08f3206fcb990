"""``mozhu data stats``: lengths, turns, labels, languages, duplicates and sample rows of a data set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.cli.data_stats_view import print_statistics
from mozhu.cli.engine_run import shown
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.data import StatsSpec


def act(call: Call) -> int:
    spec: StatsSpec = with_references(call.spec, call.home)
    report, clear = _progress(quiet=call.quiet)
    try:
        found: Any = slots.load("mozhu.rooms", "stats")(spec, report)
    finally:
        clear()
    if call.output.as_json:
        call.output.data(found.to_json())
        return 0
    print_statistics(found)
    if spec.html:
        call.output.say(text("stats.written", path=shown(Path(spec.html))))
    return 0


def _progress(*, quiet: bool) -> tuple[Callable[[str, int], None] | None, Callable[[], None]]:
    """What tells on a terminal's last line how far the reading is, and what wipes that line."""
    if quiet or not sys.stderr.isatty():
        return None, lambda: None

    def report(part: str, rows: int) -> None:
        words = text("stats.reading", part=text(f"stats.part.{part}"), rows=f"{rows:,}")
        print(f"\r\x1b[K{words}", end="", file=sys.stderr, flush=True)

    return report, lambda: print("\r\x1b[K", end="", file=sys.stderr, flush=True)


COMMAND = Command("data stats", act, StatsSpec)
