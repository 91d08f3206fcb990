"""What is told about a data set: these classes are the JSON of ``data stats`` and of ``statistics.json``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mozhu.engine.data.statistics.lengths import Bin, LengthSummary
from mozhu.engine.data.statistics.padding import Packing, Padding
from mozhu.engine.data.statistics.repeats import Repeats

SCHEMA = 1


@dataclass(frozen=True)
class Spread:
    """Lengths: their summary and a histogram; ``summary`` is None when there is none."""

    summary: LengthSummary | None
    histogram: list[Bin] = field(default_factory=list)


@dataclass(frozen=True)
class Counted:
    """A value and how often it occurs."""

    value: str
    count: int


@dataclass(frozen=True)
class Values:
    """The most frequent of ``different`` values; without ``exact`` the rare ones were not all counted."""

    different: int
    exact: bool
    top: list[Counted]


@dataclass(frozen=True)
class Reason:
    """Why rows were rejected or not measured: a code, how many, and the first with its place."""

    code: str
    field: str
    count: int
    reason: str
    first: str


@dataclass(frozen=True)
class RowLength:
    """A row by its length; ``tokens`` where a model was named."""

    part: str
    row_id: str
    file: str
    line: int
    characters: int
    tokens: int | None
    excerpt: str


@dataclass(frozen=True)
class Shown:
    """A sample row, private data masked, long texts shortened; ``messages`` are (role, content) pairs."""

    part: str
    row_id: str
    file: str
    line: int
    kind: str
    characters: int
    tokens: int | None
    messages: list[tuple[str, str]]
    chosen: str | None = None
    rejected: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Fit:
    """What a cut-off keeps: examples that fit whole, and the shares of all and of the learned tokens."""

    limit: int
    examples: int
    share: float
    tokens: float
    trained: float | None


@dataclass(frozen=True)
class Turns:
    """``counts``: rows by their number of questions; ``messages`` counts every message, the system's too."""

    counts: dict[str, int]
    mean: float
    max: int
    messages: LengthSummary | None


@dataclass(frozen=True)
class Extras:
    """Rows with a system prompt, tools, function calls, images; ``images_total`` counts the images."""

    system: int
    system_prompts: Values
    tools: int
    tool_names: Values
    calls: int
    called_names: Values
    images: int
    images_total: int


@dataclass(frozen=True)
class Labels:
    """``imbalance`` is the count of the most frequent label over that of the rarest."""

    kind: str
    values: Values
    imbalance: float | None


@dataclass(frozen=True)
class Pairs:
    """Preference rows: lengths of the wanted and the unwanted answer, in characters, and in tokens with a model.

    ``chosen_longer`` and ``rejected_longer`` count rows by characters; ``ratio`` is mean chosen over mean rejected.
    """

    rows: int
    chosen: Spread
    rejected: Spread
    chosen_longer: int
    rejected_longer: int
    equal: int
    ratio: float | None
    chosen_tokens: LengthSummary | None
    rejected_tokens: LengthSummary | None


@dataclass(frozen=True)
class Tokens:
    """Lengths of examples in tokens, uncut; what ``max_length`` cuts off; what a training learns from.

    ``rows`` gave ``examples`` (a template that rewrites earlier answers gives one for each answer; a preference
    gives two). ``over``: examples longer than ``max_length``, ``rows_over`` the rows they belong to; ``lost`` are
    their tokens beyond it, ``trained_lost`` the learned ones among these. ``dropped`` examples would have
    nothing left to learn. ``trained_share`` is that of the tokens that training sees.
    """

    max_length: int
    rows: int
    examples: int
    lengths: Spread
    trained: Spread
    over: int
    rows_over: int
    lost: int
    trained_total: int
    trained_lost: int
    dropped: int
    kept_tokens: int
    kept_trained: int
    trained_share: float | None
    fits: list[Fit]
    padding: list[Padding]
    packing: Packing | None
    not_measured: list[Reason]


@dataclass(frozen=True)
class PartStatistics:
    """One part of a data set, or all of it. ``characters`` by what they belong to: question, answer, row."""

    rows: int
    rejected: int
    rejected_reasons: list[Reason]
    sources: list[dict[str, Any]]
    kinds: dict[str, int]
    shapes: dict[str, int]
    characters: dict[str, Spread]
    turns: Turns
    extras: Extras
    languages: dict[str, int]
    answers_in_another_language: int
    first_words: Values
    labels: list[Labels]
    pairs: Pairs | None
    tokens: Tokens | None
    longest: list[RowLength]
    shortest: list[RowLength]


@dataclass(frozen=True)
class Statistics:
    """All that is known about a data set. ``whole`` is every part together; ``model`` is empty without one."""

    dataset: str
    model: str
    settings: dict[str, Any]
    parts: dict[str, PartStatistics]
    whole: PartStatistics
    repeats: Repeats
    samples: list[Shown]
    schema: int = SCHEMA

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": self.schema,
            **{key: value for key, value in asdict(self).items() if key != "schema"},
        }
