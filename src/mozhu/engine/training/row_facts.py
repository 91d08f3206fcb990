"""What a plan has to know of the data: numbers alone, from kept tokens where there are any, else from one pass."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.dataset import Reading, RowStream
from mozhu.engine.data.places import Place, find_place
from mozhu.engine.data.rows import Tally
from mozhu.engine.data.token_cache import token_cache
from mozhu.engine.training.token_request import PARTS, TokenRequest, refs, spec_reading
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import NoUsableRows
from mozhu.specs.records.snapshot import RejectedRow
from mozhu.specs.train import TrainSpec

_TURN_TOKENS = 8  # what a chat template adds around a turn
_WIDE = 0x2E7F
_MOST_KNOWN = 8
_known: dict[str, RowFacts] = {}


@dataclass(frozen=True)
class RowFacts:
    """Numbers of one data set. ``lengths``: how many examples (rows, where estimated) there are of each length.

    ``dropped`` and exact lengths are known only where the tokens are (``exact``). ``labels``: the first two of marked
    answers and classified texts, where the rows were read.
    """

    ref: str
    rows: int
    rejected: int
    dropped: int
    reasons: str
    conversations: bool
    lengths: Counter[int] = field(default_factory=Counter)
    exact: bool = False
    labels: tuple[str, ...] = ()

    def numbers(self) -> dict[str, Any]:
        """As :func:`~mozhu.engine.training.lost_rows.lost_params` takes them."""
        names = ("ref", "rows", "rejected", "dropped", "reasons")
        return {name: getattr(self, name) for name in names}

    def total_tokens(self, limit: int) -> int:
        return sum(min(limit, length) * count for length, count in self.lengths.items())

    def longest(self, limit: int) -> int:
        return min(limit, max(self.lengths, default=1))


def kept_facts(spec: TrainSpec, model: ModelFolder) -> list[RowFacts] | None:
    """The numbers of every data set of ``spec`` where its tokens are kept, else ``None``.

    Raises:
        What :func:`~mozhu.engine.data.places.find_place` raises.
    """
    if not spec.token_cache:
        return None
    found = token_cache().peek(TokenRequest.of(spec, model.path, model).key())
    return [_from_entry(each) for each in found["refs"]] if found else None


def row_facts(spec: TrainSpec) -> Iterator[RowFacts]:
    """The numbers of each data set of ``spec``, read once in bounded memory; lengths are estimates.

    Raises:
        NoUsableRows: DATA-003. What :func:`~mozhu.engine.data.dataset.load_rows` raises.
    """
    for ref, part in zip(refs(spec), PARTS, strict=False):
        yield read_facts(spec, ref, part)


def read_facts(spec: TrainSpec, ref: str, part: str) -> RowFacts:
    """The numbers of one data set; while its files stay as they are it is read once a process."""
    place = find_place(ref, part)
    reading = spec_reading(spec)
    states = [(file.path.stat().st_mtime_ns, file.path.stat().st_size) for file in place.files]
    key = repr((ref, place, reading, states))
    if key not in _known:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        _known[key] = _read(ref, place, reading)
    return _known[key]


def _read(ref: str, place: Place, reading: Reading) -> RowFacts:
    tally = Tally()
    lengths: Counter[int] = Counter()
    conversations = False
    labels: dict[str, None] = {}
    stream = RowStream(place, reading)
    for row in stream:
        if isinstance(row, RejectedRow):
            tally.add(row)
            continue
        lengths[_estimate(row)] += 1
        conversations = conversations or "messages" in row
        if len(labels) < 2 and "label" in row:
            labels[str(row["label"])] = None
    rows = lengths.total()
    if not rows:
        raise NoUsableRows(path=str(place.path), count=tally.total, reasons=tally.reasons() or "-")
    return RowFacts(ref, rows, tally.total, 0, tally.reasons(), conversations, lengths, labels=tuple(labels))


def _from_entry(each: dict[str, Any]) -> RowFacts:
    lengths = Counter({int(length): int(count) for length, count in each["lengths"]})
    numbers = {
        name: each[name] for name in ("ref", "rows", "rejected", "dropped", "reasons", "conversations")
    }
    return RowFacts(**numbers, lengths=lengths, exact=True)


def _estimate(row: dict[str, Any]) -> int:
    """About how many tokens a row has."""
    if row.get("messages"):
        texts = [str(message.get("content") or "") for message in row["messages"]]
    else:
        texts = [str(row.get("text") or "")]
    wide = sum(1 for text in texts if not text.isascii() for letter in text if ord(letter) > _WIDE)
    narrow = sum(len(text) for text in texts) - wide
    return math.ceil(wide * 0.8 + narrow / 3.5) + _TURN_TOKENS * len(texts)
