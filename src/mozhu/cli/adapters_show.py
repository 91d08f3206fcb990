"""``mozhu adapters show``: an adapter and each of its modules."""

from __future__ import annotations

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.adapters import AdapterShowSpec
from mozhu.workspace.places import with_absolute_paths

_COLUMNS = ("module", "rank", "scaling", "length", "effective_rank", "largest")


def act(call: Call) -> int:
    spec = with_absolute_paths(with_references(call.spec, call.home))
    found = slots.load("mozhu.rooms", "adapters_show")(spec)
    if call.output.as_json:
        call.output.data(found)
        return 0
    facts = {
        "kind": found["kind"],
        "rank": found["rank"],
        "alpha": found["alpha"],
        "targets": ", ".join(found["targets"]),
        "base": found["base"],
        "parameters": f"{found['parameters']:,}",
        "size": human_size(found["size_bytes"]),
        "mergeable": "; ".join(found["against"]) or text("adapters.yes"),
    }
    lines = [f"  {text('adapters.column.' + name)}: {value}" for name, value in facts.items()]
    print("\n".join([found["path"], *lines]))
    rows = [
        (
            one["module"],
            one["rank"],
            f"{one['scaling']:g}",
            f"{one['length']:.4g}",
            f"{one['effective_rank']:.1f}",
            f"{one['singular_values'][0]:.4g}",
        )
        for one in found["modules"]
    ]
    call.output.table([text(f"adapters.column.{name}") for name in _COLUMNS], rows, value=None)
    return 0


COMMAND = Command("adapters show", act, AdapterShowSpec, words=1, first_word="adapter", usage="ADAPTER")
