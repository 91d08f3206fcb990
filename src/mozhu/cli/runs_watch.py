"""``mozhu runs watch FOLDER``: a run that another process carries out, as it goes on or as it ended.

A training is drawn as a picture that follows the terminal's size; other runs, and whatever is no terminal, get lines.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from mozhu.cli.command import Call, Command
from mozhu.display.progress import open_view
from mozhu.display.training_picture import TrainingPicture
from mozhu.kernel.errors import BadUsage
from mozhu.kernel.progress import EventTail
from mozhu.kernel.texts import text
from mozhu.workspace.runs import EVENTS, RunFolder

_POLL_S = 0.3
_PAGE = (100, 26)
_PLAIN_SIGNS = str.maketrans("┤│└┬─━·→⏎…", "+|++-=.>/~")


def act(call: Call) -> int:
    if not call.words:
        raise BadUsage(verb="runs watch", reason=text("cli.needs_folder", verb="runs watch"))
    run = RunFolder.open(Path(call.words[0]))
    picture = TrainingPicture(run.path.absolute().name, state=run.state())
    with suppress(KeyboardInterrupt):  # that ends the watching, not the run
        if call.switches.get("once"):
            _take_all(picture, EventTail(run.path / EVENTS))
        elif sys.stderr.isatty() and not call.quiet and run.request().verb == "train":
            _draw(run, picture)
        else:
            _tell(call, run, picture)
    picture.state = run.state()
    value = {"run": str(run.path), "state": picture.state, **picture.facts()}
    call.output.data(value, _page(picture) if picture.has_curve else text(f"runs.state.{picture.state}"))
    return 0


def _draw(run: RunFolder, picture: TrainingPicture) -> None:
    """The picture in a screen of its own, which is given back at the end."""
    with Live(picture, console=Console(stderr=True), screen=True, auto_refresh=False) as live:
        for events in _batches(run):
            for event in events:
                picture.take(event)
            picture.state = run.state()
            live.refresh()


def _tell(call: Call, run: RunFolder, picture: TrainingPicture) -> None:
    view = open_view(quiet=call.quiet)
    try:
        for events in _batches(run):
            for event in events:
                picture.take(event)
                view.show(event)
    finally:
        view.close()


def _batches(run: RunFolder) -> Iterator[list[dict[str, Any]]]:
    """The events since the last time, until the run is no longer carried out and its last event was given."""
    tail = EventTail(run.path / EVENTS)
    while True:
        running = run.is_locked()
        yield list(tail.read())
        if not running:
            return
        time.sleep(_POLL_S)


def _take_all(picture: TrainingPicture, tail: EventTail) -> None:
    for event in tail.read():
        picture.take(event)


def _page(picture: TrainingPicture) -> str:
    """The picture as text; in colour where standard output is a terminal."""
    size = shutil.get_terminal_size(_PAGE)
    width, height = size.columns, max(12, min(size.lines - 2, _PAGE[1]))
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    lines = picture.lines(width, height, braille=encoding.startswith("utf"))
    console = Console(width=width, force_terminal=sys.stdout.isatty())
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True, highlight=False)
    found = captured.get().rstrip("\n")
    if encoding.startswith("utf"):
        return found
    return found.translate(_PLAIN_SIGNS).encode(encoding, "replace").decode(encoding)


COMMAND = Command("runs watch", act, switches=("quiet", "once"), words=1, usage="FOLDER")
