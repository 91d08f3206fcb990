"""One self-contained HTML page: no script, no font, no picture from anywhere else; light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from mozhu.kernel.files import write_text
from mozhu.kernel.texts import language, text

_STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Html:
    """Text that is markup already; every other string is escaped where it is put into the page."""

    markup: str


Cell = str | Html


@dataclass(frozen=True)
class Section:
    """A block of the page. ``note`` is small text under it."""

    title: str
    body: Html
    note: str = ""


@dataclass(frozen=True)
class Card:
    """A number at the top of the page, with one line of context."""

    label: str
    value: str
    context: str = ""


@dataclass(frozen=True)
class Heading:
    """``state`` is a word and its kind: ``good``, ``bad`` or ``plain``."""

    title: str
    lines: Sequence[tuple[str, str]] = ()
    state: tuple[str, str] | None = None
    cards: Sequence[Card] = ()


def render_report(heading: Heading, sections: Sequence[Section], *, style: str = "") -> str:
    """The whole page as HTML. Sections without a body are left out; ``style`` is added to the page's own."""
    blocks = "".join(_section(section) for section in sections if section.body.markup)
    lang = "zh-CN" if language() == "zh" else "en"
    return (
        f'<!doctype html>\n<html lang="{lang}">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(heading.title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{_heading(heading)}\n{blocks}\n<footer>{escape(text('report.footer'))}</footer>\n"
        "</main>\n</body>\n</html>\n"
    )


def write_report(path: Path, heading: Heading, sections: Sequence[Section]) -> Path:
    """Write the page to ``path`` in one atomic step."""
    write_text(path, render_report(heading, sections))
    return path


def table(headers: Sequence[Cell], rows: Sequence[Sequence[Cell]], *, numeric: Sequence[int] = ()) -> Html:
    """A table; columns in ``numeric`` stand right. Without rows it is empty; ``headers`` may be."""
    if not rows:
        return Html("")
    head = "".join(f"<th{_right(i, numeric)}>{markup(name)}</th>" for i, name in enumerate(headers))
    body = "".join(
        "<tr>"
        + "".join(f"<td{_right(i, numeric)}>{markup(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if headers else ""
    return Html(f'<div class="scroll"><table>{top}<tbody>{body}</tbody></table></div>')


def pairs(items: Sequence[tuple[str, Cell]]) -> Html:
    """Names and values, two columns."""
    if not items:
        return Html("")
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{markup(value)}</dd>" for name, value in items)
    return Html(f"<dl>{rows}</dl>")


def folded(title: str, body: Html) -> Html:
    """``body`` behind a line that opens it."""
    return Html(f"<details><summary>{escape(title)}</summary>{body.markup}</details>")


def badge(word: str, kind: str) -> Html:
    """A word with its mark, ``good``, ``bad`` or ``plain``: never colour alone."""
    mark = {"good": "✓", "bad": "✕"}.get(kind, "•")
    return Html(f'<span class="badge {kind}"><i aria-hidden="true">{mark}</i>{escape(word)}</span>')


def markup(cell: Cell) -> str:
    return cell.markup if isinstance(cell, Html) else escape(cell)


def joined(*parts: Html) -> Html:
    return Html("".join(part.markup for part in parts))


def _right(column: int, numeric: Sequence[int]) -> str:
    return ' class="number"' if column in numeric else ""


def _section(section: Section) -> str:
    note = f'<p class="note">{escape(section.note)}</p>' if section.note else ""
    return f"<section><h2>{escape(section.title)}</h2>{section.body.markup}{note}</section>\n"


def _heading(heading: Heading) -> str:
    state = badge(*heading.state).markup if heading.state else ""
    lines = "".join(f"<span><b>{escape(name)}</b>{escape(value)}</span>" for name, value in heading.lines)
    cards = "".join(
        f'<div class="card"><span>{escape(card.label)}</span><strong>{escape(card.value)}</strong>'
        f"<small>{escape(card.context)}</small></div>"
        for card in heading.cards
    )
    return (
        f"<header><h1>{escape(heading.title)}{state}</h1>"
        + (f'<p class="facts">{lines}</p>' if lines else "")
        + "</header>"
        + (f'<div class="cards">{cards}</div>' if cards else "")
    )
