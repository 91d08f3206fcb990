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
from collections.abc import Iterable, Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from mozhu.engine.weights.quick_encoding import QuickEncoding
from mozhu.engine.weights.template_plan import Layout, Span

_BACKEND = "transformers.tokenization_utils_tokenizers"
_KEPT_CHARACTERS, _KEPT_STRETCHES = 64, 4096

# The added token that a stretch follows (its content; "" at the beginning of a text), and the stretch.
Stretch = tuple[str, str]
# The place of the first id after that token, and the stretch.
Border = tuple[int, Stretch]


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
        self._quick = QuickEncoding(self._raw)
        self._added = frozenset(added)
        anchors = _anchors(self._raw)
        self._id_of = anchors
        self._anchor_ids = frozenset(anchors.values())
        self._pattern = re.compile("|".join(map(re.escape, sorted(anchors, key=len, reverse=True))))
        self._stretches: dict[Stretch, list[int] | None] = {}
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
        return self._quick.encode(texts, add_special_tokens=add_special_tokens)

    def spans(self, layouts: Sequence[Layout], ids: Sequence[list[int]]) -> list[tuple[Span, ...] | None]:
        """For each layout the [start, end) of its answers among its ``ids``; ``None`` where it is not proven.

        The same as the mask of :meth:`Renderer.conversation_ids`.
        """
        bordered = [self._borders(layout, own) for layout, own in zip(layouts, ids, strict=True)]
        kept = self._stretches
        missing = {one[1] for row in bordered if row for one in row if one is not None and one[1] not in kept}
        known = self._encoded(missing) if missing else kept
        return [
            None if borders is None else self._proven(own, borders, known)
            for own, borders in zip(ids, bordered, strict=True)
        ]

    def _borders(self, layout: Layout, ids: list[int]) -> list[Border | None] | None:
        """Start and end of every answer, one after the other; ``None`` is the end of the text.

        Nothing at all where the ids do not have just the added tokens of the text.
        """
        text, anchors = layout.text, self._anchored(layout.text, ids)
        if anchors is None:
            return None
        ends, contents, places = anchors
        found: list[Border | None] = []
        for span in layout.spans:
            for border in span:
                count = bisect_right(ends, border) - 1
                if border == len(text):
                    found.append(None)
                elif count < 0:
                    found.append((0, ("", text[:border])))
                else:
                    found.append((places[count] + 1, (contents[count], text[ends[count] : border])))
        return found

    def _anchored(self, text: str, ids: list[int]) -> Anchors | None:
        """The added tokens of ``text``; ``None`` where the ids do not have just these."""
        matches = list(self._pattern.finditer(text)) if self._anchor_ids else []
        contents = [match.group() for match in matches]
        places = list(compress(range(len(ids)), map(self._anchor_ids.__contains__, ids)))
        if [ids[place] for place in places] != [self._id_of[content] for content in contents]:
            return None
        return Anchors([match.end() for match in matches], contents, places)

    def _proven(
        self, ids: list[int], borders: list[Border | None], known: Mapping[Stretch, list[int] | None]
    ) -> tuple[Span, ...] | None:
        spans: list[Span] = []
        for at in range(0, len(borders), 2):
            before, through = _length(ids, borders[at], known), _length(ids, borders[at + 1], known)
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

    def _encoded(self, missing: set[Stretch]) -> dict[Stretch, list[int] | None]:
        """The ids of stretches beside those that are kept, each for itself behind its added token.

        Short ones are kept: a template writes the same before every answer.
        """
        known: dict[Stretch, list[int] | None] = {}
        wanted = list(missing)
        for (anchor, text), ids in zip(wanted, self.encode([a + t for a, t in wanted]), strict=True):
            stands = not anchor or ids[:1] == [self._id_of[anchor]]
            known[anchor, text] = (ids[1:] if anchor else ids) if stands else None
        short = {one: ids for one, ids in known.items() if len(one[1]) <= _KEPT_CHARACTERS}
        everything = {**self._stretches, **known}
        full = len(self._stretches) + len(short) > _KEPT_STRETCHES
        self._stretches = short if full else {**self._stretches, **short}
        return everything


def _anchors(raw: Any) -> dict[str, int]:
    """Added tokens that are looked for in the text as it is, before anything else, by content."""
    tokens = raw.get_added_tokens_decoder()
    return {
        token.content: number for number, token in tokens.items() if not token.normalized and token.content
    }


def _length(ids: list[int], border: Border | None, known: Mapping[Stretch, list[int] | None]) -> int | None:
    """How many ids the text up to ``border`` has, when they are the first ones of ``ids``."""
    if border is None:
        return len(ids)
    start, stretch = border[0], known[border[1]]
    if stretch is None:
        return None
    end = start + len(stretch)
    return end if ids[start:end] == stretch else None
