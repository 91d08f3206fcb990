"""``mozhu adapters list``: every adapter below a folder."""

from __future__ import annotations

from pathlib import Path

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown
from mozhu.kernel import slots
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.specs.adapters import AdapterListSpec
from mozhu.workspace.places import with_absolute_paths

_COLUMNS = ("path", "kind", "rank", "alpha", "size", "mergeable", "base")


def act(call: Call) -> int:
    found = slots.load("mozhu.rooms", "adapters_list")(with_absolute_paths(call.spec))
    if not found and not call.output.as_json:
        call.output.say(text("adapters.none", folder=call.spec.folder))
        return 0
    rows = [
        (
            shown(Path(one.path)),
            one.kind,
            one.rank if one.rank is not None else "-",
            one.alpha if one.alpha is not None else "-",
            human_size(one.size_bytes),
            "; ".join(one.against) or text("adapters.yes"),
            one.base or "-",
        )
        for one in found
    ]
    columns = [text(f"adapters.column.{name}") for name in _COLUMNS]
    call.output.table(columns, rows, value=[one.to_json() for one in found])
    return 0


COMMAND = Command("adapters list", act, AdapterListSpec, words=1, first_word="folder", usage="FOLDER")
