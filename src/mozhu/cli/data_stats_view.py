"""The statistics of a data set on a terminal: small tables with bars of letters."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mozhu.kernel.texts import has_text, text

_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_QUANTILES = ("min", "mean", "p50", "p90", "p95", "p99", "max")
_MOST_TURNS, _MOST_LABELS, _MOST_BEGINS, _MOST_ENDS = 8, 12, 8, 3
Cells = Sequence[object]
# Title, column names, rows, note.
Block = tuple[str, list[str], list[Cells], str]


def print_statistics(found: Any) -> None:
    """Every table of ``found`` on standard output."""
    terminal = sys.stdout.isatty()
    console = Console(highlight=False, soft_wrap=not terminal, width=None if terminal else 160)
    console.print(_head(found), markup=False)
    for title, columns, rows, note in _tables(found):
        if rows:
            console.print(f"\n{title}", markup=False, style="bold")
            console.print(_table(columns, rows))
            if note:
                console.print(f"  {note}", markup=False, style="dim")


def bar(share: float, width: int = _BAR) -> str:
    """``share`` of ``width`` letters filled, to an eighth of a letter; something is never nothing."""
    eighths = round(8 * width * min(1.0, share)) or (1 if share > 0 else 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")


def percent(part: float, whole: float) -> str:
    share = part / whole if whole else 0.0
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 < share < 1 else f"{100 * share:.1f} %"


def _head(found: Any) -> str:
    tokens = found.whole.tokens
    told = text("stats.cut_off", limit=f"{tokens.max_length:,}") if tokens else text("stats.no_model")
    model = found.model or "—"
    return f"{found.dataset} · {text('stats.model')} {model} · {text('stats.counted_with')} {told}"


def _tables(found: Any) -> Iterable[Block]:
    """(title, column names, rows, note) of each table."""
    whole = found.whole
    yield _parts(found)
    if whole.tokens:
        yield from _token_tables(found)
    yield _characters(whole)
    if whole.pairs:
        yield _pairs(whole.pairs)
    yield _turns(whole)
    for labels in whole.labels:
        yield _labels(labels)
    yield _languages(whole)
    yield _repeats(found)
    yield _extras(whole)
    yield _first_words(whole)
    yield _reasons("stats.rejected_rows", whole.rejected_reasons, text("stats.rejected_note"))
    for name in ("longest", "shortest"):
        yield _ends(name, getattr(whole, name), tokens=whole.tokens is not None)
    yield _samples(found)


def _parts(found: Any) -> Block:
    lines = [*found.parts.items(), *([("all", found.whole)] if len(found.parts) > 1 else [])]
    names = ["part", "rows", "", "share", "rejected", "characters"]
    with_tokens = found.whole.tokens is not None
    names += ["tokens_p50", "tokens_p95", "tokens_max", "over", "trained_share"] if with_tokens else []
    rows: list[Cells] = []
    for name, part in lines:
        share = part.rows / max(1, found.whole.rows)
        size = part.characters["row"].summary
        cells = [_part(name), f"{part.rows:,}", bar(share, 12), percent(part.rows, found.whole.rows)]
        cells += [f"{part.rejected:,}", f"{size.p50:,}" if size else "—"]
        if with_tokens:
            cells += _token_cells(part.tokens)
        rows.append(cells)
    return text("stats.parts"), [text(f"stats.{name}") if name else "" for name in names], rows, ""


def _token_cells(tokens: Any) -> list[str]:
    size = tokens.lengths.summary
    sizes = [f"{one:,}" for one in (size.p50, size.p95, size.max)] if size else ["—"] * 3
    share = "—" if tokens.trained_share is None else percent(tokens.trained_share, 1)
    return [*sizes, f"{tokens.rows_over:,}", share]


def _token_tables(found: Any) -> Iterable[Block]:
    tokens = found.whole.tokens
    lines = [(_part(name), part.tokens.lengths.summary) for name, part in found.parts.items()]
    lines += [(_part("all"), tokens.lengths.summary)] if len(lines) > 1 else []
    lines.append((text("stats.trained_tokens"), tokens.trained.summary))
    kept = {"trained": f"{tokens.kept_trained:,}", "tokens": f"{tokens.kept_tokens:,}"}
    yield _lengths("stats.token_sizes", lines, text("stats.trained_note", **kept))
    pieces = _fewer(tokens.lengths.histogram)
    most = max((count for *_, count in pieces), default=1)
    bins: list[Cells] = [
        (f"{low:,}–{high:,}", bar(count / most), f"{count:,}") for low, high, count in pieces
    ]
    yield text("stats.token_lengths"), [text("stats.tokens"), "", text("stats.count")], bins, _over(found)
    yield _fits(tokens)
    yield _padding(tokens)
    yield _reasons("stats.not_measured", tokens.not_measured)


def _fits(tokens: Any) -> Block:
    fits: list[Cells] = []
    for fit in tokens.fits:
        mark = f" ({text('stats.in_force')})" if fit.limit == tokens.max_length else ""
        kept = [percent(fit.tokens, 1), "—" if fit.trained is None else percent(fit.trained, 1)]
        fits.append(
            (f"≤ {fit.limit:,}{mark}", bar(fit.share), f"{fit.examples:,}", percent(fit.share, 1), *kept)
        )
    names = ["cut_off_at", "", "fit_whole", "share", "tokens_kept", "trained_kept"]
    return (
        text("stats.fits"),
        [text(f"stats.{name}") if name else "" for name in names],
        fits,
        text("stats.fits_note"),
    )


def _padding(tokens: Any) -> Block:
    rows: list[Cells] = [
        (
            one.batch_size,
            bar(one.shuffled),
            percent(one.shuffled, 1),
            bar(one.by_length),
            percent(one.by_length, 1),
        )
        for one in tokens.padding
    ]
    packing, note = tokens.packing, ""
    if packing:
        told = {"examples": f"{packing.examples:,}", "sequences": f"{packing.sequences:,}"}
        filled = percent(packing.filled, 1)
        note = text("stats.packing", **told, limit=f"{packing.max_length:,}", filled=filled)
    names = [text("stats.batch_size"), text("stats.shuffled"), "", text("stats.by_length"), ""]
    return text("stats.padding"), names, rows, note


def _over(found: Any) -> str:
    tokens = found.whole.tokens
    limit = f"{tokens.max_length:,}"
    if not tokens.over:
        return text("stats.none_over", limit=limit)
    told = {name: f"{getattr(tokens, name):,}" for name in ("lost", "dropped")}
    told["policy"] = found.settings["over_length"]
    rows, trained = f"{tokens.rows_over:,}", f"{tokens.trained_lost:,}"
    return text("stats.over_note", rows=rows, limit=limit, trained=trained, **told)


def _characters(part: Any) -> Block:
    lines = [(text(f"stats.{name}"), part.characters[name].summary) for name in ("question", "answer", "row")]
    return _lengths("stats.character_lengths", lines)


def _lengths(title: str, lines: Sequence[tuple[str, Any]], note: str = "") -> Block:
    names = ["", text("stats.count"), *(_named(key) for key in _QUANTILES), text("stats.total")]
    rows: list[Cells] = [
        (name, f"{one.count:,}", *(f"{getattr(one, key):,}" for key in _QUANTILES), f"{one.total:,}")
        for name, one in lines
        if one is not None
    ]
    return text(title), names, rows, note


def _pairs(pairs: Any) -> Block:
    chosen, rejected, unit = text("stats.chosen"), text("stats.rejected_answer"), text("stats.tokens")
    lines = [(chosen, pairs.chosen.summary), (rejected, pairs.rejected.summary)]
    lines += [(f"{chosen} ({unit})", pairs.chosen_tokens), (f"{rejected} ({unit})", pairs.rejected_tokens)]
    ratio = "—" if pairs.ratio is None else f"{pairs.ratio:.2f}"
    note = text("stats.pairs_note", ratio=ratio, count=f"{pairs.chosen_longer:,}", rows=f"{pairs.rows:,}")
    return _lengths("stats.pairs", lines, note)


def _turns(part: Any) -> Block:
    counts = [(turns, count) for turns, count in part.turns.counts.items()]
    items = counts[:_MOST_TURNS]
    if rest := sum(count for _, count in counts[_MOST_TURNS:]):
        items.append((f"≥ {counts[_MOST_TURNS][0]}", rest))
    note = ""
    if part.turns.messages:
        messages = part.turns.messages
        mean, most = f"{part.turns.mean:.2f}", messages.max
        note = text("stats.turns_note", mean=mean, messages=f"{messages.mean:.2f}", most=most)
    return _counted("stats.turns", "stats.turns_column", items, sum(count for _, count in counts), note)


def _labels(labels: Any) -> Block:
    items = [(one.value, one.count) for one in labels.values.top]
    if labels.kind == "kto":
        items = [(text(f"stats.mark.{name}"), count) for name, count in items]
    imbalance = "—" if labels.imbalance is None else f"{labels.imbalance:g}"
    note = text("stats.labels_note", different=f"{labels.values.different:,}", imbalance=imbalance)
    total = sum(count for _, count in items)
    return _counted(f"stats.labels.{labels.kind}", "stats.label", items[:_MOST_LABELS], total, note)


def _languages(part: Any) -> Block:
    found = sorted(part.languages.items(), key=lambda item: -item[1])
    items = [(text(f"stats.language.{name}"), count) for name, count in found]
    answered = part.characters["answer"].summary is not None
    note = text("stats.languages_note", count=f"{part.answers_in_another_language:,}") if answered else ""
    return _counted("stats.languages", "stats.language", items, part.rows, note)


def _first_words(part: Any) -> Block:
    items = [(one.value, one.count) for one in part.first_words.top[:_MOST_BEGINS]]
    note = text("stats.different_note", count=f"{part.first_words.different:,}")
    return _counted("stats.first_words", "stats.begins", items, part.rows, note)


def _repeats(found: Any) -> Block:
    repeats = found.repeats
    rows: list[Cells] = []
    for where in ("inside", "across"):
        names = dict.fromkeys([*repeats.exact.get(where, {}), *repeats.near.get(where, {})])
        for name in names:
            words = " / ".join(_part(part) for part in name.split("/"))
            exact, near = (kind.get(where, {}).get(name, 0) for kind in (repeats.exact, repeats.near))
            shown = f"{near:,}" if repeats.method == "near" else "—"
            share = percent(exact + near, repeats.rows)
            rows.append((text(f"stats.{where}", part=words), f"{exact:,}", shown, share))
    if rows:
        share = percent(repeats.questions, repeats.rows)
        rows.append((text("stats.same_question"), f"{repeats.questions:,}", "—", share))
    near_name = text("stats.near", similarity=f"{repeats.similarity:.0%}")
    names_ = ["", text("stats.exact"), near_name, text("stats.share")]
    return text("stats.repeats"), names_, rows, text(f"stats.repeats_{repeats.method}")


def _extras(part: Any) -> Block:
    extras = part.extras
    kinds = [("system", extras.system_prompts), ("tools", extras.tool_names), ("calls", extras.called_names)]
    rows: list[Cells] = []
    for name, values in kinds:
        count = getattr(extras, name)
        if count:
            top = "\n".join(f"{one.value} × {one.count:,}" for one in values.top[:3])
            share = percent(count, part.rows)
            rows.append((text(f"stats.{name}"), f"{count:,}", share, f"{values.different:,}", top))
    if extras.images:
        share, total = percent(extras.images, part.rows), f"{extras.images_total:,}"
        told = text("stats.images_total", count=total)
        rows.append((text("stats.images"), f"{extras.images:,}", share, "—", told))
    names = ["rows", "share", "different", "most_frequent"]
    return text("stats.extras"), ["", *(text(f"stats.{name}") for name in names)], rows, ""


def _reasons(title: str, reasons: Sequence[Any], note: str = "") -> Block:
    rows: list[Cells] = [(one.code, one.reason, f"{one.count:,}", one.first) for one in reasons]
    return text(title), [text(f"stats.{name}") for name in ("code", "reason", "count", "first")], rows, note


def _ends(name: str, ends: Sequence[Any], *, tokens: bool) -> Block:
    rows: list[Cells] = []
    for row in ends[:_MOST_ENDS]:
        sizes = [f"{row.tokens:,}" if row.tokens is not None else "—"] if tokens else []
        rows.append((_place(row), *sizes, f"{row.characters:,}", _line(row.excerpt)))
    names = ["row_column", *(["tokens"] if tokens else []), "characters", "begins"]
    return text(f"stats.{name}"), [text(f"stats.{column}") for column in names], rows, ""


def _samples(found: Any) -> Block:
    rows: list[Cells] = []
    for row in found.samples:
        said = [f"{_named(f'role.{role}')}: {_line(content)}" for role, content in row.messages]
        for name, content in (
            ("chosen", row.chosen),
            ("rejected_answer", row.rejected),
            ("label", row.label),
        ):
            if content is not None:
                said.append(f"{text(f'stats.{name}')}: {_line(content)}")
        rows.append((_place(row), "\n".join(said)))
    note = text("stats.samples_note", seed=found.settings["seed"])
    return text("stats.samples"), [text("stats.row_column"), ""], rows, note


def _counted(title: str, column: str, items: Sequence[tuple[str, int]], whole: int, note: str) -> Block:
    most = max((count for _, count in items), default=1)
    rows: list[Cells] = [
        (name, bar(count / most), f"{count:,}", percent(count, whole)) for name, count in items
    ]
    return text(title), [text(column), "", text("stats.count"), text("stats.share")], rows, note


def _fewer(bins: Sequence[Any], most: int = 14) -> list[tuple[int, int, int]]:
    """(first, last, count) of neighbouring bins put together until there are at most ``most``."""
    size = max(1, -(-len(bins) // most))
    groups = [bins[start : start + size] for start in range(0, len(bins), size)]
    return [(group[0].low, group[-1].high, sum(one.count for one in group)) for group in groups]


def _table(columns: Sequence[str], rows: Sequence[Cells]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        numeric = all(_is_number(row[place]) for row in rows)
        table.add_column(column, justify="right" if numeric and place else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _is_number(cell: object) -> bool:
    shown = str(cell).rstrip(" %").replace(",", "").replace(".", "").lstrip("<> ")
    return shown == "—" or shown.isdigit()


def _line(content: str, most: int = 88) -> str:
    """On one line, at most ``most`` columns wide; a Chinese character takes two."""
    shown = " ".join(content.split())
    return shown if cell_len(shown) <= most else f"{set_cell_size(shown, most - 1).rstrip()}…"


def _named(name: str) -> str:
    return text(f"stats.{name}") if has_text(f"stats.{name}") else name


def _part(name: str) -> str:
    return text(f"stats.part.{name}")


def _place(row: Any) -> str:
    return f"{row.row_id}\n{row.file}:{row.line}"
