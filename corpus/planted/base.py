"""What a planted row fault is, and the shapes of rows it is planted in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Row = Any


@dataclass(frozen=True)
class Raw:
    """Bytes that stand in a file as they are, where a row would stand."""

    content: bytes


@dataclass(frozen=True)
class Fault:
    """``faulty`` stands in one file and ``clean`` in its twin (nothing where it is None).

    ``finding``: code and field of what is found at the row. ``before``: the clean row that stands before it in both
    files, where the fault lies between two rows.
    """

    what: str
    code: str
    field: str
    faulty: Row
    clean: Row = None
    before: Row = None


@dataclass(frozen=True)
class File:
    """``form``: json, jsonl, csv, tsv, parquet, xlsx. ``plain``: how many rows that are right stand between."""

    name: str
    form: str
    shape: str
    faults: tuple[Fault, ...]
    encoding: str = "utf-8"
    plain: int = 3
    header: str = ""
    images: tuple[str, ...] = field(default=())


def alpaca(question: str, answer: Any, **more: Any) -> Row:
    return {"instruction": question, "input": "", "output": answer, **more}


def talk(*said: str, **more: Any) -> Row:
    """Messages of user and assistant in turn."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[at % 2], "content": text} for at, text in enumerate(said)], **more}


def roles(*turns: tuple[str, str], **more: Any) -> Row:
    return {"messages": [{"role": role, "content": text} for role, text in turns], **more}


def sharegpt(*turns: tuple[str, str], **more: Any) -> Row:
    return {"conversations": [{"from": role, "value": text} for role, text in turns], **more}


def pair(question: str, chosen: str, rejected: str) -> Row:
    return {"prompt": question, "chosen": chosen, "rejected": rejected}


def kto(question: str, answer: str, label: Any) -> Row:
    return {"prompt": question, "completion": answer, "label": label}


def labelled(text: str, label: Any, **more: Any) -> Row:
    return {"text": text, "label": label, **more}


def table(question: str, answer: str) -> Row:
    return {"question": question, "answer": answer}


def line(content: str) -> Raw:
    return Raw(content.encode())
