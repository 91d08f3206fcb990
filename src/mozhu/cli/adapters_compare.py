"""``mozhu adapters compare``: how alike the changes of two adapters are."""

from __future__ import annotations

from typing import Any

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.adapters import CompareSpec
from mozhu.workspace.places import with_absolute_paths

_COLUMNS = ("module", "cosine", "length", "other_length")


def act(call: Call) -> int:
    spec = with_absolute_paths(with_references(call.spec, call.home))
    found = slots.load("mozhu.rooms", "adapters_compare")(spec)
    if call.output.as_json:
        call.output.data(found)
        return 0
    rows = [
        (one["module"], _number(one["cosine"]), _number(one["length"]), _number(one["other_length"]))
        for one in found["modules"]
    ]
    call.output.table([text(f"adapters.column.{name}") for name in _COLUMNS], rows, value=None)
    for side in ("only_in_adapter", "only_in_other"):
        if found[side]:
            print(f"{text('adapters.' + side)}: {', '.join(found[side])}")
    for name, (one, other) in found["settings"].items():
        print(f"  {name}: {one} | {other}")
    print(text("adapters.cosine", value=_number(found["cosine"])))
    return 0


def _number(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}"


COMMAND = Command("adapters compare", act, CompareSpec)
