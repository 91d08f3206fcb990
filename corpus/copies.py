"""10,000 rows with 500 lightly edited copies among them, and rows that look alike and are not."""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import mozhu

ROWS, PLANTED = 10_000, 500
LEAST_RECALL, LEAST_PRECISION = 0.98, 0.99
_PHRASES = (Path(__file__).parent / "phrases.txt").read_text(encoding="utf-8")
_ZH, _EN, _PEOPLE = (part.split("\n") for part in _PHRASES.strip().split("\n\n"))
_FOR = {
    "国": "國",
    "学": "學",
    "来": "來",
    "时": "時",
    "说": "說",
    "这": "這",
    "为": "為",
    "开": "開",
    "发": "發",
}
_WORDS = (
    ("热闹", "喧闹"),
    ("新鲜", "鲜美"),
    ("缓缓", "慢慢"),
    ("仔细", "细致"),
    ("很快", "迅速"),
    ("fresh", "warm"),
)


@dataclass
class CopiesResult:
    """``missed``: planted copies that were not found with their row; ``extra``: pairs that nobody planted."""

    rows: int
    planted: int
    found: int = 0
    reported: int = 0
    missed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def precision(self) -> float:
        return self.found / self.reported if self.reported else 0.0

    @property
    def ok(self) -> bool:
        return self.recall >= LEAST_RECALL and self.precision >= LEAST_PRECISION


def check_copies(rows: int = ROWS, planted: int = PLANTED) -> CopiesResult:
    """``data check`` over the generated rows against what was planted."""
    made, truth = make_rows(rows, planted)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copies.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
        report = mozhu.check(path)
    result = CopiesResult(len(made), len(truth))
    pairs = {f.line: int(f.params["other"].rpartition(":")[2]) for f in report.findings if f.code in _CODES}
    result.reported = len(pairs)
    planted_of, found_of = Counter[str](), Counter[str]()
    for line, (origin, kind) in truth.items():
        planted_of[kind] += 1
        if pairs.get(line) == origin:
            result.found += 1
            found_of[kind] += 1
        else:
            result.missed.append(f"{kind}: {made[origin - 1]['output']} | {made[line - 1]['output']}")
    result.extra = [
        f"{made[other - 1]} | {made[line - 1]}"
        for line, other in pairs.items()
        if truth.get(line, (0,))[0] != other
    ]
    result.kinds = {kind: (found_of[kind], count) for kind, count in sorted(planted_of.items())}
    return result


_CODES = {"DATA-321", "DATA-322"}


def make_rows(
    rows: int, planted: int, seed: int = 11
) -> tuple[list[dict[str, str]], dict[int, tuple[int, str]]]:
    """The rows, and for the line of every copy the line of its row and how it was edited."""
    rng = random.Random(seed)
    makers = (_chinese, _chinese, _chinese, _english, _sum, _person, _negated)
    made: list[dict[str, str]] = []
    origins = []
    while len(made) < rows - planted:
        maker = rng.choice(makers)
        fresh = maker(rng)
        if maker in {_chinese, _english}:
            origins.append(len(made))
        made += fresh
    made = made[: rows - planted]
    truth = {}
    for origin in rng.sample([place for place in origins if place < len(made)], planted):
        kind = rng.choice(tuple(_EDITS))
        row = made[origin]
        edited = _EDITS[kind](rng, row["output"])
        if edited == row["output"]:
            kind, edited = "punctuation", _punctuation(rng, row["output"])
        made.append({"instruction": row["instruction"], "output": edited})
        truth[len(made)] = (origin + 1, kind)
    return made, truth


def _chinese(rng: random.Random) -> list[dict[str, str]]:
    said = rng.sample(_ZH, rng.randint(4, 6))
    return [{"instruction": f"续写：{said[0]}", "output": "，".join(said[1:]) + "。"}]


def _english(rng: random.Random) -> list[dict[str, str]]:
    said = rng.sample(_EN, rng.randint(4, 6))
    return [{"instruction": f"Go on: {said[0]}", "output": ", and ".join(said[1:]).capitalize() + "."}]


def _sum(rng: random.Random) -> list[dict[str, str]]:
    """The same words, other numbers."""
    first, second = rng.randint(10, 99999), rng.randint(10, 99999)
    return [
        {"instruction": f"请计算 {first} 与 {second} 的和，并写出步骤。",
         "output": f"把两个数从个位开始逐位相加，满十进一，结果是 {first + second}。"}
    ]  # fmt: skip


def _person(rng: random.Random) -> list[dict[str, str]]:
    """One template, other names and facts."""
    name, other = rng.sample(_PEOPLE, 2)
    about = rng.sample(_ZH, 3)
    return [
        {
            "instruction": f"{name}的诗里写了什么？",
            "output": f"{name}写到{about[0]}，与{other}不同的是{about[1]}，还有{about[2]}。",
        }
    ]


def _negated(rng: random.Random) -> list[dict[str, str]]:
    """A sentence and its opposite, one character apart."""
    said = rng.sample(_ZH, 4)
    rest = "，".join(said[1:])
    return [
        {"instruction": f"判断：{said[0]}", "output": f"这句话是对的，{rest}，所以可以采用这个说法。"},
        {"instruction": f"判断：{said[0]}", "output": f"这句话是对的，{rest}，所以不可以采用这个说法。"},
    ]


def _punctuation(rng: random.Random, content: str) -> str:
    return (
        content.replace("，", rng.choice([",", "；", " "]))
        .replace("。", "！")
        .replace(".", "!")
        .replace(", and", ";")
    )


def _dropped(rng: random.Random, content: str) -> str:
    place = rng.randrange(2, len(content) - 2)
    return content[:place] + content[place + 1 :]


def _spaced(rng: random.Random, content: str) -> str:
    for _ in range(3):
        place = rng.randrange(1, len(content) - 1)
        content = content[:place] + rng.choice([" ", "  ", "\u3000", "\n"]) + content[place:]
    return content


def _letters(rng: random.Random, content: str) -> str:
    place = rng.randrange(2, len(content) - 2)
    return content[:place] + rng.choice("的了在和abc") + content[place + 1 :]


def _traditional(rng: random.Random, content: str) -> str:
    return "".join(_FOR.get(char, char) for char in content)


def _word(rng: random.Random, content: str) -> str:
    for word, other in _WORDS:
        if word in content:
            return content.replace(word, other)
    return content


def _width(rng: random.Random, content: str) -> str:
    return content.translate({ord(char): chr(ord(char) + 0xFEE0) for char in "abcdefghij,.!"}).upper()


_EDITS = {
    "punctuation": _punctuation,
    "one character dropped": _dropped,
    "blanks": _spaced,
    "one character changed": _letters,
    "traditional characters": _traditional,
    "one word changed": _word,
    "width and case": _width,
}
