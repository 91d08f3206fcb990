"""Counts what stands in the rows of one part; counts of several parts add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from mozhu.engine.data.checks.languages import find_other_language
from mozhu.engine.data.statistics.facts import Facts, first_words
from mozhu.engine.data.statistics.frequent import Frequent
from mozhu.engine.data.statistics.kept import Place, Some
from mozhu.engine.data.statistics.languages import language_of_text
from mozhu.engine.data.statistics.lengths import Lengths
from mozhu.engine.data.statistics.measured import Row, TokenCounts, Voice
from mozhu.specs.records.snapshot import RejectedRow

ENDS = 5
_EXCERPT = 400
_KEY = 2000
_NAMES = ("question", "answer", "row")


@dataclass(frozen=True)
class End:
    """A row that is one of the longest or shortest; ``excerpt`` is its beginning, not yet masked."""

    place: Place
    characters: int
    tokens: int | None
    excerpt: str


@dataclass
class PartCounts:
    """Everything that is counted in one pass; bounded, whatever the number of rows."""

    rows: int = 0
    rejected: Counter[tuple[str, str]] = field(default_factory=Counter)
    first_rejected: dict[tuple[str, str], RejectedRow] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    characters: dict[str, Lengths] = field(default_factory=lambda: {name: Lengths() for name in _NAMES})
    turns: Lengths = field(default_factory=Lengths)
    messages: Lengths = field(default_factory=Lengths)
    languages: Counter[str] = field(default_factory=Counter)
    other_language: int = 0
    first_words: Frequent = field(default_factory=Frequent)
    system_prompts: Frequent = field(default_factory=Frequent)
    tools: Frequent = field(default_factory=Frequent)
    calls: Frequent = field(default_factory=Frequent)
    having: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Frequent] = field(default_factory=dict)
    chosen: Lengths = field(default_factory=Lengths)
    rejected_answers: Lengths = field(default_factory=Lengths)
    longer: Counter[str] = field(default_factory=Counter)
    longest: Some = field(default_factory=lambda: Some(ENDS))
    shortest: Some = field(default_factory=lambda: Some(ENDS))
    tokens: TokenCounts | None = None
    sources: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def for_voice(cls, voice: Voice | None) -> PartCounts:
        return cls(tokens=TokenCounts(voice.max_length) if voice else None)

    def reject(self, row: RejectedRow) -> None:
        key = (row.code, row.field)
        self.rejected[key] += 1
        self.first_rejected.setdefault(key, row)

    def add(self, row: Row, facts: Facts) -> None:
        self.rows += 1
        self.kinds[facts.kind] += 1
        self.shapes[row.shape] += 1
        self._lengths(facts)
        self._extras(facts)
        self.languages[language_of_text(facts.whole)] += 1
        if facts.kind != "classification" and facts.asked and facts.answered:
            self.other_language += find_other_language(facts.asked, facts.answered) is not None
        if begin := first_words(facts.first_question or facts.whole):
            self.first_words.add(begin)
        if facts.label is not None:
            self.labels.setdefault(facts.kind, Frequent()).add(facts.label[:_KEY])
        self._pair(facts)
        if self.tokens is not None:
            self.tokens.add(row)
        self._ends(row, facts)

    def update(self, other: PartCounts) -> None:
        """Take in the counts of another part."""
        for one in fields(self):
            mine, more = getattr(self, one.name), getattr(other, one.name)
            if isinstance(mine, (Lengths, Counter, Frequent, Some)):
                mine.update(more)
            elif isinstance(mine, int):
                setattr(self, one.name, mine + more)
        for name, lengths in other.characters.items():
            self.characters[name].update(lengths)
        for kind, labels in other.labels.items():
            self.labels.setdefault(kind, Frequent()).update(labels)
        if self.tokens is not None and other.tokens is not None:
            self.tokens.update(other.tokens)
        self.first_rejected = {**other.first_rejected, **self.first_rejected}
        self.sources += other.sources

    def _lengths(self, facts: Facts) -> None:
        self.characters["row"].add(_size(facts))
        for length in facts.questions:
            self.characters["question"].add(length)
        for length in facts.answers:
            self.characters["answer"].add(length)
        if facts.kind != "text":
            self.turns.add(facts.turns)
            self.messages.add(facts.messages)

    def _extras(self, facts: Facts) -> None:
        if facts.system:
            self.having["system"] += 1
            self.system_prompts.add(facts.system[:_KEY])
        for name, values, counted in (("tools", facts.tools, self.tools), ("calls", facts.calls, self.calls)):
            self.having[name] += bool(values)
            for value in values:
                counted.add(value[:_KEY])
        self.having["images"] += bool(facts.images)
        self.having["images_total"] += facts.images

    def _pair(self, facts: Facts) -> None:
        if facts.chosen is None or facts.rejected is None:
            return
        first, second = len(facts.chosen), len(facts.rejected)
        self.chosen.add(first)
        self.rejected_answers.add(second)
        self.longer["chosen" if first > second else "rejected" if second > first else "equal"] += 1

    def _ends(self, row: Row, facts: Facts) -> None:
        size, tokens = _size(facts), row.tokens
        key = size if tokens is None else tokens
        if tokens is None and self.tokens is not None:
            return
        if self.longest.wants(-key) or self.shortest.wants(key):
            end = End(row.place, size, tokens, (facts.first_question or facts.whole)[:_EXCERPT])
            self.longest.offer(-key, end)
            self.shortest.offer(key, end)


def _size(facts: Facts) -> int:
    """Characters of a row: what is said, the system prompt too."""
    return len(facts.whole) + len(facts.system)
