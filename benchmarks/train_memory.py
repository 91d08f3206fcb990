"""The most memory that LoRA training holds, against LLaMA-Factory and ms-swift at their defaults, on any CPU.

The sides, their rows and their model are those of ``train_speed``. Matrix products are left out on all of them
(:mod:`benchmarks.peers.without_products`): what a step allocates does not depend on what they give, and a machine
without bfloat16 products could not run it. So times say nothing here, and only memory is compared: the most that the
whole process ever held, by the system's own high-water mark.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.harness import alternate
from benchmarks.peers.material import rows_of_demo_lengths, write_rows
from benchmarks.report import Comparison
from benchmarks.table import Size
from benchmarks.train_speed import (
    DEFAULTS_BAR,
    MEMORY_BAR,
    OURS,
    ROWS,
    SHAPE,
    Side,
    facts_of,
    limit,
    peers_of,
    what_is_asked,
)


def measure(work: Path, size: Size) -> list[Comparison]:
    shape = {**SHAPE, **size["shape"]}
    material = write_rows(work / "material", rows_of_demo_lengths(ROWS), shape)
    asked = {**what_is_asked(material, size["steps"] + 1), "without_products": True}
    ours = Side(OURS, Path(sys.executable), "train_ours", work, asked)
    found, missing = peers_of(work, asked)
    others = [side for side in found if side.bar == DEFAULTS_BAR]
    measured = alternate({side.title: side.run for side in (ours, *others)}, size["rounds"])
    limits = [limit(measured, one.title, "peak_bytes", MEMORY_BAR, "of its peak memory") for one in others]
    return [
        Comparison(
            f"memory of LoRA r=8, Qwen2 with {shape['num_hidden_layers']} layers, bf16, {size['steps']} steps",
            measured,
            against=[(side.title, OURS) for side in others],
            limits=limits if size["bars"] else [],
            facts={
                **facts_of((ours, *others)),
                **missing,
                "times": "without matrix products: they say nothing",
            },
        )
    ]
