"""Weights & Biases. Without ``WANDB_MODE`` a run stays on this disk (``wandb sync`` sends it later)."""

from __future__ import annotations

import hashlib
import os

import wandb

from mozhu.engine.training.sinks.sink import SinkRun
from mozhu.kernel.files import make_folder

FOLDER = "wandb"
PROJECT = "mozhu"


class WeightsAndBiases:
    """One run of the project ``WANDB_PROJECT`` (or ``mozhu``); a run that goes on goes on under the same id."""

    tells_again = False

    def __init__(self, run: SinkRun) -> None:
        make_folder(run.folder / FOLDER)
        self._run = wandb.init(
            mode=os.environ.get("WANDB_MODE") or "offline",
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            name=run.name,
            id=run_id(run),
            resume="allow",
            dir=str(run.folder),
            config=run.config,
            settings=wandb.Settings(console="off", disable_git=True, save_code=False, x_disable_stats=True),
        )

    def numbers(self, step: int, values: dict[str, float]) -> None:
        self._run.log(values, step=step)

    def words(self, step: int, name: str, words: str) -> None:
        self._run.log({name: wandb.Html(f"<pre>{_escaped(words)}</pre>")}, step=step)

    def close(self, state: str) -> None:
        self._run.finish(exit_code=0 if state == "succeeded" else 1)


def run_id(run: SinkRun) -> str:
    """The same for every start of a run folder, and another for every folder."""
    return hashlib.sha256(str(run.folder.absolute()).encode()).hexdigest()[:12]


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
