"""LLaMA-Factory's own preprocessing up to the first batch, as its ``run_sft`` does it; runs in its environment.

Its cache: ``tokenized_path``, which its documentation names for this.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from benchmarks.peers.marks import Marks


def main() -> None:
    marks = Marks()
    settings = marks.settings
    # Imported by its multimodal plugin whatever the rows are; its only wheel is built for CUDA.
    stub = ModuleType("torchaudio")
    stub.__spec__ = ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stub
    from llamafactory.data import (
        SFTDataCollatorWith4DAttentionMask,
        get_dataset,
        get_template_and_fix_tokenizer,
    )
    from llamafactory.extras.constants import IGNORE_INDEX
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer
    from llamafactory.train.sft.workflow import run_sft  # noqa: F401 (what a training run loads)

    marks.mark("imported")
    model_args, data_args, training_args, _, _ = get_train_args(_arguments(settings))
    tools = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(tools["tokenizer"], data_args)
    made = get_dataset(template, model_args, data_args, training_args, stage="sft", **tools)
    collate = SFTDataCollatorWith4DAttentionMask(
        template=template, model=None, pad_to_multiple_of=8, label_pad_token_id=IGNORE_INDEX, **tools
    )
    rows = made["train_dataset"]
    marks.first_batch(rows, collate)
    if settings["check"]:
        marks.digest((row["input_ids"], row["labels"]) for row in rows)
    marks.answer()


def _arguments(settings: dict[str, Any]) -> dict[str, Any]:
    cache = {"tokenized_path": settings["cache"]} if settings["cache"] else {}
    return {
        "stage": "sft",
        "do_train": True,
        "model_name_or_path": settings["model"],
        "dataset": "rows",
        "dataset_dir": settings["info"],
        "template": "qwen",
        "cutoff_len": settings["max_length"],
        "preprocessing_num_workers": settings["workers"],
        "output_dir": settings["output"],
        "per_device_train_batch_size": 8,
        "finetuning_type": "lora",
        "use_cpu": True,
        "report_to": "none",
        **cache,
    }


if __name__ == "__main__":
    main()
