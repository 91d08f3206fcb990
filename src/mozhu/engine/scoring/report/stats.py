"""The page of ``data stats``: every plot with its numbers, and sample rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mozhu.engine.data.statistics.lengths import LengthSummary
from mozhu.engine.data.statistics.record import Labels as RowLabels
from mozhu.engine.data.statistics.record import Pairs, PartStatistics, Statistics, Tokens
from mozhu.engine.scoring.report.bars import Labels, Series, histogram, stacked
from mozhu.engine.scoring.report.blocks import named
from mozhu.engine.scoring.report.page import Card, Cell, Heading, Html, Section, folded, joined, render_report
from mozhu.engine.scoring.report.stats_blocks import (
    counted_table,
    ends_table,
    extras_table,
    fits_table,
    lengths_table,
    padding_table,
    part_name,
    parts_table,
    percent,
    reasons_table,
    repeats_table,
    sample_block,
    share_of,
    values_items,
)
from mozhu.kernel.files import write_text
from mozhu.kernel.texts import text

_STYLE = Path(__file__).with_name("stats.css")
_MOST_TURNS, _MOST_LABELS = 12, 30


def write_statistics(path: Path, found: Statistics) -> Path:
    """Write the page to ``path`` in one atomic step."""
    write_text(path, statistics_page(found))
    return path


def statistics_page(found: Statistics) -> str:
    """The whole page, in the language in force."""
    whole = found.whole
    sections = [
        Section(text("stats.parts"), parts_table(found), _sources(found)),
        *_token_sections(found),
        _characters(whole),
        *_pair_sections(whole.pairs),
        *_halves(
            Section(text("stats.turns"), _turns(whole), _turns_note(whole)),
            Section(text("stats.languages"), _languages(whole), _languages_note(whole)),
            *(_labels(labels) for labels in whole.labels),
            Section(text("stats.first_words"), _first_words(whole), _different(whole.first_words.different)),
            Section(
                text("stats.repeats"),
                _repeats(found),
                _without_marks(text(f"stats.repeats_{found.repeats.method}")),
            ),
        ),
        Section(text("stats.extras"), extras_table(whole)),
        _rejected(whole),
        *_ends(whole),
        _samples(found),
    ]
    return render_report(_heading(found), sections, style=_STYLE.read_text(encoding="utf-8"))


def settings_line(found: Statistics) -> str:
    """What the tokens are counted with."""
    tokens = found.whole.tokens
    if tokens is None:
        return text("stats.no_model")
    told = text("stats.cut_off", limit=f"{tokens.max_length:,}")
    settings = found.settings
    return f"{told} · train_on {settings['train_on']} · over_length {settings['over_length']}"


def _heading(found: Statistics) -> Heading:
    lines = [(text("stats.dataset"), found.dataset), (text("stats.model"), found.model or "—")]
    lines.append((text("stats.counted_with"), settings_line(found)))
    return Heading(text("stats.title"), lines, None, _cards(found))


def _cards(found: Statistics) -> list[Card]:
    whole, tokens, repeats = found.whole, found.whole.tokens, found.repeats
    parts = " · ".join(f"{part_name(name)} {part.rows:,}" for name, part in found.parts.items())
    cards = [Card(text("stats.rows"), f"{whole.rows:,}", parts)]
    share = share_of(whole.rejected, whole.rows + whole.rejected)
    cards.append(
        Card(text("stats.rejected"), f"{whole.rejected:,}", text("stats.of_all", share=percent(share)))
    )
    if tokens and tokens.lengths.summary:
        size = tokens.lengths.summary
        cards.append(
            Card(
                text("stats.tokens"),
                f"{size.total:,}",
                text("stats.p50_p95", p50=f"{size.p50:,}", p95=f"{size.p95:,}"),
            )
        )
        fit = share_of(tokens.examples - tokens.over, tokens.examples)
        cards.append(
            Card(text("stats.fit"), percent(fit), text("stats.cut_off", limit=f"{tokens.max_length:,}"))
        )
        if tokens.trained_share is not None:
            told = text("stats.of_tokens", count=f"{tokens.kept_trained:,}")
            cards.append(Card(text("stats.trained_share"), percent(tokens.trained_share), told))
    elif whole.characters["row"].summary:
        size = whole.characters["row"].summary
        cards.append(
            Card(
                text("stats.characters"),
                f"{size.total:,}",
                text("stats.p50_p95", p50=f"{size.p50:,}", p95=f"{size.p95:,}"),
            )
        )
    if repeats.method != "none":
        share = share_of(repeats.total, repeats.rows)
        cards.append(
            Card(text("stats.repeats"), f"{repeats.total:,}", text("stats.of_all", share=percent(share)))
        )
    return cards


def _size_card(title: str, size: LengthSummary) -> Card:
    return Card(
        text(title), f"{size.total:,}", text("stats.p50_p95", p50=f"{size.p50:,}", p95=f"{size.p95:,}")
    )


def _sources(found: Statistics) -> str:
    told = []
    for name, part in found.parts.items():
        for source in part.sources:
            encoding = f" {source['encoding']}" if source["encoding"] else ""
            told.append(
                f"{part_name(name)}: {source['file']} ({source['format']}{encoding}, {source['shape']})"
            )
    more = [f"… +{len(told) - 8}"] if len(told) > 8 else []
    return " · ".join([*told[:8], *more])


def _token_sections(found: Statistics) -> list[Section]:
    tokens = found.whole.tokens
    if tokens is None:
        return []
    sections = []
    if tokens.examples:
        sections += [
            Section(text("stats.token_lengths"), _token_lengths(found, tokens), _over_note(found, tokens)),
            Section(text("stats.fits"), fits_table(tokens), text("stats.fits_note")),
            Section(text("stats.trained"), _trained(tokens), _trained_note(tokens)),
            _batches(found, tokens),
        ]
    if tokens.not_measured:
        sections.append(Section(text("stats.not_measured"), reasons_table(tokens.not_measured)))
    return sections


def _token_lengths(found: Statistics, tokens: Tokens) -> Html:
    top = tokens.lengths.summary.max if tokens.lengths.summary else 0
    cut_off = tokens.max_length if tokens.max_length < top else None
    fit = percent(share_of(tokens.examples - tokens.over, tokens.examples))
    words = Labels(
        text("stats.axis.tokens"),
        text("stats.cumulative"),
        text("stats.cut_off_fit", limit=f"{tokens.max_length:,}", share=fit),
    )
    drawn = histogram([Series(text("stats.examples"), "main", tokens.lengths.histogram)], words, cut_off)
    lines = [
        (part_name(name), part.tokens.lengths.summary) for name, part in found.parts.items() if part.tokens
    ]
    if len(lines) > 1:
        lines.append((part_name("all"), tokens.lengths.summary))
    return joined(drawn, lengths_table([*lines, (text("stats.trained_tokens"), tokens.trained.summary)]))


def _over_note(found: Statistics, tokens: Tokens) -> str:
    limit = f"{tokens.max_length:,}"
    if not tokens.over:
        return text("stats.none_over", limit=limit)
    return _without_marks(
        text(
            "stats.over_note",
            policy=found.settings["over_length"],
            rows=f"{tokens.rows_over:,}",
            limit=limit,
            lost=f"{tokens.lost:,}",
            trained=f"{tokens.trained_lost:,}",
            dropped=f"{tokens.dropped:,}",
        )
    )


def _trained(tokens: Tokens) -> Html:
    if tokens.trained_share is None:
        return Html("")
    measured = tokens.lengths.summary.total if tokens.lengths.summary else 0
    read, lost = tokens.kept_tokens - tokens.kept_trained, max(0, measured - tokens.kept_tokens)
    total = tokens.kept_tokens + lost
    shares = [
        (tokens.kept_trained, "trained", "main"),
        (read, "read", "quiet"),
        (lost, "lost", "second"),
    ]
    return stacked(
        [(text(f"stats.stack.{name}"), css, share_of(count, total)) for count, name, css in shares]
    )


def _trained_note(tokens: Tokens) -> str:
    return text("stats.trained_note", trained=f"{tokens.kept_trained:,}", tokens=f"{tokens.kept_tokens:,}")


def _batches(found: Statistics, tokens: Tokens) -> Section:
    note = ""
    if tokens.packing:
        note = text(
            "stats.packing",
            examples=f"{tokens.packing.examples:,}",
            sequences=f"{tokens.packing.sequences:,}",
            limit=f"{tokens.packing.max_length:,}",
            filled=percent(tokens.packing.filled),
        )
    return Section(text("stats.padding"), padding_table(tokens, int(found.settings["batch_size"])), note)


def _characters(part: PartStatistics) -> Section:
    names = ("question", "answer", "row")
    lines = [(text(f"stats.{name}"), part.characters[name].summary) for name in names]
    drawn = Html("")
    words = Labels(text("stats.axis.characters"), text("stats.cumulative"))
    for name in names:
        bins = part.characters[name].histogram
        if bins and (name != "row" or not part.characters["question"].histogram):
            plot = histogram(
                [Series(text(f"stats.{name}"), "main" if name != "question" else "third", bins)], words
            )
            drawn = joined(drawn, plot)
    body = joined(Html(f'<div class="plots">{drawn.markup}</div>'), lengths_table(lines))
    return Section(text("stats.character_lengths"), body)


def _pair_sections(pairs: Pairs | None) -> list[Section]:
    """Length bias: an answer that wins because it is longer teaches length."""
    if pairs is None:
        return []
    chosen, rejected = text("stats.chosen"), text("stats.rejected_answer")
    series = [
        Series(chosen, "main", pairs.chosen.histogram),
        Series(rejected, "second", pairs.rejected.histogram),
    ]
    drawn = histogram(series, Labels(text("stats.axis.characters")))
    wins = stacked(
        [
            (text("stats.chosen_longer"), "main", share_of(pairs.chosen_longer, pairs.rows)),
            (text("stats.equally_long"), "quiet", share_of(pairs.equal, pairs.rows)),
            (text("stats.rejected_longer"), "second", share_of(pairs.rejected_longer, pairs.rows)),
        ]
    )
    unit = text("stats.tokens")
    lines = [
        (chosen, pairs.chosen.summary),
        (rejected, pairs.rejected.summary),
        (f"{chosen} ({unit})", pairs.chosen_tokens),
        (f"{rejected} ({unit})", pairs.rejected_tokens),
    ]
    ratio = "—" if pairs.ratio is None else f"{pairs.ratio:.2f}"
    note = text("stats.pairs_note", ratio=ratio, count=f"{pairs.chosen_longer:,}", rows=f"{pairs.rows:,}")
    return [Section(text("stats.pairs"), joined(drawn, wins, lengths_table(lines)), note)]


def _without_marks(words: str) -> str:
    """A note is plain text: no marks around what would be typed."""
    return words.replace("`", "")


def _halves(*sections: Section) -> list[Section]:
    """Sections that take half of the width where there is room for two; of an odd number the last takes all."""
    shown = [section for section in sections if section.body.markup]
    paired = len(shown) // 2 * 2
    halves = [
        Section(section.title, Html(f'<div class="half">{section.body.markup}</div>'), section.note)
        for section in shown[:paired]
    ]
    return [*halves, *shown[paired:]]


def _turns(part: PartStatistics) -> Html:
    counts = [(int(turns), count) for turns, count in part.turns.counts.items()]
    items: list[tuple[Cell, int]] = [(str(turns), count) for turns, count in counts[:_MOST_TURNS]]
    if rest := sum(count for _, count in counts[_MOST_TURNS:]):
        items.append((f"≥ {counts[_MOST_TURNS][0]}", rest))
    return counted_table(text("stats.turns_column"), items, sum(count for _, count in counts))


def _turns_note(part: PartStatistics) -> str:
    messages = part.turns.messages
    if messages is None:
        return ""
    return text(
        "stats.turns_note", mean=f"{part.turns.mean:.2f}", messages=f"{messages.mean:.2f}", most=messages.max
    )


def _languages(part: PartStatistics) -> Html:
    items = sorted(part.languages.items(), key=lambda item: -item[1])
    cells: list[tuple[Cell, int]] = [(text(f"stats.language.{name}"), count) for name, count in items]
    return counted_table(text("stats.language"), cells, part.rows)


def _languages_note(part: PartStatistics) -> str:
    if part.characters["answer"].summary is None:
        return ""
    return text("stats.languages_note", count=f"{part.answers_in_another_language:,}")


def _labels(labels: RowLabels) -> Section:
    total = sum(one.count for one in labels.values.top)
    items = values_items(labels.values.top, _MOST_LABELS)
    if labels.kind == "kto":
        items = [(named("stats", f"mark.{name}"), count) for name, count in items]
    imbalance = "—" if labels.imbalance is None else f"{labels.imbalance:g}"
    note = text("stats.labels_note", different=f"{labels.values.different:,}", imbalance=imbalance)
    body = counted_table(text("stats.label"), items, total)
    return Section(text(f"stats.labels.{labels.kind}"), body, note)


def _first_words(part: PartStatistics) -> Html:
    return counted_table(text("stats.begins"), values_items(part.first_words.top, 12), part.rows, "third")


def _different(count: int) -> str:
    return text("stats.different_note", count=f"{count:,}")


def _repeats(found: Statistics) -> Html:
    return repeats_table(found) if found.repeats.method != "none" else Html("")


def _rejected(part: PartStatistics) -> Section:
    return Section(
        text("stats.rejected_rows"),
        reasons_table(part.rejected_reasons),
        _without_marks(text("stats.rejected_note")),
    )


def _ends(part: PartStatistics) -> Sequence[Section]:
    tokens = part.tokens is not None
    pairs = (("stats.longest", part.longest), ("stats.shortest", part.shortest))
    return [Section(text(name), ends_table(rows, tokens=tokens)) for name, rows in pairs]


def _samples(found: Statistics) -> Section:
    blocks = [sample_block(row) for row in found.samples]
    if not blocks:
        return Section("", Html(""))
    first, rest = blocks[:3], blocks[3:]
    body = joined(*first)
    if rest:
        body = joined(body, folded(text("stats.more_samples", count=len(rest)), joined(*rest)))
    note = text("stats.samples_note", seed=found.settings["seed"])
    return Section(text("stats.samples"), Html(f'<div class="rows">{body.markup}</div>'), note)
