"""``mozhu datasets list``: the data sets, a page at a time, each with its newest version, its size and its rows."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.cli.datasets_asks import DatasetList
from mozhu.kernel.texts import text
from mozhu.specs.datasets import DatasetListSpec

_COLUMNS = ("name", "version", "versions", "state", "kind", "rows", "parts", "size", "registered")
# Requests that say how data sets are told, and not which.
_ORDER = ("server", "sort", "trash", "limit", "cursor", "all")


def act(call: Call) -> int:
    found: DatasetList = answer(call)
    if not found.items and not call.output.as_json:
        call.output.say(_nothing(call))
        return 0
    rows = [
        (
            dataset.name,
            dataset.newest.label,
            dataset.version_count,
            dataset.newest.state_word,
            dataset.newest.kind or "-",
            dataset.newest.row_count,
            ", ".join(f"{name} {part['rows']}" for name, part in dataset.newest.parts.items()),
            dataset.newest.size,
            dataset.newest.registered[:10],
        )
        for dataset in found.items
    ]
    columns = [text(f"datasets.column.{name}") for name in _COLUMNS]
    value = {"items": [dataset.to_json() for dataset in found.items], "next": found.next}
    call.output.table(columns, rows, value=value)
    if found.next and not call.output.as_json:
        call.output.say(text("registry.list.more", cursor=found.next))
    return 0


def _nothing(call: Call) -> str:
    if call.spec.model_dump(exclude=set(_ORDER), exclude_none=True):
        return text("datasets.list.no_match")
    return text("registry.list.empty_trash" if call.spec.trash else "datasets.list.empty")


COMMAND = Command("datasets list", act, DatasetListSpec)
