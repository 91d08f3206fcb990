"""``mozhu data preview``: every token of a row with its role, trained or not, cut off or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from mozhu.cli.command import Call, Command
from mozhu.cli.engine_run import shown
from mozhu.kernel import slots
from mozhu.kernel.errors import shown_value
from mozhu.kernel.texts import text
from mozhu.references import with_references
from mozhu.specs.data import PreviewSpec

_STYLES = {
    "system": "magenta",
    "inserted": "yellow",
    "tools": "cyan",
    "user": "blue",
    "tool": "cyan",
    "assistant": "green",
    "thinking": "bright_green",
    "text": "green",
    "template": "bright_black",
}
_INVISIBLE = {"\n": "↵\n", "\r": "␍", "\t": "⇥\t", "\u200b": "∅", "\ufeff": "∅"}


def act(call: Call) -> int:
    spec: PreviewSpec = with_references(call.spec, call.home)
    view: Any = slots.load("mozhu.rooms", "preview")(spec)
    if call.output.as_json:
        call.output.data(view.to_json())
        return 0
    console = Console(highlight=False, soft_wrap=True)
    colour = sys.stdout.isatty() and not console.no_color
    console.print(_head(view), markup=False)
    if colour:
        console.print(_legend())
    for row in view.rows:
        console.print()
        _show_row(console, row, colour)
    console.print()
    console.print(_total(view), markup=False)
    if spec.html:
        call.output.say(text("preview.written", path=shown(Path(spec.html))))
    return 0


def _head(view: Any) -> str:
    template = view.template[:17] or "-"
    stage = text(f"preview.title.{view.stage}")
    return text("preview.head", model=view.model, dataset=view.dataset, stage=stage, template=template)


def _total(view: Any) -> str:
    return text(
        "preview.total",
        rows=len(view.rows),
        tokens=f"{view.tokens:,}",
        share=f"{100 * view.trained / max(1, view.tokens):.1f} %",
        cut=f"{view.cut:,}",
        policy=text(f"preview.policy.{view.policy}", max_length=view.max_length),
    )


def _legend() -> Text:
    line = Text()
    for role, style in _STYLES.items():
        line.append(text(f"preview.role.{role}"), style=style)
        line.append("  ")
    line.append(text("preview.is_trained"), style="green underline")
    line.append("  ")
    line.append(text("preview.is_cut"), style="green strike dim")
    return line


def _show_row(console: Console, row: Any, colour: bool) -> None:
    source = f"  {row.source['file']}:{row.source.get('line', '')}" if row.source.get("file") else ""
    console.print(f"{row.row_id}{source}", markup=False, style="bold" if colour else None)
    if row.refused:
        params = {name: shown_value(value) for name, value in row.refused["params"].items()}
        code = row.refused["code"]
        console.print(f"  {code}: {text(f'{code[:-4].lower()}.{code}.what', **params)}", markup=False)
    for example in row.examples:
        words = text(
            "preview.example",
            part=example.part,
            count=len(row.examples),
            tokens=len(example.tokens),
            trained=example.trained,
            cut=example.cut,
        )
        console.print(f"  {words}", markup=False)
        if colour:
            console.print(_coloured(example.tokens))
        else:
            _print_lines(console, example.tokens)


def _coloured(tokens: list[Any]) -> Text:
    """The text itself: the colour is the role, every other token is a little brighter so that borders show."""
    line = Text()
    for place, token in enumerate(tokens):
        style = _STYLES[token.role]
        style += " underline" if token.trained else ""
        style += " strike dim" if token.cut else " bold" if place % 2 else ""
        line.append(_visible(token.text) or "·", style=style)
    return line


def _print_lines(console: Console, tokens: list[Any]) -> None:
    """For files and pipes: one line for each stretch of tokens of one kind."""
    for first, start, count, content in _stretches(tokens):
        marks = [text("preview.mark.trained")] if first.trained else []
        marks += [text("preview.mark.cut")] if first.cut else []
        role = text(f"preview.role.{first.role}")
        end = start + count - 1
        note = f" [{', '.join(marks)}]" if marks else ""
        console.print(f"    {start}-{end} {role}{note}: {content!r}", markup=False)


def _stretches(tokens: list[Any]) -> list[tuple[Any, int, int, str]]:
    """Neighbouring tokens of one kind: the first, its place, how many, their text."""
    found: list[tuple[Any, int, int, str]] = []
    for place, token in enumerate(tokens):
        kind = (token.role, token.turn, token.trained, token.cut)
        if found:
            first, start, count, content = found[-1]
            if (first.role, first.turn, first.trained, first.cut) == kind:
                found[-1] = (first, start, count + 1, content + token.text)
                continue
        found.append((token, place, 1, token.text))
    return found


def _visible(content: str) -> str:
    return "".join(_INVISIBLE.get(letter, letter) for letter in content)


COMMAND = Command("data preview", act, PreviewSpec)
