"""What ms-swift loads from us (``--external_plugins``): our rows as they are, our events, our way to stop.

Runs in the engine's own environment, where nothing of mozhu is installed: it imports nothing of ours, and the rest of
mozhu never imports it. ``MOZHU_SWIFT_LINK`` names the JSON file that says where everything lies.

``template``: :class:`RowsTemplate` hands over token ids and labels unchanged; nothing is rendered or encoded here.
``dataset``: numbers of rows; the rows themselves stay in the memory maps of the token store.
``callback``: every logged step, validation and whole checkpoint as one JSON line; stops when the stop file is there.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from datasets import Dataset as HfDataset
from swift.callbacks import TrainerCallback, callbacks_map
from swift.dataset import DatasetMeta, register_dataset
from swift.dataset.dataset_meta import BaseDatasetLoader
from swift.model import ModelMeta, register_model
from swift.model.register import ModelLoader
from swift.pipelines.train import rlhf
from swift.rlhf_trainers.rlhf_mixin import RLHFTrainerMixin
from swift.template import Template, TemplateMeta, register_template
from swift.trainers.trainer import Trainer

NAME = "mozhu_rows"
IGNORED = -100
LINK: dict[str, Any] = json.loads(Path(os.environ["MOZHU_SWIFT_LINK"]).read_text(encoding="utf-8"))
_IS_FIRST = os.environ.get("RANK", "0") in {"0", "-1"}


class Rows:
    """The examples of a token store (engine/data/token_store.py has the layout), or those that ``chosen`` numbers."""

    def __init__(self, store: str, chosen: str | None) -> None:
        place = Path(store)
        self._ids, self._ends = _numbers(place / "ids.i32", "<i4"), _numbers(place / "ends.i64", "<i8")
        self._spans = _numbers(place / "spans.i32", "<i4")
        self._span_ends = _numbers(place / "span_ends.i64", "<i8")
        self._names = _numbers(place / "rows.txt", "u1")
        self._name_ends = _numbers(place / "row_ends.i64", "<i8")
        self._marks = _numbers(place / "marks.i32", "<i4")
        self._chosen = _numbers(Path(chosen), "<i8") if chosen else None

    def __len__(self) -> int:
        return len(self._ends) if self._chosen is None else len(self._chosen)

    def ids_and_labels(self, index: int) -> tuple[list[int], list[int]]:
        """The first token is never predicted, so its label counts nowhere."""
        number = self._number(index)
        ids = _piece(self._ids, self._ends, number).tolist()
        bounds = _piece(self._spans, self._span_ends, number).tolist()
        labels = [IGNORED] * len(ids)
        for start, end in zip(bounds[::2], bounds[1::2], strict=True):
            labels[start:end] = ids[start:end]
        labels[:1] = [IGNORED]
        return ids, labels

    def mark(self, index: int) -> int:
        """1 where an answer is wanted and 0 where not, or the number of a class."""
        return int(self._marks[self._number(index)])

    def last_ids(self) -> set[int]:
        return {int(_piece(self._ids, self._ends, self._number(row))[-1]) for row in range(len(self))}

    def length(self, index: int) -> int:
        return len(_piece(self._ids, self._ends, self._number(index)))

    def name(self, index: int) -> str:
        return bytes(_piece(self._names, self._name_ends, self._number(index))).decode("utf-8")

    def _number(self, index: int) -> int:
        return int(index if self._chosen is None else self._chosen[index])


def _numbers(path: Path, kind: str) -> Any:
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.zeros(0, dtype=kind)


def _piece(flat: Any, ends: Any, number: int) -> Any:
    return flat[int(ends[number - 1]) if number else 0 : int(ends[number])]


PAIRED = bool(LINK.get("paired"))
STAGE = LINK["stage"]
SCORES = STAGE in {"rm", "classification"}
OF_TOKENS = STAGE in {"sft", "pt"}
PARTS = {name: Rows(**place) for name, place in LINK["parts"].items()}


class RowsLoader(BaseDatasetLoader):
    """A data set of row numbers: what ms-swift shuffles, shards and resumes."""

    def __init__(self, **_: Any) -> None:
        pass

    def load(self, dataset_syntax: Any = None, dataset_meta: Any = None, *, use_hf: Any = None) -> HfDataset:
        part = dataset_meta.dataset_name.rpartition("_")[2]
        size = len(PARTS[part]) // 2 if PAIRED else len(PARTS[part])
        return HfDataset.from_dict({"part": [part] * size, "row": list(range(size))})


class Tally:
    """What was read since the last event, on this process."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self.tokens = 0
        self.loss_sum = 0.0
        self.items = 0


TALLY = Tally()


class RowsTemplate(Template):
    """Ids and labels as they were handed over."""

    def encode(self, inputs: Any, return_template_inputs: bool = False, return_length: bool = False) -> Any:
        part, row = PARTS[inputs["part"]], inputs["row"]
        if STAGE == "kto":
            encoded = {f"chosen_{name}": value for name, value in _encoded(part, row).items()}
            encoded["label"] = bool(part.mark(row))
        elif not PAIRED:
            encoded = _encoded(part, row)
            if STAGE == "classification":
                encoded["labels"] = part.mark(row)
        else:
            sides = {"chosen": _encoded(part, 2 * row), "rejected": _encoded(part, 2 * row + 1)}
            encoded = {
                f"{side}_{name}": value for side, found in sides.items() for name, value in found.items()
            }
        if return_length:
            encoded["lengths"] = [value for name, value in encoded.items() if name.endswith("length")]
        return encoded

    def _data_collator(self, batch: list[dict[str, Any]], *, padding_to: int | None = None) -> dict[str, Any]:
        rows = [each["row"] for each in batch]
        names = ("input_ids", "length") if SCORES else ("input_ids", "labels", "length")
        plain = [{name: each[name] for name in names} for each in batch]
        found: dict[str, Any] = super()._data_collator(plain, padding_to=padding_to)
        if SCORES:
            found["input_ids"] = found["input_ids"].masked_fill(found["attention_mask"] == 0, NO_LAST_ID)
        found["mozhu_rows"] = torch.tensor(rows)
        return found

    def _kto_data_collator(
        self, batch: list[dict[str, Any]], *, padding_to: int | None = None
    ) -> dict[str, Any]:
        """How far the model has moved is measured on each question with the answer of the row before it in the
        batch, as in engine hf; not at all where a batch has one row.
        """
        own = self._fetch_inputs_startswith(batch, "chosen_")
        found: dict[str, Any] = {}
        for name, part in (("completion", own), ("KL_completion", _exchanged(own))):
            collated = self._data_collator(part, padding_to=padding_to)
            rows = collated.pop("mozhu_rows")
            found.update({f"{name}_{key}": value for key, value in collated.items()})
        return {**found, "label": [each["label"] for each in batch], "mozhu_rows": rows}

    def compute_sft_loss(
        self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None, trainer: Any = None
    ) -> Any:
        rows = inputs.pop("mozhu_rows").tolist()
        if model.training:
            _keep_first_batch(inputs, rows)
        outputs = super().compute_sft_loss(model, inputs, num_items_in_batch, trainer)
        if model.training:
            TALLY.rows += [PARTS["train"].name(row) for row in rows]
            TALLY.tokens += sum(PARTS["train"].length(row) for row in rows)
        else:
            items = int((inputs["labels"][:, 1:] != IGNORED).sum())
            TALLY.loss_sum += float(outputs.loss) * items if items else 0.0
            TALLY.items += items
        return outputs


def _keep_first_batch(inputs: dict[str, Any], rows: list[int]) -> None:
    """The first collated batch, where someone asked to see it."""
    place = LINK.get("first_batch")
    if place and _IS_FIRST and not Path(place).exists():
        names = ("input_ids", "labels", "attention_mask")
        shown = {name: inputs[name].tolist() for name in names if inputs.get(name) is not None}
        Path(place).write_text(json.dumps({"rows": rows, **shown}), encoding="utf-8")


def _encoded(part: Rows, row: int) -> dict[str, Any]:
    ids, labels = part.ids_and_labels(row)
    return {"input_ids": ids, "labels": labels, "length": len(ids), "row": row}


def _exchanged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The question of each row with the answer of the row before it."""
    if len(rows) == 1:
        return [{**rows[0], "labels": [IGNORED] * len(rows[0]["labels"])}]
    found = []
    for number, row in enumerate(rows):
        other = rows[number - 1]
        start, answer = _answer_start(row), _answer_start(other)
        ids = row["input_ids"][:start] + other["input_ids"][answer:]
        labels = [IGNORED] * start + other["labels"][answer:]
        found.append({**row, "input_ids": ids, "labels": labels, "length": len(ids)})
    return found


def _answer_start(row: dict[str, Any]) -> int:
    labels = row["labels"]
    return next((place for place, label in enumerate(labels) if label != IGNORED), len(labels))


def _take_rows(trainer: Any, inputs: Any) -> Any:
    """All but plain rows reach their trainers through here: the numbers of rows are for us alone."""
    rows = inputs.pop("mozhu_rows").tolist() if "mozhu_rows" in inputs else []
    if trainer.model.training:
        if rows:
            _keep_first_batch(inputs, rows)
        TALLY.rows += [PARTS["train"].name(row) for row in rows if not PAIRED or row % 2 == 0]
        TALLY.tokens += sum(PARTS["train"].length(row) for row in rows)
    return _PREPARE(trainer, inputs)


class LocalModel(ModelLoader):
    """Any causal language model that transformers itself knows; code in a model's folder is never run."""

    default_trust_remote_code = False


class Reporter(TrainerCallback):
    """Our events and our way to stop, in Trainer's own moments."""

    def __init__(self, args: Any, trainer: Any) -> None:
        super().__init__(args, trainer)
        self._seconds = 0.0
        self._began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        _let_gradients_pass(self.trainer.model)
        if SCORES:
            self.trainer.model.config.pad_token_id = NO_LAST_ID
        if LINK["head"] and state.global_step == 0:
            _begin_head(self.trainer.model, json.loads(Path(LINK["head"]).read_text(encoding="utf-8")))
        self._tell("begin", step=state.global_step, total=state.max_steps, device=str(args.device))

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._seconds += time.monotonic() - self._began
        if Path(LINK["stop"]).exists():
            control.should_save = True
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not logs or "loss" not in logs or "learning_rate" not in logs:
            return
        rows, TALLY.rows = TALLY.rows, []
        tokens, TALLY.tokens = TALLY.tokens, 0
        seconds, self._seconds = self._seconds, 0.0
        self._tell(
            "step",
            step=state.global_step,
            total=state.max_steps,
            epoch=float(state.epoch or 0.0),
            loss=float(logs["loss"]),
            lr=float(logs["learning_rate"]),
            grad_norm=float(logs.get("grad_norm", math.nan)),
            rows=rows,
            tokens=tokens,
            seconds=seconds,
            memory_bytes=_memory_bytes(args.device),
        )

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        """The mean a label token, whatever the batches: ms-swift's own figure is a mean of batches. Of all but
        plain rows it is its own: the mean of the rows.
        """
        if not OF_TOKENS:
            rows = len(PARTS["validation"]) // (2 if PAIRED else 1)
            self._tell("eval", step=state.global_step, loss=float(metrics["eval_loss"]), rows=rows)
            return
        total, items = TALLY.loss_sum, TALLY.items
        TALLY.loss_sum, TALLY.items = 0.0, 0
        if args.world_size > 1:
            both = torch.tensor([total, float(items)], dtype=torch.float64, device=args.device)
            total, items = self.trainer.accelerator.reduce(both, "sum").tolist()
        rows = len(PARTS["validation"])
        self._tell("eval", step=state.global_step, loss=total / max(1, items), rows=rows)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A checkpoint counts once all of it is written."""
        if _IS_FIRST:
            (Path(args.output_dir) / f"checkpoint-{state.global_step}" / ".complete").touch()
        self._tell("checkpoint", step=state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._tell("end", step=state.global_step, peak_memory_bytes=_peak_memory_bytes(args.device))

    def _tell(self, kind: str, **fields: Any) -> None:
        if not _IS_FIRST:
            return
        safe = {name: str(value) if _is_odd(value) else value for name, value in fields.items()}
        with open(LINK["events"], "a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **safe}, ensure_ascii=False) + "\n")


def _let_gradients_pass(model: Any) -> None:
    """On a CPU bitsandbytes lays 4-bit weights out anew when it first sees them in evaluation mode, for a kernel that
    has no gradient: not here, where validation and training take turns.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it writes a line for each product in 8 bits
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


@torch.no_grad()
def _begin_head(model: Any, weight: list[list[float]]) -> None:
    """A new scoring head begins as in engine hf: what is trained, and what an adapter keeps beside it."""
    for name, item in model.named_parameters():
        if name.endswith(
            ("score.weight", "score.modules_to_save.default.weight", "score.original_module.weight")
        ):
            item.copy_(torch.tensor(weight))


def _is_odd(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _memory_bytes(device: Any) -> int:
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)


def _peak_memory_bytes(device: Any) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated())
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return int(psutil.Process().memory_info().rss)


def _end_with_the_run() -> None:
    """Whoever started us holds the other end of standard input: when it is gone, this process goes too, so that
    it never writes into a folder that another run has taken over.
    """
    while os.read(0, 1 << 10):
        pass
    os._exit(1)


register_template(TemplateMeta(NAME, prefix=[], prompt=["{{QUERY}}"], chat_sep=[], template_cls=RowsTemplate))
register_model(ModelMeta(NAME, [], LocalModel, template=NAME))
for _part in PARTS:
    register_dataset(
        DatasetMeta(
            ms_dataset_id=f"mozhu/{_part}",
            hf_dataset_id=f"mozhu/{_part}",
            dataset_name=f"mozhu_{_part}",
            loader=RowsLoader,
        )
    )
callbacks_map[NAME] = Reporter
if SCORES:  # transformers scores the last token that is not this one
    _LAST = set.union(*(part.last_ids() for part in PARTS.values()))
    NO_LAST_ID = next(number for number in range(len(_LAST) + 1) if number not in _LAST)
if not OF_TOKENS:
    _KIND = Trainer if STAGE == "classification" else RLHFTrainerMixin
    _PREPARE = _KIND._prepare_inputs
    _KIND._prepare_inputs = _take_rows
if STAGE == "kto":  # rows are exchanged where batches are made
    rlhf.prepare_kto_dataset = lambda args, train_dataset, val_dataset: (train_dataset, val_dataset)
torch.set_num_threads(int(LINK["threads"]))
threading.Thread(target=_end_with_the_run, daemon=True).start()
