"""Tables of the page of ``data stats``: each number of a plot stands in one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from mozhu.engine.data.statistics.lengths import LengthSummary
from mozhu.engine.data.statistics.record import (
    Counted,
    PartStatistics,
    Reason,
    RowLength,
    Shown,
    Spread,
    Statistics,
    Tokens,
)
from mozhu.engine.scoring.report.bars import bar
from mozhu.engine.scoring.report.blocks import code, named, with_small
from mozhu.engine.scoring.report.page import Cell, Html, joined, table
from mozhu.kernel.texts import text

_QUANTILES = ("min", "mean", "p50", "p90", "p95", "p99", "max")


def percent(share: float | None) -> str:
    """A share for people; a little that is not nothing never shows as 0 or 100."""
    if share is None:
        return "—"
    if 0 < share < 0.0005:
        return "< 0.1 %"
    if 0.9995 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"


def share_of(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def part_name(part: str) -> str:
    return named("stats", f"part.{part}")


def lengths_table(rows: Iterable[tuple[str, LengthSummary | None]]) -> Html:
    """One line for each kind of length: how many, and their percentiles."""
    shown: list[Sequence[Cell]] = [
        (name, f"{one.count:,}", *(_number(getattr(one, key)) for key in _QUANTILES), f"{one.total:,}")
        for name, one in rows
        if one is not None
    ]
    names = ["", text("stats.count"), *(named("stats", key) for key in _QUANTILES), text("stats.total")]
    return table(names, shown, numeric=range(1, len(names)))


def counted_table(title: str, items: Sequence[tuple[Cell, int]], whole: int, css: str = "main") -> Html:
    """Values with bars, counts and shares of ``whole``; the longest bar is that of the most frequent."""
    most = max((count for _, count in items), default=0)
    shown: list[Sequence[Cell]] = [
        (name, bar(share_of(count, most), css), f"{count:,}", percent(share_of(count, whole)))
        for name, count in items
    ]
    return table([title, "", text("stats.count"), text("stats.share")], shown, numeric=(2, 3))


def values_items(values: Sequence[Counted], most: int) -> list[tuple[Cell, int]]:
    return [(one.value, one.count) for one in values[:most]]


def parts_table(found: Statistics) -> Html:
    """A line for each part, and one for all of them where there are several."""
    lines = list(found.parts.items())
    if len(lines) > 1:
        lines.append(("all", found.whole))
    headers = ["part", "", "rows", "share", "rejected", "characters"]
    if found.whole.tokens:
        headers += ["tokens_p50", "tokens_p95", "tokens_max", "over", "trained_share"]
    shown = [_part_cells(found, name, part) for name, part in lines]
    names = [text(f"stats.{name}") if name else "" for name in headers]
    return table(names, shown, numeric=range(2, len(names)))


def _part_cells(found: Statistics, name: str, part: PartStatistics) -> list[Cell]:
    share = share_of(part.rows, found.whole.rows)
    cells: list[Cell] = [
        part_name(name),
        bar(share, "main" if name != "all" else "second"),
        f"{part.rows:,}",
        percent(share),
        f"{part.rejected:,}",
        _median(part.characters["row"]),
    ]
    if part.tokens:
        lengths = part.tokens.lengths.summary
        sizes = (lengths.p50, lengths.p95, lengths.max) if lengths else ()
        cells += [f"{size:,}" for size in sizes] or ["—"] * 3
        cells += [f"{part.tokens.rows_over:,}", percent(part.tokens.trained_share)]
    return cells


def fits_table(tokens: Tokens) -> Html:
    """What each cut-off keeps; the one in force is marked."""
    shown: list[Sequence[Cell]] = []
    for fit in tokens.fits:
        mine = fit.limit == tokens.max_length
        name: Cell = with_small(f"≤ {fit.limit:,}", text("stats.in_force") if mine else "")
        drawn = bar(fit.share, "second" if mine else "main")
        cells = (f"{fit.examples:,}", percent(fit.share), percent(fit.tokens), percent(fit.trained))
        shown.append((name, drawn, *cells))
    names = ["cut_off_at", "", "fit_whole", "share", "tokens_kept", "trained_kept"]
    return table([text(f"stats.{name}") if name else "" for name in names], shown, numeric=(2, 3, 4, 5))


def padding_table(tokens: Tokens, batch_size: int) -> Html:
    shown: list[Sequence[Cell]] = [
        (
            with_small(f"{one.batch_size}", text("stats.asked_for") if one.batch_size == batch_size else ""),
            bar(one.shuffled, "second"),
            percent(one.shuffled),
            bar(one.by_length),
            percent(one.by_length),
        )
        for one in tokens.padding
    ]
    names = [text("stats.batch_size"), text("stats.shuffled"), "", text("stats.by_length"), ""]
    return table(names, shown, numeric=(2, 4))


def repeats_table(found: Statistics) -> Html:
    """Exact and near duplicates inside of each part, and from part to part."""
    repeats = found.repeats
    rows: list[Sequence[Cell]] = []
    near = repeats.method == "near"
    for where, key in (("inside", "stats.inside"), ("across", "stats.across")):
        names = dict.fromkeys([*repeats.exact.get(where, {}), *repeats.near.get(where, {})])
        for name in names:
            words = " / ".join(part_name(part) for part in name.split("/"))
            exact, alike = (kind.get(where, {}).get(name, 0) for kind in (repeats.exact, repeats.near))
            share = percent(share_of(exact + alike, repeats.rows))
            rows.append((text(key, part=words), f"{exact:,}", f"{alike:,}" if near else "—", share))
    rows.append(
        (
            text("stats.same_question"),
            f"{repeats.questions:,}",
            "—",
            percent(share_of(repeats.questions, repeats.rows)),
        )
    )
    names_ = [
        "",
        text("stats.exact"),
        text("stats.near", similarity=f"{repeats.similarity:.0%}"),
        text("stats.share"),
    ]
    return table(names_, rows, numeric=(1, 2, 3))


def extras_table(part: PartStatistics) -> Html:
    """System prompts, tools, calls and images: in how many rows, and the most frequent."""
    extras = part.extras
    kinds = [
        ("system", extras.system, extras.system_prompts),
        ("tools", extras.tools, extras.tool_names),
        ("calls", extras.calls, extras.called_names),
    ]
    rows: list[Sequence[Cell]] = []
    for name, count, values in kinds:
        if count:
            top = joined(*(Html(f"{code(one.value).markup} × {one.count:,}<br>") for one in values.top[:5]))
            rows.append(
                (
                    text(f"stats.{name}"),
                    f"{count:,}",
                    percent(share_of(count, part.rows)),
                    f"{values.different:,}",
                    top,
                )
            )
    if extras.images:
        total = text("stats.images_total", count=f"{extras.images_total:,}")
        rows.append(
            (
                text("stats.images"),
                f"{extras.images:,}",
                percent(share_of(extras.images, part.rows)),
                "—",
                total,
            )
        )
    names = [
        "",
        text("stats.rows"),
        text("stats.share"),
        text("stats.different"),
        text("stats.most_frequent"),
    ]
    return table(names, rows, numeric=(1, 2, 3))


def reasons_table(reasons: Sequence[Reason]) -> Html:
    rows: list[Sequence[Cell]] = [
        (code(one.code), _ticked(one.reason), f"{one.count:,}", code(one.first)) for one in reasons
    ]
    names = [text(f"stats.{name}") for name in ("code", "reason", "count", "first")]
    return table(names, rows, numeric=(2,))


def ends_table(rows: Sequence[RowLength], *, tokens: bool) -> Html:
    shown: list[Sequence[Cell]] = []
    for row in rows:
        sizes = [f"{row.tokens:,}" if row.tokens is not None else "—"] if tokens else []
        place = with_small(row.row_id, f"{row.file}:{row.line}")
        shown.append((place, *sizes, f"{row.characters:,}", row.excerpt))
    names = ["row_column", *(["tokens"] if tokens else []), "characters", "begins"]
    return table([text(f"stats.{name}") for name in names], shown, numeric=range(1, len(names) - 1))


def sample_block(row: Shown) -> Html:
    """A sample row as its messages, one under the other."""
    facts = [part_name(row.part), f"{row.file}:{row.line}"]
    facts.append(text("stats.sample_characters", count=f"{row.characters:,}"))
    if row.tokens is not None:
        facts.append(text("stats.sample_tokens", count=f"{row.tokens:,}"))
    head = f'<p class="place"><b>{escape(row.row_id)}</b> {escape(" · ".join(facts))}</p>'
    turns = [_turn(role, named("stats", f"role.{role}"), content) for role, content in row.messages]
    for name, content in (("chosen", row.chosen), ("rejected_answer", row.rejected), ("label", row.label)):
        if content is not None:
            turns.append(_turn(name.partition("_")[0], text(f"stats.{name}"), content))
    return Html(f'<div class="row">{head}{"".join(turns)}</div>')


def _turn(css: str, name: str, content: str) -> str:
    return f'<div class="turn {escape(css)}"><h3>{escape(name)}</h3><p>{escape(content)}</p></div>'


def _ticked(words: str) -> Html:
    """What stands between backticks as code."""
    pieces = words.split("`")
    return joined(*(code(piece) if place % 2 else Html(escape(piece)) for place, piece in enumerate(pieces)))


def _median(spread: Spread) -> str:
    return f"{spread.summary.p50:,}" if spread.summary else "—"


def _number(value: float) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}"
