"""The card of a snapshot: what it holds and where it comes from, in Chinese and in English."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from mozhu.kernel.texts import LANGUAGES, text_in
from mozhu.specs.records.snapshot import Snapshot


def card_text(snapshot: Snapshot, rejected: Mapping[tuple[str, str], int]) -> str:
    """The Markdown of ``card.md``: every heading and label in both languages, Chinese first.

    ``rejected``: how many rows by (code, field).
    """
    blocks = [
        f"# {snapshot.name}",
        _both("card.what", name=snapshot.name),
        f"## {_both('card.parts')}",
        _table(["card.part", "card.rows", "sha256"], _part_rows(snapshot)),
        f"## {_both('card.sources')}",
        _table(
            [
                "card.file",
                "card.format",
                "card.encoding",
                "card.shape",
                "card.rows",
                "card.rejected",
                "sha256",
            ],
            _sources(snapshot),
        ),
        f"## {_both('card.rejected')}",
        _rejected(rejected),
        *_left_out(snapshot),
        *_fixes(snapshot),
        f"## {_both('card.settings')}",
        "\n".join(f"- `{name}`: `{_plain(value)}`" for name, value in snapshot.settings.items()),
        f"## {_both('card.use')}",
        f"```bash\nmozhu train --preset starter --dataset {snapshot.parts['train'].path}\n```",
    ]
    return "\n\n".join(blocks) + "\n"


def _both(key: str, **params: Any) -> str:
    return " · ".join(text_in(lang, f"data.{key}", **params) for lang in LANGUAGES)


def _table(columns: list[str], rows: list[list[Any]]) -> str:
    head = [_both(name) if "." in name else name for name in columns]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _part_rows(snapshot: Snapshot) -> list[list[Any]]:
    return [[f"`{part.path}`", part.rows, f"`{part.sha256}`"] for part in snapshot.parts.values()]


def _sources(snapshot: Snapshot) -> list[list[Any]]:
    names = ("format", "encoding", "shape", "rows", "rejected")
    return [
        [f"`{source['file']}`", *(source[name] for name in names), f"`{source['sha256']}`"]
        for source in snapshot.sources
    ]


def _rejected(rejected: Mapping[tuple[str, str], int]) -> str:
    if not rejected:
        return _both("card.none_rejected")
    counts = Counter(rejected).most_common(10)
    rows = [[code, f"`{field}`" if field else "-", count] for (code, field), count in counts]
    return _table(["card.code", "card.field", "card.rows"], rows) + "\n\n" + _both("card.see_rejected")


def _left_out(snapshot: Snapshot) -> list[str]:
    if not snapshot.left_out:
        return []
    rows = [[code, count] for code, count in snapshot.left_out.items()]
    return [f"## {_both('card.left_out')}", _table(["card.code", "card.rows"], rows)]


def _fixes(snapshot: Snapshot) -> list[str]:
    if not snapshot.fixes:
        return []
    rows = [[f"`{name}` {fix.version}", fix.rows, fix.changes] for name, fix in snapshot.fixes.items()]
    table = _table(["card.fixer", "card.rows", "card.texts"], rows)
    return [f"## {_both('card.fixes')}", table, _both("card.see_fixed")]


def _plain(value: Any) -> str:
    return "-" if value is None else " ".join(str(value).split())
