"""Byte-level BPE by `tiktoken`, for the tokenizers whose ids it provably gives, in less than half the time.

`tokenizers` merges the pair that stands first in a list, `tiktoken` the two neighbours whose joined bytes have the
lowest rank. Both are the same where a token is joined from one pair only: from the pair that its own bytes fall into
when no later merge is applied. That is checked for every token of the vocabulary (:func:`_ranks`); a tokenizer for
which it does not hold, or that does anything else that is not listed here, is left to `tokenizers`.

Both cut a text into words by the same expression, with different engines. Their letters, digits and blanks are
compared for every character before it is used (:class:`_Characters`); a text with a character on which they do not
agree, or that is not in normal form C, is left to `tokenizers` too.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy
import tiktoken
from tokenizers import Regex
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import Split

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_SHARED = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{0}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2, LLAMA3 = _SHARED.format(""), _SHARED.format("{1,3}")
# Each of them takes up every character, so what stands between two matches is nothing.
_PATTERNS = frozenset({GPT2, QWEN2, LLAMA3})
_CLASSES = (r"\p{L}", r"\p{N}", r"\s", r"(?i:[sdmtlrev])")
_SEPARATOR = "\x00\x1emozhu\x1e\x00"
_LONGEST = 100_000
_UNKNOWN, _SAFE, _UNSAFE = 0, 1, 2
_CODE_POINTS = 0x110000
# `tokenizers` writes each byte as one letter: the printable ones of Latin-1 as themselves (GPT-2's bytes_to_unicode).
_PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))


class NotEligible(ValueError):
    """Why a tokenizer is left to `tokenizers`. Not for people."""


class ByteBpe:
    """The ids of texts, or ``None`` for each one that is to be encoded by `tokenizers`.

    Args:
        raw: A ``tokenizers.Tokenizer``.

    Raises:
        NotEligible: It is not of the kind that is reproduced.
    """

    def __init__(self, raw: Any) -> None:
        told = json.loads(raw.to_str())
        pattern = _pattern(told)
        added = _added(raw, told)
        ranks, ids = _ranks(told["model"], set(added))
        special = {content: len(ids) + at for at, content in enumerate(added)}
        self._separator = len(ids) + len(added)
        special[_SEPARATOR] = self._separator
        self._encoding = tiktoken.Encoding(
            "mozhu", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
        )
        self._ids = numpy.array([*ids, *added.values(), -1], dtype=numpy.int32)
        self._characters = _Characters()

    def encode(self, texts: Sequence[str]) -> list[list[int] | None]:
        """One call for all texts, between separators: Python's lock is given up once, not once a text."""
        chosen = texts if self._serves(texts) else [text for text in texts if self._serves([text])]
        found = iter(self._encoded(chosen) if chosen else ())
        if len(chosen) == len(texts):
            return list(found)
        served = [self._serves([text]) for text in texts]
        return [next(found) if own else None for own in served]

    def _serves(self, texts: Sequence[str]) -> bool:
        if max(map(len, texts), default=0) > _LONGEST:
            return False
        joined = "\n".join(texts)
        return (
            _SEPARATOR not in joined
            and unicodedata.is_normalized("NFC", joined)
            and self._characters.agree(joined)
        )

    def _encoded(self, texts: Sequence[str]) -> list[list[int]]:
        ranks = self._encoding.encode_to_numpy(
            _SEPARATOR.join(texts), allowed_special="all", disallowed_special=()
        )
        ends = numpy.flatnonzero(ranks == self._separator).tolist()
        ids = self._ids[ranks].tolist()
        starts = [0, *(end + 1 for end in ends)]
        return [ids[start:end] for start, end in zip(starts, [*ends, len(ids)], strict=True)]


class _Characters:
    """Whether both engines of regular expressions see the same letters, digits and blanks in a text.

    A character that this Python does not know is not safe: what it composes with is not known either.
    """

    def __init__(self) -> None:
        self._state = numpy.zeros(_CODE_POINTS, dtype=numpy.uint8)
        one_each = {bytes([number]): number for number in range(256)}
        self._pairs = [
            (
                tiktoken.Encoding(name, pat_str=name, mergeable_ranks=one_each, special_tokens={}),
                Split(Regex(name), "removed", invert=True),
            )
            for name in _CLASSES
        ]

    def agree(self, text: str) -> bool:
        codes = numpy.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=numpy.uint32)
        states = self._state[codes]
        if (states == _UNKNOWN).any():
            self._learn(numpy.unique(codes[states == _UNKNOWN]).tolist())
            states = self._state[codes]
        return not (states == _UNSAFE).any()

    def _learn(self, codes: list[int]) -> None:
        known = [code for code in codes if unicodedata.category(chr(code)) not in {"Cn", "Cs"}]
        text = "".join(map(chr, known))
        safe = set(text)
        for theirs, split in self._pairs:
            one = theirs.decode(theirs.encode_ordinary(text))
            other = "".join(piece for piece, _ in split.pre_tokenize_str(text))
            safe -= set(one) ^ set(other)
        # Another thread may be reading: a character is never safe for a moment only.
        self._state[[code for code in codes if chr(code) not in safe]] = _UNSAFE
        self._state[[ord(character) for character in safe]] = _SAFE


class Ranks(NamedTuple):
    """Bytes -> rank for `tiktoken`, and for each rank the id of the vocabulary."""

    ranks: dict[bytes, int]
    ids: list[int]


def _pattern(told: dict[str, Any]) -> str:
    """The expression that cuts words, of a tokenizer that does nothing else before it merges."""
    normal = told["normalizer"]
    if normal is not None and not all(one == {"type": "NFC"} for one in _steps(normal, "normalizers")):
        raise NotEligible("normalizer")
    if told["pre_tokenizer"] is None:
        raise NotEligible("pre_tokenizer")
    steps = _steps(told["pre_tokenizer"], "pretokenizers")
    last = steps[-1]
    if last["type"] != "ByteLevel" or last["add_prefix_space"]:
        raise NotEligible("pre_tokenizer")
    if len(steps) == 1 and last["use_regex"]:
        return GPT2
    if len(steps) != 2 or steps[0]["type"] != "Split" or last["use_regex"]:
        raise NotEligible("pre_tokenizer")
    split = steps[0]
    pattern = split["pattern"].get("Regex")
    whole = (split["behavior"], split["invert"]) in {("Isolated", False), ("Removed", True)}
    if pattern not in _PATTERNS or not whole:
        raise NotEligible("pattern")
    return str(pattern)


def _steps(part: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return list(part[name]) if part["type"] == "Sequence" else [part]


def _added(raw: Any, told: dict[str, Any]) -> dict[str, int]:
    """Added tokens by content: taken as they stand, none the beginning of another."""
    tokens = raw.get_added_tokens_decoder()
    contents = sorted(token.content for token in tokens.values())
    if any(token.lstrip or token.rstrip or token.single_word for token in tokens.values()):
        raise NotEligible("added tokens that take blanks")
    normalized = {bool(token.normalized) for token in tokens.values()}
    if len(normalized) > 1 or (True in normalized and told["normalizer"] is not None):
        raise NotEligible("added tokens that are normalized")
    if "" in contents or any(b.startswith(a) for a, b in zip(contents, contents[1:], strict=False)):
        raise NotEligible("added tokens that begin alike")
    return {token.content: number for number, token in tokens.items()}


def _ranks(model: dict[str, Any], added: set[str]) -> Ranks:
    """The order of merges as ranks, where every token is reached from its own bytes by earlier merges alone.

    Several pairs may make one token when they stand together in the list (Llama 3 lists every way to cut a token).
    Those with a part that is made later than the token cannot meet; without them every merge uses earlier tokens
    only, so the merges of a text go up in rank, and what a token's bytes have become when its own turn comes is the
    same wherever they stand. `tokenizers` itself, given these merges alone, must then make each token whole.
    """
    odd = (model.get("dropout"), model.get("continuing_subword_prefix"), model.get("end_of_word_suffix"))
    if model["type"] != "BPE" or any(odd) or model.get("byte_fallback"):
        raise NotEligible("model")
    letters, vocab = _letters(), model["vocab"]
    if not letters.keys() <= vocab.keys():
        raise NotEligible("a byte is missing")
    order = {letter: at for at, letter in enumerate(letters)}
    merges: list[tuple[str, str]] = []
    ready: set[str] = set(letters)
    newest = ""
    for merge in model["merges"]:
        first, second = merge.split(" ") if isinstance(merge, str) else merge
        token = first + second
        if token != newest:
            if token in order:
                raise NotEligible("a token is made at two places")
            ready.add(newest)
            newest = token
            order[token] = len(order)
        if first in ready and second in ready:
            merges.append((first, second))
    if model.get("ignore_merges") and vocab.keys() - order.keys() - added:
        raise NotEligible("tokens without a merge")
    if added & order.keys():
        raise NotEligible("an added token that is merged")
    alone = BPE(vocab, merges)
    for token in order:
        if len(alone.tokenize(token)) != 1:
            raise NotEligible("a token that its bytes do not give")
    ranks = {bytes(map(letters.__getitem__, token)): rank for token, rank in order.items()}
    return Ranks(ranks, [vocab[token] for token in order])


def _letters() -> dict[str, int]:
    others: Iterable[int] = (number for number in range(256) if number not in _PRINTABLE)
    return {chr(number): number for number in _PRINTABLE} | {
        chr(256 + at): number for at, number in enumerate(others)
    }
