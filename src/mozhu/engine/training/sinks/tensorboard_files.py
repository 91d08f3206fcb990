"""TensorBoard's event files in ``tensorboard/`` of the run folder: ``tensorboard --logdir 6_output`` shows all runs."""

from __future__ import annotations

import json

from tensorboardX import SummaryWriter

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
        self._writer = SummaryWriter(str(place), purge_step=0 if run.earlier else None, flush_secs=10)
        shown = json.dumps(run.config, ensure_ascii=False, indent=2)
        self._writer.add_text("config", f"```json\n{shown}\n```", 0)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def words(self, step: int, name: str, words: str) -> None:
        self._writer.add_text(name, words, step)

    def close(self, state: str) -> None:
        self._writer.close()
