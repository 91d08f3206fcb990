"""Our rows and places, as the engine's process finds them: one JSON file that names everything."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mozhu.engine.data.encoding import IGNORED, EncodedExample
from mozhu.engine.data.token_store import StoreWriter, TokenStore
from mozhu.engine.training.engine import TrainingData
from mozhu.engine.training.staged import MarkedRows, Pairs
from mozhu.kernel.files import make_folder, write_json, writing

PLUGIN = Path(__file__).parent / "inside" / "mozhu_rows.py"


@dataclass(frozen=True)
class Link:
    """``folder`` is private to the run (``.swift``); the engine appends to ``events`` and ends after ``stop``."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "link.json"

    @property
    def events(self) -> Path:
        return self.folder / "events.jsonl"

    @property
    def stop(self) -> Path:
        return self.folder / "stop"

    @property
    def arguments(self) -> Path:
        # ms-swift copies the file that it was started with beside its results, under the same name.
        return self.folder / "swift.json"


def hand_over(
    data: TrainingData, folder: Path, threads: int, stage: str = "sft", head: torch.Tensor | None = None
) -> Link:
    """A fresh link in ``folder``: what an earlier start of this run left there counts no more.

    ``head``: the weights that a new scoring head begins with.
    ``MOZHU_FIRST_BATCH`` names a file for the first training batch as the engine collated it, for whoever doubts it.
    """
    link = Link(make_folder(folder))
    for path in (link.events, link.stop):
        with writing(path):
            path.unlink(missing_ok=True)
    parts = {"train": _place(data.train, folder / "train")}
    if len(data.validation):
        parts["validation"] = _place(data.validation, folder / "validation")
    paired = isinstance(data.train, Pairs)
    places = {"events": str(link.events), "stop": str(link.stop)}
    shown = os.environ.get("MOZHU_FIRST_BATCH")
    what = {"parts": parts, "paired": paired, "stage": stage, "head": _keep_head(head, folder)}
    write_json(link.file, {**what, **places, "threads": threads, "first_batch": shown})
    return link


def _keep_head(head: torch.Tensor | None, folder: Path) -> str | None:
    """Numbers as JSON: float32 comes back from them as it was."""
    if head is None:
        return None
    write_json(folder / "head.json", head.tolist())
    return str((folder / "head.json").absolute())


def _place(examples: Sequence[Any], folder: Path) -> dict[str, Any]:
    """Where the rows lie: as they are when they lie on disk already, else written to ``folder``; of pairs both
    sides, one after the other.
    """
    if isinstance(examples, (Pairs, MarkedRows)):
        examples = examples.store
    if isinstance(examples, TokenStore):
        chosen = str(examples.chosen.absolute()) if examples.chosen is not None else None
        return {"store": str(examples.path.absolute()), "chosen": chosen}
    with StoreWriter(folder) as writer:
        for example in examples:
            writer.add(EncodedExample(array("i", example.ids), _spans(example.labels)), example.row_id)
    return {"store": str(folder.absolute()), "chosen": None}


def _spans(labels: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The [start, end) pairs of what is learned."""
    found: list[tuple[int, int]] = []
    start: int | None = None
    for place, label in enumerate([*labels, IGNORED]):
        if label != IGNORED and start is None:
            start = place
        elif label == IGNORED and start is not None:
            found.append((start, place))
            start = None
    return tuple(found)
