"""What every driver does the same way: moments of its own process, the first batch, a digest of all rows.

Standard library and torch alone: it runs in each peer's environment. A moment is the system's monotonic clock,
which the process that started the driver reads too, and the CPU seconds of this process and its finished children.
"""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_SIZE = 1 << 64
IGNORED = -100


class Marks:
    """``python -m benchmarks.peers.DRIVER SETTINGS RESULT``: the settings, and the moments to answer with."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
        self._told: dict[str, Any] = {}

    def mark(self, name: str) -> None:
        """This moment is called ``name``: ``imported``, ``ready`` (rows are prepared) or ``batch``."""
        self._told[name] = {"at": time.monotonic(), "cpu_s": _cpu_seconds()}

    def first_batch(self, rows: Any, collate: Callable[[list[Any]], Any]) -> None:
        """One shuffled batch of eight, on the way that Trainer takes; its shape is part of the answer."""
        from torch import Generator
        from torch.utils.data import DataLoader

        self.mark("ready")
        shuffled = DataLoader(
            rows, batch_size=8, shuffle=True, collate_fn=collate, generator=Generator().manual_seed(0)
        )
        batch = next(iter(shuffled))
        self.mark("batch")
        assert batch["input_ids"].shape == batch["labels"].shape and len(batch["labels"]) == 8
        self._told |= {"rows": len(rows), "batch_shape": list(batch["labels"].shape)}

    def digest(self, rows: Iterable[tuple[list[int], list[int]]]) -> None:
        """Sums that are equal where the same (ids, labels) are there, in whatever order.

        ``labels_sum`` leaves the last label of each row out: the line break after the end of the turn, which the
        peers learn and Mozhu does not.
        """
        counted = {"rows": 0, "tokens": 0, "labels": 0, "ids_sum": 0, "labels_sum": 0}
        for ids, labels in rows:
            counted["rows"] += 1
            counted["tokens"] += len(ids)
            counted["labels"] += sum(label != IGNORED for label in labels)
            counted["ids_sum"] = (counted["ids_sum"] + _hash(ids)) % _SIZE
            counted["labels_sum"] = (counted["labels_sum"] + _hash(ids, labels[:-1])) % _SIZE
        self._told["digest"] = counted

    def answer(self) -> None:
        Path(sys.argv[2]).write_text(json.dumps(self._told), encoding="utf-8")


def _hash(*lists: list[int]) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for numbers in lists:
        digest.update(array("i", numbers).tobytes())
    return int.from_bytes(digest.digest(), "big")


def _cpu_seconds() -> float:
    both = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)
