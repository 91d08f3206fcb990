"""A family as a tree: both ways, each node once in full, however deep, and nameless where it may not be read."""

from __future__ import annotations

from typing import Any

from mozhu.display.family import family_lines
from mozhu.kernel.texts import set_language


def node(written: str) -> dict[str, str]:
    kind, _, reference = written.rpartition("/")
    return {"kind": kind or "version", "reference": reference}


def family(start: str, *edges: tuple[str, str, str]) -> dict[str, Any]:
    told = [{"source": node(a), "relation": relation, "target": node(b)} for a, relation, b in edges]
    return {"start": node(start), "nodes": [], "edges": told}


def test_both_ways_are_drawn_and_what_comes_twice_is_drawn_once() -> None:
    set_language("en")
    lines = family_lines(
        family(
            "b:v1",
            ("dataset/d:v1", "data", "run/r"),
            ("run/r", "made", "b:v1"),
            ("b:v1", "adapter", "c:v1"),
            ("b:v1", "adapter", "d:v1"),
            ("c:v1", "source", "e:v1"),
            ("d:v1", "source", "e:v1"),
            ("e:v1", "source", "f:v1"),
            ("hidden/", "base", "b:v1"),
            ("b:v1", "base", "hidden/"),
        )
    )
    assert lines == [
        "b:v1",
        "├─ came from",
        "│  ├─ made: run r",
        "│  │  └─ data: data set d:v1",
        "│  └─ base: (may not be read)",
        "└─ went into",
        "   ├─ adapter: c:v1",
        "   │  └─ source: e:v1",
        "   │     └─ source: f:v1",
        "   ├─ adapter: d:v1",
        "   │  └─ source: e:v1 (see above)",
        "   └─ base: (may not be read)",
    ]


def test_a_family_may_be_alone_or_thousands_deep() -> None:
    set_language("en")
    assert family_lines(family("a:v1"))[0] == "a:v1" and len(family_lines(family("a:v1"))) == 2
    chain = [(f"m:v{at}", "source", f"m:v{at + 1}") for at in range(3000)]
    lines = family_lines(family("m:v0", *chain))
    assert len(lines) == 3002 and lines[-1].endswith("source: m:v3000")
