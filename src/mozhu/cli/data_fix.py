"""``mozhu data fix``: what fixers would change, before and after, with the differences coloured; nothing is written."""

from __future__ import annotations

import shlex
import sys
from difflib import SequenceMatcher
from typing import Any

from rich.console import Console
from rich.text import Text

from mozhu.cli.command import Call, Command
from mozhu.kernel import slots
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.data import FixSpec

_AROUND, _MOST = 30, 160
_LONG = 4000
_SIGNS = {"\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽", "\u3000": "□"}


def act(call: Call) -> int:
    spec: FixSpec = with_references(call.spec, call.home)
    report: Any = slots.load("mozhu.rooms", "fix")(spec)
    if call.output.as_json:
        call.output.data(report.to_json())
        return 0
    columns = [text(f"data.fix.{name}") for name in ("name", "rows", "texts", "usable", "emptied", "what")]
    rows = [
        [
            one.name,
            one.rows,
            one.texts,
            one.made_usable or "",
            one.emptied or "",
            text(f"data.fixer.{one.name}"),
        ]
        for one in report.fixers
    ]
    call.output.table(columns, rows, value=None)
    console = Console(highlight=False, soft_wrap=True)
    for one in report.fixers:
        _show(console, one)
    print("\n" + "\n".join(_summary(spec, report)))
    return 0


def _show(console: Console, fixer: Any) -> None:
    if not fixer.examples:
        return
    console.print()
    shown = text("data.fix.shown", shown=len(fixer.examples), rows=fixer.rows)
    console.print(Text(f"{fixer.name}  {shown}", style="bold"))
    for example in fixer.examples:
        field = f" ({example.field})" if example.field else ""
        console.print(Text(f"  {example.file}:{example.line}{field}", style="dim"))
        before, after = _difference(example.before, example.after)
        console.print(Text("  - ", style="red") + before)
        console.print(Text("  + ", style="green") + after)


def _difference(before: str, after: str) -> tuple[Text, Text]:
    """Both texts from a little before the first difference on; what goes is red, what comes is green.

    Where there is no colour, what goes stands in ``[-…-]`` and what comes in ``{+…+}``.
    """
    start = next(
        (n for n, (one, two) in enumerate(zip(before, after)) if one != two), min(len(before), len(after))
    )
    start = max(0, start - _AROUND)
    old, new = before[start : start + _LONG], after[start : start + _LONG]
    parts = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    shown = Text("…" if start else ""), Text("…" if start else "")
    for kind, first, last, begin, end in parts:
        _put(shown[0], old[first:last], "" if kind == "equal" else "red reverse", "[-", "-]")
        _put(shown[1], new[begin:end], "" if kind == "equal" else "green reverse", "{+", "+}")
    return _short(shown[0]), _short(shown[1])


def _put(line: Text, content: str, style: str, left: str, right: str) -> None:
    if not content:
        return
    plain = "".join(_SIGNS.get(char, char) for char in content)
    is_bare = style and not sys.stdout.isatty()
    line.append(f"{left}{plain}{right}" if is_bare else plain, style=style or None)


def _short(line: Text) -> Text:
    return line if len(line) <= _MOST else line[:_MOST].append("…")


def _summary(spec: FixSpec, report: Any) -> list[str]:
    numbers = {"rows": report.rows, "rejected": report.rejected, "dataset": spec.dataset}
    if not report.useful:
        return [text("data.fix.clean", **numbers)]
    command = ["mozhu", "data", "prepare", "--input", spec.dataset, "--fix", ",".join(report.useful)]
    return [text("data.fix.summary", **numbers), f"{text('cli.next')}: {shlex.join(command)}"]


COMMAND = Command("data fix", act, FixSpec)
