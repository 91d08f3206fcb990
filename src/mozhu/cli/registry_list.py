"""``mozhu registry list``: every model with its newest version."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.cli.remote import list_models
from mozhu.kernel.texts import text
from mozhu.specs.registry import ListSpec

_COLUMNS = ("name", "version", "versions", "state", "kind", "base_model", "size", "created")


def act(call: Call) -> int:
    models = list_models(call)
    if not models and not call.output.as_json:
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
        for model in models
    ]
    columns = [text(f"registry.column.{name}") for name in _COLUMNS]
    call.output.table(columns, rows, value=[model.to_json() for model in models])
    return 0


def _nothing(call: Call) -> str:
    if call.spec.search:
        return text("registry.list.no_match", search=call.spec.search)
    return text("registry.list.empty_trash" if call.spec.trash else "registry.list.empty")


COMMAND = Command("registry list", act, ListSpec)
