"""``mozhu datasets show NAME``: a data set, how it was made and who used it; with ``--row`` one of its rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.cli.output import Output
from mozhu.kernel.texts import text
from mozhu.platform.catalog.datasets.snapshots import CARD
from mozhu.platform.catalog.datasets.views import DatasetDetail, DatasetRow
from mozhu.specs.datasets import DatasetShowSpec

_VERSIONS = ("version", "state", "rows", "rejected", "size", "registered", "content", "path")
_PARTS = ("part", "rows", "bytes", "sha256", "file")
_SOURCES = ("file", "format", "shape", "rows", "rejected", "sha256")
_HISTORY = ("time", "what", "version")
# Shown in lines of their own.
_TOLD = frozenset({"name", "created", "sources", "rejected", "settings", "sha256"})


def act(call: Call) -> int:
    spec: DatasetShowSpec = call.spec
    if spec.row is not None:
        found: DatasetRow = answer(call)
        call.output.data(found.to_json(), "\n".join(_row_lines(found)))
        return 0
    detail: DatasetDetail = answer(call)
    if call.output.as_json:
        call.output.data(detail.to_json())
        return 0
    print("\n".join(_facts(detail)))
    _tables(call.output, detail)
    if not detail.files:
        words = {"path": f"5_models/{detail.chosen.path}", "reference": detail.chosen.reference}
        call.output.say(text("datasets.show.gone", **words))
    return 0


def _facts(detail: DatasetDetail) -> Iterator[str]:
    chosen, recipe = detail.chosen, detail.recipe
    yield f"{chosen.reference} ({chosen.state_word})"
    facts = {
        "rows": chosen.row_count,
        "size": chosen.size,
        "rejected": chosen.rejected_count,
        "created": chosen.created,
        "registered": chosen.registered,
        "kind": chosen.kind,
        "tags": ", ".join(chosen.tags),
        "description": chosen.description or detail.dataset.description,
        "notes": chosen.notes,
        "licence": detail.dataset.licence,
        "visibility": detail.dataset.visibility,
        "owner": f"{detail.dataset.owner} ({detail.dataset.team})",
        "content": chosen.content,
        "path": f"5_models/{chosen.path}",
        "card": f"5_models/{chosen.path}/{CARD}" if CARD in detail.files else "",
        "used_by": ", ".join(detail.used_by) or text("datasets.show.no_one"),
    }
    yield from (f"  {_word(name)}: {value}" for name, value in facts.items() if value != "")
    for name in [name for name in recipe if name not in _TOLD and recipe[name]]:
        yield f"  {_word(name)}: {_plain(recipe[name])}"
    settings = recipe.get("settings") or {}
    if settings:
        yield f"  {_word('settings')}:"
        yield from (f"    {name}: {_plain(value)}" for name, value in settings.items())


def _tables(output: Output, detail: DatasetDetail) -> None:
    parts = detail.chosen.parts.items()
    _table(
        output,
        _PARTS,
        [(name, part["rows"], part["bytes"], part["sha256"], part["path"]) for name, part in parts],
    )
    sources = detail.recipe.get("sources") or []
    _table(output, _SOURCES, [[source.get(name, "") for name in _SOURCES] for source in sources])
    versions = [
        (
            version.label,
            version.state_word,
            version.row_count,
            version.rejected_count,
            version.size,
            version.registered[:19],
            version.content[:19],
            f"5_models/{version.path}",
        )
        for version in detail.versions
    ]
    _table(output, _VERSIONS, versions)
    history = [(line.time, text(f"registry.event.{line.what}"), line.version) for line in detail.history]
    _table(output, _HISTORY, history)


def _table(output: Output, columns: tuple[str, ...], rows: list[Any]) -> None:
    if rows:
        print()
        output.table([_word(name) for name in columns], rows, value=None)


def _row_lines(found: DatasetRow) -> Iterator[str]:
    source = found.source
    yield f"{found.row_id} ({found.part})"
    yield f"  {_word('source')}: {source.get('file', '-')}:{source.get('line', '-')}"
    yield f"  {_word('sha256')}: {source.get('sha256') or '-'}"
    content = {name: value for name, value in found.row.items() if name not in ("row_id", "source")}
    yield json.dumps(content, ensure_ascii=False, indent=2)


def _word(name: str) -> str:
    from_texts = f"datasets.column.{name}"
    return text(from_texts) if name in _KNOWN else name


_KNOWN = frozenset(
    (*_VERSIONS, *_PARTS, *_SOURCES, *_HISTORY, "created", "tags", "description", "card", "used_by")
    + ("settings", "source", "fixes", "left_out", "kind", "notes", "licence", "visibility", "owner")
)


def _plain(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False)
    return "-" if value is None else str(value)


COMMAND = Command("datasets show", act, DatasetShowSpec, words=1, first_word="name", usage="NAME[:VERSION]")
