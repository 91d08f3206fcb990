"""Mozhu's preprocessing up to the first batch, as a training run does it, in the environment of Mozhu.

Its cache is the one every training run uses, in a folder of its own here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.marks import Marks


def main() -> None:
    marks = Marks()
    settings = marks.settings
    # What a training run loads, the engine with its Trainer among it, as both peers do.
    from mozhu.engine.training.data import training_data
    from mozhu.engine.training.engines.hf import HfEngine  # noqa: F401
    from mozhu.engine.training.engines.sft import PaddedSft
    from mozhu.engine.weights.folder import ModelFolder
    from mozhu.engine.weights.references import find_model
    from mozhu.specs.train import TrainSpec

    marks.mark("imported")
    spec = TrainSpec(
        model=settings["model"],
        dataset=settings["alpaca"],
        max_length=settings["max_length"],
        validation_split=0,
        batch_size=8,
    )
    found = find_model(spec.model)
    model = ModelFolder.open(found.base)
    data = training_data(spec, found, model, Path(settings["output"]), lambda kind, **fields: None)
    padded = PaddedSft(0)  # the peers pad their batches

    def collate(rows: list[Any]) -> dict[str, Any]:
        batch = padded.collate(rows)
        return {**batch.inputs, "labels": batch.labels}

    marks.first_batch(data.train, collate)
    if settings["check"]:
        marks.digest((list(row.ids), list(row.labels)) for row in data.train)
    marks.answer()


if __name__ == "__main__":
    main()
