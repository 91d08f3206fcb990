"""From counts to what is told: percentiles, histograms, shares, the most frequent values, masked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mozhu.engine.data.rows import excerpt
from mozhu.engine.data.statistics.frequent import Frequent
from mozhu.engine.data.statistics.kept import Place
from mozhu.engine.data.statistics.languages import LANGUAGES
from mozhu.engine.data.statistics.lengths import Lengths
from mozhu.engine.data.statistics.masking import without_private
from mozhu.engine.data.statistics.measured import LIMITS, TokenCounts
from mozhu.engine.data.statistics.padding import BATCH_SIZES, packing, padding
from mozhu.engine.data.statistics.part import End, PartCounts
from mozhu.engine.data.statistics.record import (
    Counted,
    Extras,
    Fit,
    Labels,
    Pairs,
    PartStatistics,
    Reason,
    RowLength,
    Spread,
    Tokens,
    Turns,
    Values,
)
from mozhu.kernel.texts import text

_TOP = 15
_TOP_LABELS = 200


def part_statistics(counts: PartCounts, *, batch_size: int, most: int) -> PartStatistics:
    """What ``counts`` say; ``most`` rows of each end are named."""
    return PartStatistics(
        rows=counts.rows,
        rejected=counts.rejected.total(),
        rejected_reasons=_rejected(counts),
        sources=counts.sources,
        kinds=dict(counts.kinds.most_common()),
        shapes=dict(counts.shapes.most_common()),
        characters={name: spread(lengths) for name, lengths in counts.characters.items()},
        turns=_turns(counts),
        extras=_extras(counts),
        languages={name: counts.languages[name] for name in LANGUAGES if counts.languages[name]},
        answers_in_another_language=counts.other_language,
        first_words=values(counts.first_words),
        labels=[_labels(kind, found) for kind, found in sorted(counts.labels.items())],
        pairs=_pairs(counts),
        tokens=_tokens(counts.tokens, batch_size) if counts.tokens else None,
        longest=[_end(end) for end in counts.longest.items()[:most]],
        shortest=[_end(end) for end in counts.shortest.items()[:most]],
    )


def spread(lengths: Lengths) -> Spread:
    return Spread(lengths.summary(), lengths.histogram())


def values(found: Frequent, most: int = _TOP) -> Values:
    """The most frequent values, private data in them hidden, long ones shortened."""
    top = [Counted(excerpt(without_private(value)), count) for value, count in found.top(most)]
    return Values(found.different, found.exact, top)


def _rejected(counts: PartCounts) -> list[Reason]:
    told = []
    for (code, field), count in counts.rejected.most_common():
        row = counts.first_rejected[code, field]
        reason = text(f"data.{code}.what", **row.params)
        told.append(Reason(code, field, count, reason, f"{row.file}:{row.line}"))
    return told


def _turns(counts: PartCounts) -> Turns:
    found = counts.turns
    ordered = {str(turns): count for turns, count in sorted(found.counts.items())}
    mean = round(found.total / found.count, 2) if found.count else 0.0
    return Turns(ordered, mean, max(found.counts, default=0), counts.messages.summary())


def _extras(counts: PartCounts) -> Extras:
    having = counts.having
    return Extras(
        system=having["system"],
        system_prompts=values(counts.system_prompts),
        tools=having["tools"],
        tool_names=values(counts.tools),
        calls=having["calls"],
        called_names=values(counts.calls),
        images=having["images"],
        images_total=having["images_total"],
    )


def _labels(kind: str, found: Frequent) -> Labels:
    rarest = min(found.counts.values())
    imbalance = round(max(found.counts.values()) / rarest, 2) if len(found.counts) > 1 else None
    return Labels(kind, values(found, _TOP_LABELS), imbalance)


def _pairs(counts: PartCounts) -> Pairs | None:
    if not counts.chosen.counts:
        return None
    tokens, both = counts.tokens, Lengths()
    both.update(counts.chosen)
    both.update(counts.rejected_answers)
    bins = both.histogram()
    return Pairs(
        rows=counts.chosen.count,
        chosen=Spread(counts.chosen.summary(), counts.chosen.binned(bins)),
        rejected=Spread(counts.rejected_answers.summary(), counts.rejected_answers.binned(bins)),
        chosen_longer=counts.longer["chosen"],
        rejected_longer=counts.longer["rejected"],
        equal=counts.longer["equal"],
        ratio=_ratio(counts.chosen.total, counts.rejected_answers.total),
        chosen_tokens=tokens.chosen.summary() if tokens else None,
        rejected_tokens=tokens.rejected.summary() if tokens else None,
    )


def _tokens(counts: TokenCounts, batch_size: int) -> Tokens:
    limit, lengths = counts.max_length, counts.all
    sizes = sorted({*BATCH_SIZES, batch_size})
    return Tokens(
        max_length=limit,
        rows=counts.rows,
        examples=lengths.count,
        lengths=spread(lengths),
        trained=spread(counts.answers),
        over=lengths.count - lengths.at_most(limit),
        rows_over=counts.rows_over,
        lost=counts.lost,
        trained_total=counts.trained,
        trained_lost=counts.trained_lost,
        dropped=counts.dropped,
        kept_tokens=counts.kept.total,
        kept_trained=counts.trained_kept,
        trained_share=_ratio(counts.trained_kept, counts.learning_kept),
        fits=_fits(counts),
        padding=[found for size in sizes if (found := padding(counts.kept, size))],
        packing=packing(counts.kept, limit),
        not_measured=_refused(counts),
    )


def _fits(counts: TokenCounts) -> list[Fit]:
    """What the usual cut-offs and the one asked for keep, up to the first under which everything fits."""
    lengths, count, total = counts.all, counts.all.count, counts.all.total
    if not count:
        return []
    trained = {
        **{limit: counts.trained_under[limit] for limit in LIMITS},
        counts.max_length: counts.trained_within,
    }
    longest = max(lengths.counts)
    shortest = min(lengths.counts)
    enough = next((limit for limit in LIMITS if limit >= longest), LIMITS[-1])
    wanted = {limit for limit in LIMITS if shortest <= limit <= enough}
    fits = []
    for limit in sorted({*wanted, counts.max_length}):
        within = lengths.at_most(limit)
        share = _ratio(trained[limit], counts.trained)
        kept = _ratio(lengths.cut(limit).total, total) or 0.0
        fits.append(Fit(limit, within, round(within / count, 4), kept, share))
    return fits


def _refused(counts: TokenCounts) -> list[Reason]:
    told = []
    for code, count in counts.refused.most_common():
        place, reason = counts.first_refused[code]
        told.append(Reason(code, "", count, reason or text(f"stats.refused.{code}"), _where(place)))
    return told


def _end(end: End) -> RowLength:
    place, shown = end.place, excerpt(without_private(end.excerpt))
    return RowLength(place.part, place.row_id, place.file, place.line, end.characters, end.tokens, shown)


def _where(place: Place) -> str:
    return f"{place.file}:{place.line}"


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def source_json(sources: Sequence[Any]) -> list[dict[str, Any]]:
    """What was read, without what was guessed from it."""
    return [{name: value for name, value in vars(source).items() if name != "guess"} for source in sources]
