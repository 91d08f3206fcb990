"""TensorBoard's event files in ``tensorboard/`` of the run folder: ``tensorboard --logdir 6_output`` shows all runs.

Events are written where they are told, by no thread: one that cannot be started would keep the run from ending.
"""

from __future__ import annotations

import json
import time
from typing import Any

from tensorboardX import summary
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog

from mozhu.engine.training.sinks.sink import SinkRun
from mozhu.kernel.files import make_folder

FOLDER = "tensorboard"


class TensorBoardFiles:
    """A run that goes on writes its curve anew: what was lost in a kill is there again, and nothing stands twice."""

    tells_again = True

    def __init__(self, run: SinkRun) -> None:
        place = run.folder / FOLDER
        make_folder(place)
        for old in place.glob("events.out.tfevents.*"):
            old.unlink()
        self._events = EventsWriter(str(place / "events"))
        if run.earlier:  # a TensorBoard that looks on forgets what it has read
            self._write(0, session_log=SessionLog(status=SessionLog.START))
        shown = json.dumps(run.config, ensure_ascii=False, indent=2)
        self.words(0, "config", f"```json\n{shown}\n```")

    def numbers(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._write(step, summary=summary.scalar(name, value))
        self._events.flush()

    def words(self, step: int, name: str, words: str) -> None:
        self._write(step, summary=summary.text(name, words))

    def close(self, state: str) -> None:
        self._events.close()

    def _write(self, step: int, **what: Any) -> None:
        self._events.write_event(Event(wall_time=time.time(), step=step, **what))
