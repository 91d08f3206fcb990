"""Divides rows into training, validation and test rows: always the same way, no question in two parts.

Rows are known here by a few numbers each, so that they need not be in memory: a rank made of what they ask, and,
where the split goes by fields, a hash of the group and one of the stratum.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mozhu.engine.data.strata import fill_strata
from mozhu.kernel.files import sha256_json

PARTS = ("train", "validation", "test")
_LEAST_ROWS = 3


@dataclass(frozen=True)
class Shares:
    """What part of the rows goes where; the three add up to 1."""

    train: float = 0.8
    validation: float = 0.1
    test: float = 0.1

    @property
    def held_out(self) -> dict[str, float]:
        """The share of each part but training that is to have rows."""
        shares = {"validation": self.validation, "test": self.test}
        return {part: share for part, share in shares.items() if share > 0}


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

    def finding(self, rows: int | None = None) -> dict[str, Any] | None:
        """What to tell when a wanted part is empty: the fields of a ``finding`` event (DATA-130).

        ``rows``: how many there are, where they are not held here.
        """
        if not self.empty:
            return None
        if rows is None:
            rows = sum(len(part) for part in self.parts.values())
        params = {"rows": rows, "groups": self.groups, "parts": ", ".join(self.empty)}
        return {"level": "warning", "code": "DATA-130", "params": params}


def split_rows(rows: Sequence[dict[str, Any]], shares: Shares | None = None, *, seed: int = 42) -> Split:
    """``rows`` divided by ``shares``; which row goes where depends on its content and ``seed`` only.

    Rows that ask the same (equal system and first question, or equal text) stay together, so no validation or
    test question is trained on. Each wanted part gets a row when there are three different questions; one or
    two rows all go to training.
    """
    ranks = array("Q", (rank(row, seed) for row in rows))
    held = hold_out(ranks, shares or Shares())
    split = Split(groups=held.groups, empty=held.empty)
    for row, place in zip(rows, ranks):
        split.parts[held.part_of(place)].append(row)
    return split


def rank(row: dict[str, Any], seed: int) -> int:
    """Where the row stands in the order in which rows are held out: equal for rows that ask the same."""
    return number_of(question_key(row), seed)


def number_of(value: str, seed: int) -> int:
    """64 bits of the hash of ``value``, others for another seed."""
    return int.from_bytes(
        hashlib.sha256(f"{seed}:{value}".encode("utf-8", "surrogatepass")).digest()[:8], "big"
    )


@dataclass
class HeldOut:
    """Which ranks go to validation and test; all others are for training."""

    parts: dict[int, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    groups: int = 0
    largest: int = 0

    def part_of(self, place: int) -> str:
        return self.parts.get(place, "train")


def hold_out(ranks: Sequence[int], shares: Shares, strata: Sequence[int] | None = None) -> HeldOut:
    """The parts of rows that are known by their ranks alone; rows of one rank stay together.

    With ``strata``, a number for each row, every stratum is divided by the shares as nearly as its groups allow.
    """
    groups, sizes = _groups(ranks)
    held = HeldOut(groups=len(groups), largest=max(sizes, default=0))
    targets = {part: max(1, round(len(ranks) * share)) for part, share in shares.held_out.items()}
    if len(ranks) >= _LEAST_ROWS:
        if strata is not None:
            held.parts = fill_strata(ranks, strata, targets)
        _fill(held.parts, groups, sizes, targets, only_empty=strata is not None)
    filled = set(held.parts.values())
    held.empty = [part for part in targets if part not in filled]
    return held


def joined_ranks(ranks: array[int], groups: Sequence[int]) -> array[int]:
    """A rank for each row, equal where rows ask the same, have the same group, or both through others.

    It is the smallest rank of those that belong together, so that the rows' order does not matter.
    """
    parents = array("Q", range(len(ranks)))
    for keys in (ranks, groups):
        order = sorted(range(len(keys)), key=keys.__getitem__)
        for first, second in zip(order, order[1:]):
            if keys[first] == keys[second]:
                _join(parents, ranks, first, second)
    return array("Q", (ranks[_root(parents, number)] for number in range(len(ranks))))


def _root(parents: array[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _join(parents: array[int], ranks: Sequence[int], first: int, second: int) -> None:
    one, two = _root(parents, first), _root(parents, second)
    if ranks[two] < ranks[one]:
        one, two = two, one
    parents[two] = one


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


def _groups(ranks: Iterable[int]) -> tuple[array[int], array[int]]:
    """The different ranks in their order, and how many rows have each."""
    groups, sizes = array("Q"), array("Q")
    for place in sorted(ranks):
        if groups and groups[-1] == place:
            sizes[-1] += 1
        else:
            groups.append(place)
            sizes.append(1)
    return groups, sizes


def _fill(
    held: dict[int, str],
    groups: Sequence[int],
    sizes: Sequence[int],
    targets: dict[str, int],
    *,
    only_empty: bool,
) -> None:
    """Give each held-out part whole groups up to its target; one stays for training and each later part.

    ``only_empty``: parts that have a group already stay as they are, and others get one.
    """
    done = set(held.values()) if only_empty else set()
    for number, (part, target) in enumerate(targets.items(), start=1):
        if part in done:
            continue
        keep = 1 + len(targets) - number
        count = 0
        for group, size in _offered(groups, sizes, held):
            if count == target or len(groups) - len(held) <= keep or (only_empty and count):
                break
            if count + size <= target:
                held[group] = part
                count += size
        if not count and len(groups) - len(held) > 1:
            free = ((size, place) for place, size in enumerate(sizes) if groups[place] not in held)
            held[groups[min(free)[1]]] = part


def _offered(groups: Sequence[int], sizes: Sequence[int], held: dict[int, str]) -> Iterator[tuple[int, int]]:
    """The groups that no part has taken, with their sizes."""
    return ((group, size) for group, size in zip(groups, sizes) if group not in held)
