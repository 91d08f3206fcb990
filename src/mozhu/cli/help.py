"""``mozhu COMMAND -h``: usage, every field with its meaning and default, examples."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from mozhu.kernel.paths import find_workspace
from mozhu.kernel.texts import has_text, text
from mozhu.specs.base import Spec
from mozhu.specs.fields import Field, fields_of
from mozhu.specs.layers import preset_names


def command_help(name: str, spec: type[Spec] | None, switches: Sequence[str], usage: str) -> str:
    page = "verb_" + name.replace(" ", "_")
    lines = [
        text(f"{page}.summary"),
        "",
        f"{text('cli.usage')}: mozhu {name}{' ' + usage if usage else ''} [--flags]",
    ]
    if has_text(f"{page}.examples"):
        lines += ["", f"{text('cli.examples')}:", *_indented(text(f"{page}.examples"))]
    if spec is not None and fields_of(spec):
        lines += [
            "",
            f"{text('cli.fields')}:",
            *_table([_field_row(spec.verb, item) for item in fields_of(spec)]),
        ]
    lines += ["", f"{text('cli.common')}:", *_table(_common_rows(spec, switches))]
    return "\n".join(lines)


def _field_row(verb: str, item: Field) -> tuple[str, str]:
    note = text("cli.required") if item.required else ""
    if not item.required and item.default not in (None, (), {}, ""):
        shown = " ".join(item.default) if isinstance(item.default, tuple) else item.default
        note = text("cli.default", value=shown)
    choices = f"{{{'|'.join(item.choices)}}}" if item.choices else ""
    details = "; ".join(part for part in (choices, note) if part)
    return f"--{item.name}", item.help(verb) + (f"  [{details}]" if details else "")


def _common_rows(spec: type[Spec] | None, switches: Sequence[str]) -> list[tuple[str, str]]:
    rows = []
    if spec is not None:
        rows.append(("--config FILE", text("cli.flag.config")))
        if spec.has_presets:
            names = ", ".join(preset_names(spec, find_workspace()))
            rows.append(("--preset NAME", text("cli.flag.preset", names=names)))
    rows += [(f"--{name}", text(f"cli.flag.{'resolved' if name == 'config' else name}")) for name in switches]
    rows += [(f"--{name}", text(f"cli.flag.{name}")) for name in ("json", "debug")]
    return [*rows, ("--lang zh|en", text("cli.flag.lang")), ("-h, --help", text("cli.flag.help"))]


def _table(rows: list[tuple[str, str]]) -> list[str]:
    width = max(shown_width(name) for name, _ in rows) + 2
    return [f"  {name}{' ' * (width - shown_width(name))}{words}" for name, words in rows]


def _indented(block: str) -> list[str]:
    return [f"  {line}" for line in block.splitlines()]


def shown_width(value: str) -> int:
    """Columns that ``value`` takes on a terminal: Chinese characters take two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in value)
