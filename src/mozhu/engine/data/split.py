"""Divides rows into training, validation and test rows: always the same way, no question in two parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mozhu.kernel.files import sha256_json

PARTS = ("train", "validation", "test")
_LEAST_ROWS = 3


@dataclass(frozen=True)
class Shares:
    """What part of the rows goes where; the three add up to 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1


@dataclass
class Split:
    """The rows of each part in their first order. ``empty``: parts that were wanted and got no row."""

    train: list[dict[str, Any]] = field(default_factory=list)
    validation: list[dict[str, Any]] = field(default_factory=list)
    test: list[dict[str, Any]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    groups: int = 0

    @property
    def parts(self) -> dict[str, list[dict[str, Any]]]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def finding(self) -> dict[str, Any] | None:
        """What to tell when a wanted part is empty: the fields of a ``finding`` event (DATA-130)."""
        if not self.empty:
            return None
        rows = sum(len(part) for part in self.parts.values())
        params = {"rows": rows, "groups": self.groups, "parts": ", ".join(self.empty)}
        return {"level": "warning", "code": "DATA-130", "params": params}


def split_rows(rows: Sequence[dict[str, Any]], shares: Shares | None = None, *, seed: int = 42) -> Split:
    """``rows`` divided by ``shares``; which row goes where depends on its content and ``seed`` only.

    Rows that ask the same (equal system and first question, or equal text) stay together, so no validation or
    test question is trained on. Each wanted part gets a row when there are three different questions; one or
    two rows all go to training.
    """
    chosen = shares or Shares()
    wanted = {"validation": chosen.validation, "test": chosen.test}
    groups: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        groups.setdefault(question_key(row), []).append(number)
    order = sorted(groups, key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).hexdigest())
    held: dict[str, list[str]] = {part: [] for part, share in wanted.items() if share > 0}
    if len(rows) >= _LEAST_ROWS:
        targets = {part: max(1, round(len(rows) * wanted[part])) for part in held}
        _hold_out(order, groups, held, targets)
    return _as_split(rows, groups, held)


def question_key(row: dict[str, Any]) -> str:
    """The hash of what a row asks, blanks apart: its messages before the first answer, or its text."""
    messages = row.get("messages")
    if messages is None:
        return sha256_json([" ".join(str(row.get("text", "")).split())])
    asked = []
    for message in messages:
        if message["role"] == "assistant":
            break
        asked.append([message["role"], " ".join(str(message["content"]).split())])
    return sha256_json([asked, row.get("images") or []])


def _hold_out(
    order: list[str], groups: dict[str, list[int]], held: dict[str, list[str]], targets: dict[str, int]
) -> None:
    """Give each held-out part whole groups up to its target; one stays for training and each later part."""
    free = dict.fromkeys(order)
    for number, (part, target) in enumerate(targets.items(), start=1):
        keep = 1 + len(targets) - number
        count = 0
        for key in list(free):
            if count == target or len(free) <= keep:
                break
            if count + len(groups[key]) <= target:
                held[part].append(key)
                del free[key]
                count += len(groups[key])
        if not held[part] and len(free) > 1:
            smallest = min(free, key=lambda key: len(groups[key]))
            held[part].append(smallest)
            del free[smallest]


def _as_split(
    rows: Sequence[dict[str, Any]], groups: dict[str, list[int]], held: dict[str, list[str]]
) -> Split:
    split = Split(groups=len(groups), empty=[part for part, keys in held.items() if not keys])
    part_of = {number: part for part, keys in held.items() for key in keys for number in groups[key]}
    for number, row in enumerate(rows):
        split.parts[part_of.get(number, "train")].append(row)
    return split
