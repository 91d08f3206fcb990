"""What a file's fields are taken for: told by the user, told by an entry of LLaMA-Factory, or guessed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.asking import present
from mozhu.engine.data.field_names import (
    ANSWER_FIELDS,
    ANSWERS_FIELDS,
    IMAGE_FIELDS,
    LABEL_FIELDS,
    MARK_FIELDS,
    MEANINGS,
    PAIRS,
    PROMPT_FIELDS,
    SCORES_FIELDS,
    SYSTEM_FIELDS,
    TEXT_FIELDS,
    TURN_FIELDS,
    UNWANTED_ONLY,
    meaning_of,
)
from mozhu.engine.data.rows import RowProblem
from mozhu.engine.data.shapes import EVIDENCE_ROWS, shape_counts
from mozhu.kernel.errors import BadColumns
from mozhu.kernel.texts import text

_OURS = {"row_id", "source"}
_HEAD = re.compile(r"[^.\[]+")
_ASKS = ("prompt", "question", "query", "instruction", "ask", "user", "human", "问题", "提问", "问", "指令")
_ANSWERS = (
    "completion",
    "answer",
    "response",
    "output",
    "reply",
    "assistant",
    "答案",
    "回答",
    "回复",
    "解答",
    "答",
)
_TEXTS = ("text", "content", "正文", "文本", "内容")


@dataclass(frozen=True)
class Columns:
    """``names``: field of the file -> meaning. With ``only`` the other fields are left out.

    ``roles``, ``role_key`` and ``content_key`` are LLaMA-Factory's tags: how turns are written.
    """

    names: dict[str, str] = field(default_factory=dict)
    only: bool = False
    roles: dict[str, str] = field(default_factory=dict)
    role_key: str = ""
    content_key: str = ""

    def __bool__(self) -> bool:
        return bool(self.names or self.roles)

    def apply(self, value: Any) -> Any:
        """``value`` with its fields under the names that the shapes know."""
        if not self or not isinstance(value, dict):
            return value
        meant = set(self.names.values())
        kept = {} if self.only else {name: item for name, item in value.items() if name not in meant}
        out = {name: item for name, item in kept.items() if name not in self.names}
        for name, meaning in self.names.items():
            if name in value:
                out[meaning] = value[name]
        if self.roles:
            for name in ("messages", "chosen", "rejected"):
                if isinstance(out.get(name), (list, dict)):
                    out[name] = self._turns(out[name])
        return out

    def blame(self, problem: RowProblem) -> RowProblem:
        """``problem`` with the field called as the file calls it."""
        head = _HEAD.match(problem.field)
        back = {meaning: name for name, meaning in self.names.items()}
        place = problem.field
        if head and head[0] in back:
            place = back[head[0]] + place[head.end() :]
        if self.roles:
            place = re.sub(r"\.role$", f".{self.role_key}", place)
            place = re.sub(r"\.content$", f".{self.content_key}", place)
        return RowProblem(problem.code, place, **problem.params)

    def _turns(self, turns: Any) -> Any:
        if isinstance(turns, list):
            return [self._turn(turn) for turn in turns]
        return self._turn(turns)

    def _turn(self, turn: Any) -> Any:
        if not isinstance(turn, dict):
            return turn
        rest = {key: item for key, item in turn.items() if key not in {self.role_key, self.content_key}}
        if self.role_key in turn:
            said_by = turn[self.role_key]
            rest["role"] = self.roles.get(said_by, said_by) if isinstance(said_by, str) else said_by
        if self.content_key in turn:
            rest["content"] = turn[self.content_key]
        return rest


@dataclass(frozen=True)
class Guess:
    """What the first rows of a file show: ``fields`` as (meaning, field of the file, in how many rows)."""

    shape: str
    rows: int
    count: int
    fields: tuple[tuple[str, str, int], ...] = ()
    unused: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)

    def sentence(self) -> str:
        """The guess with its evidence, for people."""
        parts = [text("data.guess.shape", count=self.count, rows=self.rows, shape=self.shape)]
        for meaning, name, count in self.fields:
            parts.append(text("data.guess.field", meaning=meaning, column=name, count=count))
        if self.unused:
            shown = ", ".join(f"`{name}`" for name in self.unused[:12])
            parts.append(text("data.guess.unused", columns=shown))
        return "; ".join(parts)

    def to_json(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "rows": self.rows,
            "count": self.count,
            "fields": {meaning: {"field": name, "rows": count} for meaning, name, count in self.fields},
            "unused": list(self.unused),
        }


def parse_columns(written: str | None) -> Columns:
    """``question=instruction,answer=output`` as columns.

    Raises:
        BadColumns: DATA-012.
    """
    if not written:
        return Columns()
    names: dict[str, str] = {}
    for pair in written.split(","):
        name, equals, said = (part.strip() for part in pair.rpartition("=")[0:3])
        if not (name and equals and said):
            raise _bad(written, text("data.columns.form"))
        meaning = meaning_of(said)
        if meaning is None:
            raise _bad(written, text("data.columns.meaning", name=said))
        if name in names or meaning in names.values():
            raise _bad(written, text("data.columns.twice", name=name if name in names else said))
        names[name] = meaning
    return Columns(names)


def check_columns(written: str | None, columns: Columns, values: Sequence[Any]) -> None:
    """Raises BadColumns: DATA-012, a named field is in none of the first rows."""
    objects = [value for value in values if isinstance(value, dict)]
    found = list(dict.fromkeys(name for value in objects for name in value))
    for name in columns.names if objects else ():
        if name not in found:
            raise _bad(written or "", text("data.columns.absent", name=name), found)


def guess(values: Iterable[Any], text_column: str = "text", columns: Columns | None = None) -> Guess | None:
    """What the first thousand rows show; names that no shape knows are compared with usual words.

    ``None``: no row shows anything.
    """
    raw = list(values)[:EVIDENCE_ROWS]
    told = columns or Columns()
    mapped = [told.apply(value) for value in raw]
    counts = shape_counts(mapped, text_column)
    names = dict(told.names)
    if not counts and not told:
        names = _likely(raw)
        mapped = [Columns(names).apply(value) for value in raw]
        counts = shape_counts(mapped, text_column) if names else counts
    if not counts:
        return None
    shape, count = counts.most_common(1)[0]
    fields, unused = evidence(mapped, shape, text_column, names, raw)
    likely = {} if told else names
    return Guess(shape, len(raw), count, fields, unused, likely)


def evidence(
    mapped: Sequence[Any], shape: str, text_column: str, names: dict[str, str], raw: Sequence[Any]
) -> tuple[tuple[tuple[str, str, int], ...], tuple[str, ...]]:
    """Which field was taken for what in how many rows, and the fields that were not used."""
    back = {meaning: name for name, meaning in names.items()}
    counts: Counter[tuple[str, str]] = Counter()
    for value in mapped:
        if isinstance(value, dict):
            for meaning, name in fields_used(value, shape, text_column).items():
                counts[meaning, back.get(name, name)] += 1
    used = {name for _, name in counts} | _OURS
    seen = dict.fromkeys(name for value in raw if isinstance(value, dict) for name in value)
    fields = tuple((meaning, name, count) for (meaning, name), count in counts.items())
    return fields, tuple(str(name) for name in seen if name not in used)


def fields_used(value: dict[str, Any], shape: str, text_column: str = "text") -> dict[str, str]:
    """Meaning -> field of ``value`` that a row of ``shape`` is made from."""
    if shape == "text":
        return {"text": text_column} if text_column in value else {}
    wanted: list[tuple[str, tuple[str, ...]]] = [("system", SYSTEM_FIELDS)]
    if shape == "classification":
        wanted += [("text", ("messages", text_column, *TEXT_FIELDS)), ("label", LABEL_FIELDS)]
    elif present(value, TURN_FIELDS):
        wanted.append(("messages", TURN_FIELDS))
    else:
        both = ("instruction",) if shape == "alpaca" else PROMPT_FIELDS
        wanted += [("question", both), ("history", ("history",))]
    if shape == "alpaca":
        wanted += [("input", ("input",)), ("answer", ("output",))]
    if shape in {"prompt", "kto"}:
        wanted.append(("answer", ANSWER_FIELDS))
    if shape == "kto":
        wanted.append(("label", MARK_FIELDS))
    if shape == "ranking":
        wanted += [("answers", ANSWERS_FIELDS), ("scores", SCORES_FIELDS)]
    if shape == "preference":
        wanted += [("chosen", tuple(pair[0] for pair in PAIRS))]
        wanted += [("rejected", (*(pair[1] for pair in PAIRS), *UNWANTED_ONLY))]
        wanted += [("input", ("input",))] if "instruction" in value else []
    wanted += [("tools", ("tools", "functions")), ("images", IMAGE_FIELDS)]
    found = {meaning: present(value, names) for meaning, names in wanted}
    return {meaning: name for meaning, name in found.items() if name is not None}


def _likely(values: Sequence[Any]) -> dict[str, str]:
    """A question and an answer, or a text, by what the names of the text fields remind of."""
    columns = _text_columns(values)
    asks = [name for name in columns if _reminds(name, _ASKS) and not _reminds(name, _ANSWERS)]
    answers = [name for name in columns if _reminds(name, _ANSWERS) and not _reminds(name, _ASKS)]
    if len(asks) == 1 and len(answers) == 1:
        return {asks[0]: "prompt", answers[0]: "completion"}
    if asks or answers:
        return {}
    texts = [name for name in columns if _reminds(name, _TEXTS)]
    return {texts[0]: "text"} if len(texts) == 1 else {}


def _text_columns(values: Sequence[Any]) -> list[str]:
    objects = [value for value in values if isinstance(value, dict)]
    counts = Counter(
        name for value in objects for name, item in value.items() if isinstance(item, str) and item.strip()
    )
    return [name for name, count in counts.items() if 2 * count >= len(objects)]


def _reminds(name: str, words: Iterable[str]) -> bool:
    parts = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()))
    return any(word in parts if word.isascii() else word in name for word in words)


def _bad(written: str, reason: str, found: Sequence[str] = ()) -> BadColumns:
    return BadColumns(columns=written, reason=reason, known=list(MEANINGS), fields=list(found) or ["-"])
