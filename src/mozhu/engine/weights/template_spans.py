"""Which ids of a text belong to an answer, proven from the ids of the whole text alone.

A tokenizer cuts a text at its added tokens first, and what stands between two of them is encoded for itself
(`tokenizers`, ``AddedVocabulary::extract_and_normalize``). So the ids of a prompt are those of the whole up to the
last added token before the border, and then those of the stretch between that token and the border, which is
encoded for itself (most often ``assistant\\n``, once for all rows) and compared. Where it differs, or where the added
tokens of the text and of the ids do not agree, nothing is claimed.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from mozhu.engine.weights.template_plan import Layout, Span

_BACKEND = "transformers.tokenization_utils_tokenizers"
_KEPT_CHARACTERS, _KEPT_STRETCHES = 64, 4096

# The added token that a stretch follows (its content; "" at the beginning of a text), and the stretch.
Stretch = tuple[str, str]


class Anchors(NamedTuple):
    """The added tokens of a text: where each ends, which it is, and its place among the ids."""

    ends: list[int]
    contents: list[str]
    places: list[int]


class SpanFinder:
    """Encodes whole texts and finds in their ids where answers begin and end.

    Args:
        tokenizer: As :func:`~mozhu.engine.weights.tokenizer.load_tokenizer` gives it.
        added: Ids that may end a turn.
    """

    def __init__(self, tokenizer: Any, added: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._raw = tokenizer.backend_tokenizer
        self._encode = getattr(self._raw, "encode_batch_fast", self._raw.encode_batch)
        self._added = frozenset(added)
        anchors = _anchors(self._raw)
        self._id_of = anchors
        self._anchor_ids = frozenset(anchors.values())
        self._pattern = re.compile("|".join(map(re.escape, sorted(anchors, key=len, reverse=True))))
        self._stretches: dict[Stretch, list[int]] = {}
        self._blank: dict[int, bool] = {}

    @staticmethod
    def supports(tokenizer: Any) -> bool:
        """Whether the tokenizer is transformers' plain wrapper of one that cuts at its added tokens."""
        wrapped = getattr(type(tokenizer), "_encode_plus", None)
        if getattr(wrapped, "__module__", "") != _BACKEND or tokenizer.split_special_tokens:
            return False
        if type(tokenizer).__call__.__module__ != "transformers.tokenization_utils_base":
            return False
        tokens = tokenizer.backend_tokenizer.get_added_tokens_decoder().values()
        return not any(token.single_word and not token.normalized for token in tokens)

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        """Ids of each text, as the tokenizer gives them; on all cores where `tokenizers` may use them."""
        if self._raw.truncation is not None:
            self._raw.no_truncation()
        if self._raw.padding is not None:
            self._raw.no_padding()
        if self._raw.encode_special_tokens:
            self._raw.encode_special_tokens = False
        return [one.ids for one in self._encode(list(texts), add_special_tokens=add_special_tokens)]

    def spans(self, layouts: Sequence[Layout], ids: Sequence[list[int]]) -> list[tuple[Span, ...] | None]:
        """For each layout the [start, end) of its answers among its ``ids``; ``None`` where it is not proven.

        The same as the mask of :meth:`Renderer.conversation_ids`.
        """
        anchored = [self._anchored(layout.text, own) for layout, own in zip(layouts, ids, strict=True)]
        stretches = [
            [_stretches(layout.text, anchors, span) for span in layout.spans] if anchors is not None else []
            for layout, anchors in zip(layouts, anchored, strict=True)
        ]
        known = self._encoded({one for row in stretches for pair in row for one in pair})
        found = []
        for layout, own, anchors, row in zip(layouts, ids, anchored, stretches, strict=True):
            found.append(None if anchors is None else self._proven(layout, own, anchors, row, known))
        return found

    def _anchored(self, text: str, ids: list[int]) -> Anchors | None:
        """The added tokens of ``text``; ``None`` where the ids do not have just these."""
        ends, contents = [], []
        for match in self._pattern.finditer(text) if self._anchor_ids else ():
            ends.append(match.end())
            contents.append(match.group())
        anchor_ids = self._anchor_ids
        places = [place for place, number in enumerate(ids) if number in anchor_ids]
        if [ids[place] for place in places] != [self._id_of[content] for content in contents]:
            return None
        return Anchors(ends, contents, places)

    def _proven(
        self,
        layout: Layout,
        ids: list[int],
        anchors: Anchors,
        stretches: list[tuple[Stretch, Stretch]],
        known: dict[Stretch, list[int] | None],
    ) -> tuple[Span, ...] | None:
        spans: list[Span] = []
        for (start, end), (first, second) in zip(layout.spans, stretches, strict=True):
            before = _length(ids, anchors, start, known[first])
            through = len(ids) if end == len(layout.text) else _length(ids, anchors, end, known[second])
            if before is None or through is None:
                return None
            last = self._turn_end(ids, before, through)
            if spans and spans[-1][1] == before < last:
                spans[-1] = (spans[-1][0], last)
            elif before < last:
                spans.append((before, last))
        return tuple(spans)

    def _turn_end(self, ids: list[int], start: int, end: int) -> int:
        """As :meth:`Renderer._turn_end`: past the last added token, when only blanks follow it."""
        for place in range(end - 1, start - 1, -1):
            number = ids[place]
            if number in self._added:
                return place + 1
            blank = self._blank.get(number)
            if blank is None:
                blank = self._blank[number] = not self._tokenizer.decode([number]).strip()
            if not blank:
                break
        return end

    def _encoded(self, wanted: set[Stretch]) -> dict[Stretch, list[int] | None]:
        """The ids of stretches, each for itself behind its added token; short ones are remembered."""
        known: dict[Stretch, list[int] | None] = {}
        missing = []
        for one in wanted:
            kept = self._stretches.get(one)
            if kept is None:
                missing.append(one)
            else:
                known[one] = kept
        if not missing:
            return known
        if len(self._stretches) > _KEPT_STRETCHES:
            self._stretches.clear()
        for (anchor, text), ids in zip(missing, self.encode([a + t for a, t in missing]), strict=True):
            if anchor and ids[:1] != [self._id_of[anchor]]:
                known[anchor, text] = None
                continue
            own = known[anchor, text] = ids[1:] if anchor else ids
            if len(text) <= _KEPT_CHARACTERS:
                self._stretches[anchor, text] = own
        return known


def _anchors(raw: Any) -> dict[str, int]:
    """Added tokens that are looked for in the text as it is, before anything else, by content."""
    tokens = raw.get_added_tokens_decoder()
    return {
        token.content: number for number, token in tokens.items() if not token.normalized and token.content
    }


def _stretches(text: str, anchors: Anchors, span: Span) -> tuple[Stretch, Stretch]:
    return _stretch(text, anchors, span[0]), _stretch(text, anchors, span[1])


def _stretch(text: str, anchors: Anchors, border: int) -> Stretch:
    """From the last added token before ``border`` up to it."""
    count = bisect_right(anchors.ends, border)
    if not count:
        return "", text[:border]
    return anchors.contents[count - 1], text[anchors.ends[count - 1] : border]


def _length(ids: list[int], anchors: Anchors, border: int, stretch: list[int] | None) -> int | None:
    """How many ids the text up to ``border`` has, when they are the first ones of ``ids``."""
    count = bisect_right(anchors.ends, border)
    start = anchors.places[count - 1] + 1 if count else 0
    end = start + len(stretch) if stretch is not None else 0
    return end if stretch is not None and ids[start:end] == stretch else None
