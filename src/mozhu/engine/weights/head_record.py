"""``head.json`` in an adapter's folder: what its scoring head says, and to which stage of training that belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mozhu.engine.weights.folder import ModelFolder
from mozhu.specs.records.base import Record

HEAD_RECORD = "head.json"
HEADS = ("score.weight", "classifier.weight")
Scores = Literal["rm", "classification"]


class HeadRecord(Record):
    """``labels``: the names of the classes in the order of their numbers; empty for a reward."""

    stage: Scores
    labels: list[str] = []


@dataclass(frozen=True)
class Head:
    """What scores ``labels``; a single number without names is a reward."""

    labels: tuple[str, ...]

    @property
    def is_reward(self) -> bool:
        return not self.labels

    @property
    def config(self) -> dict[str, Any]:
        """These values of a transformers configuration give a model such a head."""
        if self.is_reward:
            return {"num_labels": 1}
        names = dict(enumerate(self.labels))
        return {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}


def write_head_record(adapter: Path, stage: str, labels: Sequence[str]) -> None:
    """Write ``head.json`` beside an adapter's weights, in one atomic step."""
    kept = list(labels) if stage == "classification" else []
    HeadRecord.model_validate({"stage": stage, "labels": kept}).write(adapter / HEAD_RECORD)


def head_of(folder: ModelFolder) -> Head | None:
    """The scoring head of a model or an adapter; ``None`` where it writes text.

    An adapter made elsewhere has no record: its head's own tensor tells how many classes there are.

    Raises:
        BadJson: FILE-004. DamagedRecord: FILE-006.
    """
    if folder.kind == "model":
        if not folder.architecture.endswith("ForSequenceClassification"):
            return None
        names = folder.config.get("id2label") or {}
        count = _rows(folder) or len(names) or 1
        return _named(count, {int(number): str(name) for number, name in names.items()})
    path = folder.path / HEAD_RECORD
    if path.is_file():
        return Head(tuple(HeadRecord.read(path).labels))
    if str((folder.adapter_config or {}).get("task_type")) != "SEQ_CLS":
        return None
    return _named(_rows(folder) or 1, {})


def _named(count: int, names: dict[int, str]) -> Head:
    return Head(() if count == 1 else tuple(names.get(number, f"LABEL_{number}") for number in range(count)))


def _rows(folder: ModelFolder) -> int | None:
    """How many numbers the head gives, by its tensor."""
    found = (info.shape[0] for name, info in folder.tensors.items() if name.endswith(HEADS) and info.shape)
    return next(found, None)
