"""The page of ``data preview``: each token in the colour of its role, underlined where it is learned, struck
through where it is cut off.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

from mozhu.engine.data.preview import ROLES, ExampleView, Preview, RowView, TokenView
from mozhu.engine.scoring.report.blocks import shortened
from mozhu.engine.scoring.report.page import Card, Heading, Html, Section, folded, joined, render_report
from mozhu.kernel.errors import shown_value
from mozhu.kernel.files import write_text
from mozhu.kernel.texts import text

_STYLE = Path(__file__).with_name("preview.css")
# Characters that leave no ink, and what stands for them; a line break also breaks the line.
SHOWN = {"\n": "↵\n", "\r": "␍", "\t": "⇥\t", "\u200b": "∅", "\ufeff": "∅"}


def write_preview(path: Path, view: Preview) -> Path:
    """Write the page to ``path`` in one atomic step."""
    write_text(path, preview_page(view))
    return path


def preview_page(view: Preview) -> str:
    """The whole page, in the language in force."""
    legend = Section(text("preview.legend"), Html(f'<div class="tokens">{_legend()}</div>'))
    sections = [legend, *(_row_section(row) for row in view.rows)]
    return render_report(_heading(view), sections, style=_STYLE.read_text(encoding="utf-8"))


def visible(content: str) -> str:
    """``content`` with its line breaks, tabs and invisible characters shown."""
    return "".join(SHOWN.get(letter, letter) for letter in content)


def _heading(view: Preview) -> Heading:
    share = 100 * view.trained / max(1, view.tokens)
    lines = [
        (text("preview.model"), view.model),
        (text("preview.dataset"), view.dataset),
        (text("preview.template"), shortened(view.template) if view.template else "-"),
        (text("preview.limit"), _policy(view)),
    ]
    cards = [
        Card(text("preview.tokens"), f"{view.tokens:,}", text("preview.rows", count=len(view.rows))),
        Card(text("preview.trained"), f"{share:.1f} %", text("preview.of_tokens", count=f"{view.trained:,}")),
        Card(text("preview.cut"), f"{view.cut:,}", _policy(view)),
    ]
    return Heading(text(f"preview.title.{view.stage}"), lines, None, cards)


def _policy(view: Preview) -> str:
    return text(f"preview.policy.{view.policy}", max_length=view.max_length)


def _legend() -> str:
    roles = "".join(
        f'<span class="t {role}">{escape(text("preview.role." + role))}</span> ' for role in ROLES
    )
    trained = f'<span class="t assistant on">{escape(text("preview.is_trained"))}</span> '
    return roles + trained + f'<span class="t assistant cut">{escape(text("preview.is_cut"))}</span>'


def _row_section(row: RowView) -> Section:
    if row.refused:
        code = str(row.refused["code"])
        params = {name: shown_value(value) for name, value in row.refused["params"].items()}
        words = text(f"{code.split('-')[0].lower()}.{code}.what", **params)
        return Section(row.row_id, Html(f'<p class="note">{escape(code)}: {escape(words)}</p>'))
    body = joined(*(_example(example, len(row.examples)) for example in row.examples))
    raw = json.dumps(row.messages, ensure_ascii=False, indent=2) if row.messages else ""
    if raw:
        body = joined(body, folded(text("preview.raw"), Html(f'<pre class="raw">{escape(raw)}</pre>')))
    return Section(row.row_id, body, _note(row))


def _note(row: RowView) -> str:
    parts = []
    if row.source.get("file"):
        parts.append(f"{row.source['file']}:{row.source.get('line', '')}")
    if row.inserted:
        parts.append(text("preview.inserted", system=row.inserted.strip()))
    return " · ".join(parts)


def _example(example: ExampleView, count: int) -> Html:
    head = text(
        "preview.example",
        part=example.part,
        count=count,
        tokens=len(example.tokens),
        trained=example.trained,
        cut=example.cut,
    )
    tokens = "".join(_token(place, token) for place, token in enumerate(example.tokens))
    return Html(f'<p class="head">{escape(head)}</p><div class="tokens">{tokens}</div>')


def _token(place: int, token: TokenView) -> str:
    marks = [token.role, *(["on"] if token.trained else []), *(["cut"] if token.cut else [])]
    title = f"#{place} · {token.id} · {token.text!r} · {text('preview.role.' + token.role)}"
    shown = escape(visible(token.text)) if token.text else "·"
    return f'<span class="t {" ".join(marks)}" title="{escape(title)}">{shown}</span>'
