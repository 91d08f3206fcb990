"""``mozhu config import FILE``: a configuration of LLaMA-Factory, ms-swift or Axolotl as a config file of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown
from mozhu.cli.output import Output
from mozhu.kernel import slots
from mozhu.kernel.errors import UnsupportedForeignConfig
from mozhu.kernel.texts import text
from mozhu.specs.config import ConfigImportSpec
from mozhu.workspace.places import with_absolute_paths

_LONGEST = 60
_MOST_UNTOUCHED = 20
_COLUMNS = ("line", "key", "value", "becomes", "note")


def act(call: Call) -> int:
    spec: ConfigImportSpec = with_absolute_paths(call.spec)
    run = slots.load("mozhu.rooms", "import_config")
    try:
        found: Any = run(spec.model_copy(update={"output": None}) if call.dry_run else spec)
    except UnsupportedForeignConfig as error:
        if not call.output.as_json:
            _table(call.output, cast(Any, error.params["settings"]))
            print()
        raise
    if call.output.as_json:
        call.output.data(found.to_json())
        return 0
    _table(call.output, [line.to_json() for line in found.lines])
    print("\n" + "\n".join(_summary(found)))
    return 0


def _table(output: Output, settings: Any) -> None:
    """Every setting; of an ``args.json`` with its hundreds of defaults only the others."""
    columns = [text(f"importing.column.{name}") for name in _COLUMNS]
    untouched = sum(setting["status"] == "untouched" for setting in settings)
    listed = [s for s in settings if untouched <= _MOST_UNTOUCHED or s["status"] != "untouched"]
    output.table(columns, [_row(setting) for setting in listed], value=None)
    if len(listed) < len(settings):
        print(text("importing.unlisted", count=len(settings) - len(listed)))


def _row(setting: dict[str, Any]) -> list[str]:
    becomes = text(f"importing.status.{setting['status']}")
    if setting["field"]:
        becomes = text(
            "importing.becomes", field=setting["field"], value=_plain(setting["ours"]), status=becomes
        )
    line = "" if setting["line"] is None else str(setting["line"])
    return [line, setting["key"], _plain(setting["value"]), becomes, setting["note"]]


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        value = ", ".join(map(str, value))
    written = "" if value is None else str(value)
    return written if len(written) <= _LONGEST else f"{written[: _LONGEST - 1]}…"


def _summary(found: Any) -> list[str]:
    lines = [text("importing.recognised", form=found.form.name, version=found.form.version)]
    if found.against:
        lines.append(text("importing.accepted", count=len(found.against)))
    if found.output:
        lines.append(text("importing.written", path=shown(Path(found.output))))
    lines += [f"{text('importing.command')}:", f"  {found.command}"]
    follow = f"mozhu train --config {shown(Path(found.output))} --dry_run" if found.output else None
    again = text("importing.write_it") if not found.output else None
    return [*lines, f"{text('cli.next')}: {follow or again}"]


COMMAND = Command(
    "config import", act, ConfigImportSpec, switches=("dry_run",), words=1, first_word="file", usage="FILE"
)
