"""ms-swift's own preprocessing up to the first batch, as its ``SwiftSft`` does it; runs in its environment.

By default it encodes every row once to learn its length, keeps the length, and encodes the rows of a batch again
when the batch is made. Its cache, ``swift export --to_cached_dataset``, holds rows with lengths and no tokens.
"""

from __future__ import annotations

from typing import Any

from benchmarks.peers.marks import Marks


def main() -> None:
    marks = Marks()
    settings = marks.settings
    from swift.arguments import ExportArguments, SftArguments
    from swift.pipelines.export.cached_dataset import ExportCachedDataset
    from swift.pipelines.train.sft import SwiftSft

    class WithoutModel(SwiftSft):
        """What ``SwiftSft`` prepares, without the weights that only training needs."""

        def __init__(self, args: Any) -> None:
            super(SwiftSft, self).__init__(args)
            self.train_msg: dict[str, Any] = {}
            self._prepare_model_tokenizer(load_model=False)
            self._prepare_template()

    marks.mark("imported")
    if settings["fill_cache"]:
        told = {**_source(settings), "to_cached_dataset": True, "output_dir": settings["cache"]}
        ExportCachedDataset(ExportArguments(**told)).main()
        marks.answer()
        return
    source = {"cached_dataset": [f"{settings['cache']}/train"]} if settings["cache"] else _source(settings)
    pipeline = WithoutModel(SftArguments(**{**_common(settings), **source}))
    rows, _ = pipeline._prepare_dataset()
    marks.first_batch(rows, pipeline.template.data_collator)
    if settings["check"]:
        marks.digest((row["input_ids"], row["labels"]) for row in (rows[n] for n in range(len(rows))))
    marks.answer()


def _source(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": settings["model"],
        "model_type": "qwen2",
        "template": "qwen2_5",
        "torch_dtype": "float32",
        "max_length": settings["max_length"],
        "dataset": [settings["jsonl"]],
        "dataset_num_proc": settings["workers"],
        "split_dataset_ratio": 0.0,
    }


def _common(settings: dict[str, Any]) -> dict[str, Any]:
    shared = {name: value for name, value in _source(settings).items() if name != "dataset"}
    return {
        **shared,
        "output_dir": settings["output"],
        "add_version": False,
        "use_cpu": True,
        "per_device_train_batch_size": 8,
        "report_to": ["none"],
    }


if __name__ == "__main__":
    main()
