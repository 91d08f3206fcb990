"""One pass over the rows of a data set, part by part, in bounded memory: everything ``data stats`` tells."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mozhu.engine.data.dataset import RowStream
from mozhu.engine.data.duplicates import SIMILARITY
from mozhu.engine.data.rows import reasons
from mozhu.engine.data.statistics.facts import facts_of, kind_of
from mozhu.engine.data.statistics.kept import Place, Some, chance
from mozhu.engine.data.statistics.masking import shortened
from mozhu.engine.data.statistics.measured import Row, Voice, measure
from mozhu.engine.data.statistics.part import ENDS, PartCounts
from mozhu.engine.data.statistics.record import Shown, Statistics
from mozhu.engine.data.statistics.repeats import RepeatSearch, Search
from mozhu.engine.data.statistics.summary import part_statistics, source_json
from mozhu.kernel.errors import NoUsableRows
from mozhu.specs.records.snapshot import RejectedRow

_SHOWN_CHARS = 600


@dataclass(frozen=True)
class Settings:
    """How rows are counted. ``duplicates``: ``near`` needs the letters of all rows in memory; ``auto`` looks for
    exact ones only beyond 200,000 rows. ``batch_size``: padding is told for it besides the usual sizes.
    """

    batch_size: int = 8
    duplicates: Search = "auto"
    similarity: float = SIMILARITY
    rows_shown: int = 10
    seed: int = 42


def collect_statistics(
    streams: Iterable[tuple[str, RowStream]],
    *,
    dataset: str = "",
    model: str = "",
    voice: Voice | None = None,
    settings: Settings | None = None,
    progress: Callable[[str, int], None] | None = None,
) -> Statistics:
    """The statistics of every part in ``streams``, pairs of a part's name and its rows.

    Args:
        voice: The model's tokens; without it lengths are told in characters only.
        progress: Called with the part and how many of its rows were read, every thousand rows.

    Raises:
        NoUsableRows: DATA-003, not one row of any part can be used.
        What reading the rows raises.
    """
    chosen = settings or Settings()
    pass_ = _Pass(chosen, voice, progress)
    first: RowStream | None = None
    for part, stream in streams:
        first = first or stream
        pass_.read(part, stream)
    whole = PartCounts.for_voice(voice)
    for counts in pass_.parts.values():
        whole.update(counts)
    if not whole.rows:
        path = str(first.place.path) if first else dataset
        raise NoUsableRows(
            path=path, count=whole.rejected.total(), reasons=reasons(whole.first_rejected.values()) or "-"
        )
    told = {"batch_size": chosen.batch_size, "most": ENDS}
    return Statistics(
        dataset=dataset,
        model=model,
        settings=_settings(chosen, voice),
        parts={part: part_statistics(counts, **told) for part, counts in pass_.parts.items()},
        whole=part_statistics(whole, **told),
        repeats=pass_.repeats.found(),
        samples=[_shown(*sample) for sample in pass_.samples.items()],
    )


@dataclass
class _Pass:
    settings: Settings
    voice: Voice | None
    progress: Callable[[str, int], None] | None
    parts: dict[str, PartCounts] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.samples = Some(self.settings.rows_shown)
        self.repeats = RepeatSearch(self.settings.duplicates, self.settings.similarity)

    def read(self, part: str, stream: RowStream) -> None:
        counts = self.parts.setdefault(part, PartCounts.for_voice(self.voice))
        rows = self._rows(part, stream, counts)
        measured = measure(rows, self.voice) if self.voice else rows
        for number, row in enumerate(measured, start=1):
            facts = facts_of(row.row)
            counts.add(row, facts)
            self.repeats.add(part, facts.whole, facts.first_question)
            key = chance(self.settings.seed, part, number)
            if self.samples.wants(key):
                self.samples.offer(key, (row.place, row.row, row.tokens))
        counts.sources += source_json(stream.sources)

    def _rows(self, part: str, stream: RowStream, counts: PartCounts) -> Iterator[Row]:
        for number, found in enumerate(stream.with_values(), start=1):
            if self.progress and not number % 1000:
                self.progress(part, number)
            if isinstance(found, RejectedRow):
                counts.reject(found)
                continue
            raw, row, _, shape = found
            yield Row(Place(part, row["row_id"], raw.file, raw.line), shape, row)


def _settings(chosen: Settings, voice: Voice | None) -> dict[str, Any]:
    told: dict[str, Any] = vars(replace(chosen)).copy()
    if voice:
        told |= {"max_length": voice.max_length, "train_on": voice.train_on, "over_length": voice.over_length}
        told["chat_template"] = voice.renderer is not None
    return told


def _shown(place: Place, row: dict[str, Any], tokens: int | None) -> Shown:
    """A row for people: private data hidden, long texts shortened."""
    facts = facts_of(row)
    messages = [(str(turn["role"]), _message(turn)) for turn in row.get("messages") or ()]
    if "messages" not in row:
        messages = [("text", shortened(row["text"], _SHOWN_CHARS))]
    return Shown(
        part=place.part,
        row_id=place.row_id,
        file=place.file,
        line=place.line,
        kind=kind_of(row),
        characters=len(facts.whole) + len(facts.system),
        tokens=tokens,
        messages=messages,
        chosen=None if facts.chosen is None else shortened(facts.chosen, _SHOWN_CHARS),
        rejected=None if facts.rejected is None else shortened(facts.rejected, _SHOWN_CHARS),
        label=None if facts.label is None else shortened(facts.label, _SHOWN_CHARS),
    )


def _message(turn: dict[str, Any]) -> str:
    said = turn.get("content")
    said = said if isinstance(said, str) else "" if said is None else str(said)
    functions = [call.get("function", call) for call in turn.get("tool_calls") or ()]
    calls = [f"{function.get('name')}({_plain(function.get('arguments'))})" for function in functions]
    return shortened("\n".join([*([said] if said else []), *calls]), _SHOWN_CHARS)


def _plain(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
