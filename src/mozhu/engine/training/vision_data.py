"""Rows with images as examples: the tokens of their texts, a place for every piece of an image, and the images' files.

They are made anew for each run; the images are read when their batch is.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from mozhu.engine.data.dataset import LoadedRows, load_rows
from mozhu.engine.data.encoding import IGNORED
from mozhu.engine.data.split import Shares, split_rows
from mozhu.engine.training.defaults import max_length
from mozhu.engine.training.engine import TrainingData
from mozhu.engine.training.lost_rows import check_lost
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.vision import Vision, open_vision
from mozhu.kernel.errors import NoTrainableTokens, RefusedConversation, TemplateRewritesTurns
from mozhu.kernel.progress import Emit
from mozhu.specs.train import TrainSpec

_SHOWN = 5
Row = dict[str, Any]


@dataclass(frozen=True)
class VisionExample:
    """``ids`` and ``labels`` are equally long; ``images`` are the files whose places are in ``ids``, in order."""

    ids: list[int]
    labels: list[int]
    row_id: str
    images: tuple[str, ...] = ()


class _Lost(Exception):
    """A row that is not trained on: the code of its finding and what it says."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code, self.params = code, params


def vision_data(spec: TrainSpec, model: ModelFolder, emit: Emit) -> TrainingData:
    """Both parts as examples in memory; every row that is left out is told.

    A row that is too long is cut at its end, never inside an image: one whose images do not fit is left out.

    Raises:
        NoTrainableTokens: TRAIN-001. TooManyLostRows: TRAIN-008. SeesNoImages: INFER-004.
        What the data raise when they are read.
    """
    renderer = Renderer.from_folder(model.path)
    vision, limit = open_vision(model, renderer), max_length(spec, model)
    loaded = _load(spec, spec.dataset, "train")
    if spec.val_dataset:
        parts = [loaded.rows, _load(spec, spec.val_dataset, "validation").rows]
    elif spec.validation_split > 0:
        share = spec.validation_split
        split = split_rows(loaded.rows, Shares(1 - share, share, 0.0), seed=spec.seed)
        parts = [split.train, split.validation]
    else:
        parts = [loaded.rows, []]
    lost: Counter[str] = Counter()
    made = [_examples(rows, renderer, vision, spec, limit, emit, lost) for rows in parts]
    reasons = ", ".join(f"{code} × {count}" for code, count in lost.items())
    numbers = {"rows": sum(map(len, parts)), "rejected": len(loaded.rejected), "dropped": lost.total()}
    check_lost(spec, [{"ref": spec.dataset, **numbers, "reasons": reasons}])
    if not made[0]:
        raise NoTrainableTokens(rows=len(parts[0]), max_length=limit)
    return TrainingData(made[0], made[1], keep=vision)


def _load(spec: TrainSpec, ref: str, part: str) -> LoadedRows:
    return load_rows(
        ref,
        text_column=spec.text_column,
        system=spec.system,
        format_type=spec.format_type,
        input_format=spec.input_format,
        columns=spec.columns,
        part=part,
    )


def _examples(
    rows: list[Row],
    renderer: Renderer,
    vision: Vision,
    spec: TrainSpec,
    limit: int,
    emit: Emit,
    lost: Counter[str],
) -> list[VisionExample]:
    found: list[VisionExample] = []
    for row in rows:
        try:
            found += _row_examples(row, renderer, vision, spec, limit)
        except _Lost as error:
            lost[error.code] += 1
            if lost.total() <= _SHOWN:
                emit("finding", level="warning", code=error.code, params=error.params)
    return found


def _row_examples(
    row: Row, renderer: Renderer, vision: Vision, spec: TrainSpec, limit: int
) -> list[VisionExample]:
    name, images = row["row_id"], list(row.get("images") or ())
    if not row.get("messages"):
        raise _Lost("DATA-122", row=name, reason="`messages`")
    try:
        counts = vision.counts(images)
        rendered = renderer.examples(vision.marked(row["messages"]), row.get("tools"), row=name)
        made = [vision.expanded(item.ids, item.labels(), counts) for item in rendered]
    except (RefusedConversation, TemplateRewritesTurns) as error:
        raise _Lost("DATA-122", row=name, reason=error.params.get("reason") or error.what) from error
    except (OSError, ValueError) as error:
        raise _Lost("DATA-122", row=name, reason=str(error)) from error
    made = made[-1:] if spec.train_on == "last" else made
    kept = [_within(ids, labels, vision.token, limit, spec) for ids, labels in made]
    found = [VisionExample(*pair, name, tuple(images)) for pair in kept if pair]
    if not found:
        raise _Lost("DATA-125", row=name, tokens=max(len(ids) for ids, _ in made), max_length=limit)
    return found


def _within(
    ids: list[int], labels: list[int], token: int, limit: int, spec: TrainSpec
) -> tuple[list[int], list[int]] | None:
    """The example within ``limit``; ``None`` where an image or every answer would be cut."""
    if len(ids) > limit and (spec.over_length == "reject" or token in ids[limit:]):
        return None
    ids, labels = ids[:limit], labels[:limit]
    return (ids, labels) if any(label != IGNORED for label in labels[1:]) else None
