"""``mozhu registry list``: the models, a page at a time, each with its newest version."""

from __future__ import annotations

from mozhu.cli.asks import answer
from mozhu.cli.command import Call, Command
from mozhu.cli.registry_asks import ModelList
from mozhu.kernel.texts import text
from mozhu.specs.registry import ListSpec

_COLUMNS = ("name", "version", "versions", "state", "kind", "base_model", "size", "created")
# Requests that say how models are told, and not which.
_ORDER = ("server", "sort", "trash", "limit", "cursor", "all")


def act(call: Call) -> int:
    found: ModelList = answer(call)
    if not found.items and not call.output.as_json:
        call.output.say(_nothing(call))
        return 0
    rows = [
        (
            model.name,
            model.newest.label,
            model.version_count,
            model.newest.state_word,
            text(f"registry.kind.{model.newest.kind}"),
            model.newest.base_model,
            model.newest.size,
            model.newest.created[:10],
        )
        for model in found.items
    ]
    columns = [text(f"registry.column.{name}") for name in _COLUMNS]
    value = {"items": [model.to_json() for model in found.items], "next": found.next}
    call.output.table(columns, rows, value=value)
    if found.next and not call.output.as_json:
        call.output.say(text("registry.list.more", cursor=found.next))
    return 0


def _nothing(call: Call) -> str:
    filters = call.spec.model_dump(exclude=set(_ORDER), exclude_none=True)
    if filters:
        shown = ", ".join(f"{name} {value}" for name, value in filters.items())
        return text("registry.list.no_match", search=shown)
    return text("registry.list.empty_trash" if call.spec.trash else "registry.list.empty")


COMMAND = Command("registry list", act, ListSpec)
