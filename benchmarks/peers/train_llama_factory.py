"""LLaMA-Factory trains as ``llamafactory-cli train`` does, at its defaults; runs in its environment."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from benchmarks.peers.steps import settings, watch_steps


def main() -> None:
    asked = settings()
    # Imported by its multimodal plugin whatever the rows are; its only wheel is built for CUDA.
    stub = ModuleType("torchaudio")
    stub.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stub
    from llamafactory.train.tuner import run_exp

    watch_steps(asked)
    run_exp(
        {
            "stage": "sft",
            "do_train": True,
            "model_name_or_path": asked["model"],
            "dataset": "rows",
            "dataset_dir": asked["info"],
            "template": "qwen",
            "output_dir": asked["output"],
            "per_device_train_batch_size": asked["batch"],
            "max_steps": asked["steps"],
            "seed": asked["seed"],
            "finetuning_type": "lora",
            "bf16": True,
            "use_cpu": True,
            "report_to": "none",
        }
    )


if __name__ == "__main__":
    main()
