"""Mozhu trains as ``mozhu train`` does, at its defaults, but for the validation rows: the peers keep none back."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.steps import settings, watch_steps


def main() -> None:
    asked = settings()
    from mozhu.engine.training.data import training_data
    from mozhu.engine.training.engines.hf import HfEngine
    from mozhu.engine.weights.folder import ModelFolder
    from mozhu.engine.weights.references import find_model
    from mozhu.kernel.progress import EventLog
    from mozhu.specs.train import TrainSpec

    watch_steps(asked)
    spec = TrainSpec(
        model=asked["model"],
        dataset=asked["alpaca"],
        batch_size=asked["batch"],
        max_steps=asked["steps"],
        seed=asked["seed"],
        validation_split=0,
        dtype="bfloat16",
        device="cpu",
        threads=1,
    )
    found, folder = find_model(spec.model), Path(asked["output"])
    log = EventLog(folder / "events.jsonl")
    data = training_data(spec, found, ModelFolder.open(found.base), folder, log.emit)
    HfEngine().run(spec, found, data, folder, log.emit)


if __name__ == "__main__":
    main()
