"""``mozhu datasets list``: every data set with its newest version, its size and its rows."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.remote import list_datasets
from mozhu.kernel.texts import text
from mozhu.specs.datasets import DatasetListSpec

_COLUMNS = ("name", "version", "versions", "state", "rows", "parts", "size", "registered")


def act(call: Call) -> int:
    found = list_datasets(call)
    if not found and not call.output.as_json:
        asked = call.spec.search or call.spec.state
        call.output.say(text("datasets.list.no_match" if asked else "datasets.list.empty"))
        return 0
    rows = [
        (
            dataset.name,
            dataset.newest.label,
            dataset.version_count,
            dataset.newest.state_word,
            dataset.newest.row_count,
            ", ".join(f"{name} {part['rows']}" for name, part in dataset.newest.parts.items()),
            dataset.newest.size,
            dataset.newest.registered[:10],
        )
        for dataset in found
    ]
    columns = [text(f"datasets.column.{name}") for name in _COLUMNS]
    call.output.table(columns, rows, value=[dataset.to_json() for dataset in found])
    return 0


COMMAND = Command("datasets list", act, DatasetListSpec)
