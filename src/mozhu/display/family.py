"""A family as a tree for a terminal: what it came from, then what came from it."""

from __future__ import annotations

from typing import Any

from mozhu.kernel.texts import has_text, text

_ROWS = {False: ("├─ ", "│  "), True: ("└─ ", "   ")}
_HIDDEN = "hidden"
# A name may be long; of a hash the beginning will do.
_LONGEST, _HASH = 60, 20


def family_lines(family: dict[str, Any]) -> list[str]:
    """``family`` is ``start``, ``nodes`` and ``edges`` as the service tells them; every node once in full."""
    lines = [_node(family["start"])]
    ways = {way: _beside(family["edges"], way) for way in ("from", "to")}
    told = [way for way, beside in ways.items() if _key(family["start"]) in beside]
    for way in told:
        own, below = _ROWS[way == told[-1]]
        lines.append(own + text(f"lineage.{way}"))
        lines += _branch(family["start"], ways[way], below)
    return lines if told else [*lines, text("lineage.alone")]


def _branch(start: dict[str, str], beside: dict[str, list[Any]], indent: str) -> list[str]:
    """The nodes behind ``start`` in one direction, without calls of calls: a family may be deep."""
    lines: list[str] = []
    seen = {_key(start)}
    waiting = [(indent, edge, node, last) for edge, node, last in _marked(beside, start)]
    while waiting:
        indent, relation, node, is_last = waiting.pop()
        own, below = _ROWS[is_last]
        key = _key(node)
        is_again = key in seen and key in beside
        lines.append(
            f"{indent}{own}{_relation(relation)}{_node(node)}{text('lineage.again') if is_again else ''}"
        )
        if not is_again:
            seen.add(key)
            waiting += [(indent + below, *following) for following in _marked(beside, node)]
    return lines


def _beside(edges: list[Any], way: str) -> dict[str, list[Any]]:
    near, far = ("target", "source") if way == "from" else ("source", "target")
    found: dict[str, list[Any]] = {}
    for edge in edges:
        found.setdefault(_key(edge[near]), []).append((edge["relation"], edge[far]))
    return found


def _marked(beside: dict[str, list[Any]], node: dict[str, str]) -> list[Any]:
    """What lies beside ``node``, the last first, which is marked as such; nothing lies behind what is hidden."""
    found = [] if node["kind"] == _HIDDEN else beside.get(_key(node), [])
    return [(relation, far, at == 0) for at, (relation, far) in enumerate(reversed(found))]


def _key(node: dict[str, str]) -> str:
    return f"{node['kind']}://{node['reference']}"


def _node(node: dict[str, str]) -> str:
    kind = f"lineage.kind.{node['kind']}"
    named = text(kind) if has_text(kind) else node["kind"]
    shown, longest = node["reference"], _HASH if node["kind"] == "weights" else _LONGEST
    shown = shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
    return f"{named} {shown}".strip()


def _relation(relation: str) -> str:
    key = f"lineage.relation.{relation}"
    return f"{text(key) if has_text(key) else relation}: "
