"""Rows become the examples of a training, in one pass and bounded memory; every row that is lost is listed."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mozhu.engine.data.dataset import RowStream
from mozhu.engine.data.parity import GATE_ROWS, require_parity
from mozhu.engine.data.rows import Tally, excerpt
from mozhu.engine.data.split import Shares, Split, hold_out, rank
from mozhu.engine.data.stage_tokens import PAIRED, StagedRow, fit_stage
from mozhu.engine.data.token_store import StoreWriter, write_numbers
from mozhu.engine.data.tokens import CutRow, DroppedRow, Losses, fit_rows
from mozhu.engine.training.token_request import OVER_LENGTH, REJECTED, TRAIN, VALIDATION, TokenRequest, refs
from mozhu.engine.weights.template import Renderer
from mozhu.engine.weights.tokenizer import load_tokenizer
from mozhu.kernel.errors import EncodersDisagree, NoTrainableTokens, NoUsableRows, OneLabel
from mozhu.kernel.files import json_line, reading, writing
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.records.snapshot import RejectedRow

_EVERY_S = 5.0
_LINE_ENDINGS = (".json", ".jsonl", ".csv", ".tsv", ".txt")
_CHUNK_BYTES = 1 << 20


def build_tokens(request: TokenRequest, folder: Path, emit: Emit) -> dict[str, Any]:
    """``folder`` holds the store of examples, which of them train and validate, and the lists of lost rows.

    Returns:
        ``events``: what was told, to be told again; ``refs``: the numbers of each data set; ``train`` and
        ``validation``: how many examples; ``tokens``: how many tokens.

    Raises:
        NoUsableRows: DATA-003. NoTrainableTokens: TRAIN-001. ParityBroken: DATA-250, before any row is encoded.
        OneLabel: TRAIN-093.
    """
    try:
        return _build(request, folder, emit)
    except EncodersDisagree as error:  # from here on the tokenizer itself encodes: the files are written anew
        emit("log", message=text("train.tokens.disagree", text=error.params["text"]))
        return _build(request, folder, emit)


def _build(request: TokenRequest, folder: Path, emit: Emit) -> dict[str, Any]:
    recorder = _Recorder(emit)
    renderer = Renderer.from_folder(request.base) if request.template is not None else None
    tokenizer = renderer.tokenizer if renderer else load_tokenizer(request.base)
    streams = request.streams()
    _gate(request, streams[0], renderer, tokenizer, recorder)
    started = time.monotonic()
    with writing(folder), StoreWriter(folder) as store, _Lists(folder) as lists:
        classes = _classes(request, streams[0])
        sets = [
            _Set(ref, request, stream, store, lists, _Progress(stream, emit), classes)
            for ref, stream in zip(refs(request.spec), streams, strict=True)
        ]
        for each in sets:
            each.run(renderer, tokenizer)
            each.tell(recorder)
    train, validation = _divided(request, sets, recorder)
    write_numbers(folder / TRAIN, train)
    write_numbers(folder / VALIDATION, validation)
    stats = store.stats
    numbers = {"rows": sum(each.rows for each in sets), "examples": store.count, "tokens": stats.tokens}
    emit("log", message=text("train.tokens.built", **numbers, seconds=f"{time.monotonic() - started:.1f}"))
    return {
        "events": recorder.events,
        "refs": [each.facts() for each in sets],
        "train": len(train),
        "validation": len(validation),
        "tokens": stats.tokens,
        "stats": asdict(stats),
        "classes": classes,
    }


def _classes(request: TokenRequest, stream: RowStream) -> dict[str, int]:
    """The classes of the training data in the order of their names, each with its number.

    Raises:
        OneLabel: TRAIN-093, there is but one kind of row.
    """
    found = (str(row["label"]) for row in stream if not isinstance(row, RejectedRow))
    if request.spec.stage == "kto":
        first = next(found, None)
        if first is not None and all(label == first for label in found):
            raise OneLabel(path=request.spec.dataset, label=first, stage="kto")
        return {}
    if request.spec.stage != "classification":
        return {}
    labels = sorted(set(found))
    if len(labels) == 1:
        raise OneLabel(path=request.spec.dataset, label=labels[0], stage="classification")
    return {label: number for number, label in enumerate(labels)}


def _gate(
    request: TokenRequest, stream: RowStream, renderer: Renderer | None, tokenizer: Any, emit: Emit
) -> None:
    """The parity gate over the first rows; where a class is learned, nothing is answered."""
    spec = request.spec
    if spec.stage == "classification":
        return
    first = list(islice((row for row in stream if not isinstance(row, RejectedRow)), GATE_ROWS))
    if spec.stage in PAIRED:
        first = [{**row, "messages": row["messages"] + row["chosen"]} for row in first]
    require_parity(
        first,
        request.base,
        renderer,
        tokenizer,
        emit=emit,
        train_on=spec.train_on,
        accept=spec.accept,
        model=spec.model,
        dataset=spec.dataset,
    )


def _divided(request: TokenRequest, sets: list[_Set], emit: Emit) -> tuple[array[int], array[int]]:
    """The numbers of the examples to train on and to validate with."""
    first = sets[0]
    train, validation = array("q"), array("q")
    if request.splits:
        share = request.spec.validation_split
        held = hold_out(first.ranks, Shares(1 - share, share, 0.0))
        for number, place in enumerate(first.example_ranks):
            (validation if held.part_of(place) == "validation" else train).append(number)
        if finding := Split(empty=held.empty, groups=held.groups).finding(len(first.ranks)):
            emit("finding", **finding)
    else:
        train.extend(range(first.examples))
        validation.extend(range(first.examples, sum(each.examples for each in sets)))
    if not train:
        raise NoTrainableTokens(rows=first.rows, max_length=request.limit)
    return train, validation


@dataclass
class _Set:
    """One data set on its way into the store."""

    ref: str
    request: TokenRequest
    stream: RowStream
    store: StoreWriter
    lists: _Lists
    progress: _Progress
    classes: dict[str, int]
    rows: int = 0
    rejected: int = 0
    dropped: int = 0
    examples: int = 0
    conversations: bool = False
    tally: Tally = field(default_factory=Tally)
    lengths: Counter[int] = field(default_factory=Counter)
    ranks: array[int] = field(default_factory=lambda: array("Q"))
    example_ranks: array[int] = field(default_factory=lambda: array("Q"))

    def __post_init__(self) -> None:
        self.losses = Losses(self.request.limit)

    def run(self, renderer: Renderer | None, tokenizer: Any) -> None:
        for number, found in enumerate(self._fitted(renderer, tokenizer)):
            self._keep(number, found)
        if not self.rows:
            why = self.tally.reasons() or "-"
            raise NoUsableRows(path=str(self.stream.place.path), count=self.tally.total, reasons=why)
        if not self.examples:
            raise NoTrainableTokens(rows=self.rows, max_length=self.request.limit)

    def _fitted(self, renderer: Renderer | None, tokenizer: Any) -> Iterator[StagedRow]:
        spec, limit = self.request.spec, self.request.limit
        if spec.stage in {"sft", "pt"}:
            fitted = fit_rows(
                self._read(),
                renderer,
                max_length=limit,
                tokenizer=tokenizer,
                train_on=spec.train_on,
                over_length=spec.over_length,
            )
            return map(StagedRow, fitted)
        return fit_stage(
            self._read(),
            renderer,
            stage=spec.stage,
            max_length=limit,
            reject=spec.over_length == "reject",
            classes=self.classes,
            tokenizer=tokenizer,
        )

    def tell(self, emit: Emit) -> None:
        if self.rejected:
            params = {"ref": self.ref, "rejected": self.rejected}
            emit("finding", level="warning", code="TRAIN-028", params=params)
        for finding in self.losses.findings():
            emit("finding", **finding)

    def facts(self) -> dict[str, Any]:
        return {
            "ref": self.ref,
            "rows": self.rows,
            "rejected": self.rejected,
            "dropped": self.dropped,
            "reasons": self.tally.reasons(),
            "conversations": self.conversations,
            "lengths": sorted(self.lengths.items()),
        }

    def _read(self) -> Iterator[dict[str, Any]]:
        """The prepared rows; rejected ones are listed on the way."""
        for found in self.stream.with_values():
            if isinstance(found, RejectedRow):
                self.rejected += 1
                self._lose(found)
                continue
            raw, row, _, _ = found
            self.rows += 1
            self.conversations = self.conversations or "messages" in row
            if self.request.splits:
                self.ranks.append(rank(row, self.request.spec.seed))
            self.progress.tell(self.rows, raw.file, raw.line)
            yield row

    def _keep(self, number: int, staged: StagedRow) -> None:
        found = staged.fitted
        for place, example in enumerate(found.examples):
            mark = staged.marks[place] if staged.marks else None
            self.store.add(example, found.row["row_id"], mark)
            self.lengths[len(example.ids)] += 1
            if self.request.splits:
                self.example_ranks.append(self.ranks[number])
        self.examples += len(found.examples)
        if found.cut:
            self.lists.cut(found.row, found.cut)
        if found.dropped:
            self.dropped += 1
            self.losses.add(found.dropped)
            self._lose(_as_rejected(found.row, found.dropped))
        elif found.cut:
            self.losses.add(found.cut)

    def _lose(self, row: RejectedRow) -> None:
        self.tally.add(row)
        self.lists.rejected(row)


class _Lists:
    """``rejected.jsonl`` and ``over_length.jsonl``, each there only when it has a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Any] = {}

    def __enter__(self) -> _Lists:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()

    def rejected(self, row: RejectedRow) -> None:
        self._write(REJECTED, row.model_dump(mode="json"))

    def cut(self, row: dict[str, Any], cut: CutRow) -> None:
        source = row.get("source") or {}
        place = {"row": cut.row_id, "file": source.get("file"), "line": source.get("line")}
        self._write(
            OVER_LENGTH, {**place, **{name: item for name, item in asdict(cut).items() if name != "row_id"}}
        )

    def _write(self, name: str, value: dict[str, Any]) -> None:
        if name not in self._files:
            self._files[name] = open(self._folder / name, "wb")  # noqa: SIM115 (closed by __exit__)
        self._files[name].write(json_line(value))


class _Recorder:
    """Hands events on and keeps them, so that they can be told again where the tokens are used again."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.events: list[dict[str, Any]] = []

    def __call__(self, kind: str, /, **fields: Any) -> None:
        self.events.append({"kind": kind, **fields})
        self._emit(kind, **fields)


class _Progress:
    """A line every few seconds: rows, speed, and how long it will take where the number of lines is known."""

    def __init__(self, stream: RowStream, emit: Emit) -> None:
        self._emit = emit
        self._files = stream.place.files
        self._started = self._told = time.monotonic()
        self._before: dict[str, int] | None = None
        self._lines = 0

    def tell(self, rows: int, file: str, line: int) -> None:
        now = time.monotonic()
        if now - self._told < _EVERY_S:
            return
        self._told = now
        seconds = now - self._started
        fields: dict[str, Any] = {"rows": rows, "speed": f"{rows / seconds:,.0f}"}
        done = self._done(file, line)
        if done is None or done >= self._lines:
            self._emit("log", message=text("train.tokens.building", **fields))
            return
        left = seconds * (self._lines - done) / max(1, done)
        message = text("train.tokens.building_eta", **fields, eta=f"{left:.0f} s")
        self._emit("log", message=message, eta_s=round(left, 1))

    def _done(self, file: str, line: int) -> int | None:
        """Lines read so far; counted only where it takes long enough to be worth it."""
        if self._before is None:
            self._before = {}
            for each in self._files:
                self._before[each.label] = self._lines
                self._lines += _lines(each.path)
        before = self._before.get(file)
        return before + line if before is not None else None


def _lines(path: Path) -> int:
    if path.suffix.lower() not in _LINE_ENDINGS:
        return 0
    count = 0
    with reading(path), open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
    return count


def _as_rejected(row: dict[str, Any], dropped: DroppedRow) -> RejectedRow:
    """A dropped row as it stands in ``rejected.jsonl``."""
    source = row.get("source") or {}
    field_name = "images" if dropped.code == "DATA-123" else ("messages" if "messages" in row else "text")
    return RejectedRow(
        file=str(source.get("file", "")),
        line=int(source.get("line", 1)),
        field=field_name,
        code=dropped.code,
        params=dropped.params,
        excerpt=excerpt(row.get(field_name)),
        fix=text(f"data.{dropped.code}.next", **dropped.params),
    )
