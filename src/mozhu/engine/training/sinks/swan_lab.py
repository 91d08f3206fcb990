"""SwanLab. Without ``SWANLAB_MODE`` a run stays on this disk (``swanlab sync`` sends it later)."""

from __future__ import annotations

import os

import swanlab

from mozhu.engine.training.sinks.sink import SinkRun
from mozhu.kernel.files import make_folder

FOLDER = "swanlog"
PROJECT = "mozhu"
_STATES = {"succeeded": "success", "failed": "crashed", "cancelled": "aborted"}
# What the machine is and how it is doing stands in the run's own records.
_NO_PROBES = ("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor")


class SwanLab:
    """One experiment of the project ``SWANLAB_PROJECT`` (or ``mozhu``).

    Kept on the disk, each start of a run is an experiment of its own, so that one that goes on tells its whole curve.
    """

    tells_again = True

    def __init__(self, run: SinkRun) -> None:
        make_folder(run.folder / FOLDER)
        self._run = swanlab.init(
            mode=os.environ.get("SWANLAB_MODE") or "offline",
            project=os.environ.get("SWANLAB_PROJECT") or PROJECT,
            name=run.name,
            log_dir=str(run.folder / FOLDER),
            config=run.config,
            settings=swanlab.Settings(probe=dict.fromkeys(_NO_PROBES, False)),
            reinit=True,
        )

    def numbers(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def words(self, step: int, name: str, words: str) -> None:
        self._run.log({name: swanlab.Text(words)}, step=step)

    def close(self, state: str) -> None:
        self._run.finish(state=_STATES.get(state, "success"))
