"""Texts to ids on the quickest way that gives the ids of `tokenizers`, and is compared with it as it goes.

The first texts are encoded by `tokenizers`; when there are so many that another encoder pays, :class:`ByteBpe` is
tried on the first of them. Later every thousandth text is encoded by both. ``MOZHU_FAST_TOKENS=0`` leaves everything
to `tokenizers`, as does a tokenizer that is not of the kind, or that `tiktoken` is not installed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mozhu.kernel.errors import EncodersDisagree

if TYPE_CHECKING:
    from mozhu.engine.weights.byte_bpe import ByteBpe

_PROBED = 200
_COMPARED_EVERY = 1000
_FEWEST, _VOCABULARY_SHARE = 512, 16
_PROBES = (
    "",
    " ",
    "The quick brown fox didn't jump over 1,234,567 lazy dogs.\r\n\r\n\tAnd   then?  ",
    "I'LL we'Ve it'S 'ſ ’s don't\u00a0stop\u3000now\u2028next",
    "你好，世界！今天是２０２６年11月29日。　全角空格…——“引号”",
    "def f(x):\n    return x**2  # 平方\n\n\n",
    "👩‍👩‍👧‍👦🇨🇳 café naïve Ǆ ß ﬁ Å 가각 ٣٤ १२ ⅷ ²",
    "a" * 300 + " " * 300 + "哈" * 200 + "\n" * 50,
)
_refused = False


class QuickEncoding:
    """Encodes by `tiktoken` what it encodes like ``raw``, everything else by ``raw``.

    Args:
        raw: A ``tokenizers.Tokenizer`` that neither cuts nor pads.
        after: After how many texts the other encoder is tried; by default as many as pay for building it.
    """

    def __init__(self, raw: Any, after: int | None = None) -> None:
        self._raw = raw
        self._slowly = getattr(raw, "encode_batch_fast", raw.encode_batch)
        self._after = max(_FEWEST, raw.get_vocab_size() // _VOCABULARY_SHARE) if after is None else after
        self._first: list[str] = []
        self._seen = self._until = 0
        self._ends: tuple[list[int], list[int]] | None = None
        self.tried = _refused or os.environ.get("MOZHU_FAST_TOKENS") == "0"
        self.quick: ByteBpe | None = None

    def encode(self, texts: Sequence[str], *, add_special_tokens: bool = False) -> list[list[int]]:
        """The ids of each text.

        Raises:
            EncodersDisagree: MODEL-015, the two gave different ids; from then on this process uses `tokenizers`.
        """
        self._seen += len(texts)
        if not self.tried:
            self._first += texts[: _PROBED - len(self._first)]
            if self._seen > self._after:
                self._try()
        if self.quick is None or (add_special_tokens and self._ends is None):
            return self._by_raw(texts, add_special_tokens)
        found = self.quick.encode(texts)
        left = [text for text, ids in zip(texts, found, strict=True) if ids is None]
        slow = iter(self._by_raw(left, False)) if left else iter(())
        ids = [own if own is not None else next(slow) for own in found]
        self._compare(texts, ids)
        before, behind = self._ends if add_special_tokens and self._ends else ([], [])
        return [before + own + behind for own in ids] if before or behind else ids

    def _try(self) -> None:
        self.tried = True
        try:
            quick: ByteBpe = import_module("mozhu.engine.weights.byte_bpe").ByteBpe(self._raw)
        except (ImportError, KeyError, TypeError, ValueError):  # not installed, or not of the kind
            self._first = []
            return
        probes = [*_PROBES, *self._first]
        self._first = []
        pairs = zip(quick.encode(probes), self._by_raw(probes, False), strict=True)
        if all(ids is None or ids == wanted for ids, wanted in pairs):
            self._ends = _added_ends(self._raw)
            self.quick = quick

    def _compare(self, texts: Sequence[str], ids: Sequence[list[int]]) -> None:
        """A text in a thousand is encoded by both."""
        place = self._until
        while place < len(texts):
            if self._by_raw([texts[place]], False) != [ids[place]]:
                global _refused
                _refused = True
                self.quick = None
                raise EncodersDisagree(text=texts[place][:80])
            place += _COMPARED_EVERY
        self._until = place - len(texts)

    def _by_raw(self, texts: Sequence[str], special: bool) -> list[list[int]]:
        return [one.ids for one in self._slowly(list(texts), add_special_tokens=special)]


def _added_ends(raw: Any) -> tuple[list[int], list[int]] | None:
    """What the tokenizer puts before and behind every text; ``None`` where that depends on the text."""
    found = []
    for text in ("a", "b c"):
        plain = raw.encode(text, add_special_tokens=False).ids
        whole = raw.encode(text, add_special_tokens=True).ids
        at = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), None)
        if at is None:
            return None
        found.append((whole[:at], whole[at + len(plain) :]))
    kind = type(raw.post_processor).__name__
    simple = kind in {"NoneType", "ByteLevel", "TemplateProcessing", "Sequence"}
    return found[0] if simple and found[0] == found[1] else None
