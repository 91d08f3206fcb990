"""The quick encoder gives the ids of `tokenizers`, or stands aside."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytest.importorskip("tiktoken", reason="the quick encoder is tiktoken")

from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from mozhu.engine.weights import byte_bpe, quick_encoding
from mozhu.engine.weights.byte_bpe import LLAMA3, QWEN2, ByteBpe, NotEligible
from mozhu.engine.weights.quick_encoding import QuickEncoding
from mozhu.engine.weights.template_plan import Layout
from mozhu.engine.weights.template_spans import SpanFinder
from mozhu.kernel.errors import EncodersDisagree
from mozhu.testing.rows import SENTENCES
from mozhu.testing.tiny_tokenizers import make_tiny_tokenizer

_ADDED = ["<|im_start|>", "<|im_end|>", "<think>"]
_CORPUS = [
    *SENTENCES,
    *(
        "It's they'll WE'VE 1234 5678 90 aaaa aaaaaaaa  \n\n  \t\r\n 中文字符，中文。中文！ naïve café éé 👍🏽 !"
        for _ in range(5)
    ),
]
_PIECES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            *_ADDED,
            "<|im_",
            "'S",
            "'ſ",
            "don't",
            "a" * 120,
            "aaaa",
            " " * 130,
            "\r\n",
            "\n \n",
            "\t",
            "\u00a0",
            "\u3000",
        ]
    ),
    st.sampled_from(
        [
            "中文",
            "字符，",
            "１２",
            "1234567",
            "é",
            "e\u0301",
            "\u1100\u1161",
            "가",
            "Å",
            "👩‍👩‍👧",
            "🇨🇳",
            "\u200d",
            "\ufeff",
            "ǅ",
            "\u085f",
        ]
    ),
    st.text(st.characters(categories=["Zs", "Cc", "Nd", "Nl", "No", "Lm", "Mn", "Pd"]), max_size=6),
)
TEXTS = st.lists(st.lists(_PIECES, max_size=8).map("".join), min_size=1, max_size=6)


def _made(kind: str) -> Tokenizer:
    built = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "gpt2")
    if kind == "gpt2":
        built.pre_tokenizer = byte_level
    else:
        split = pre_tokenizers.Split(Regex(QWEN2 if kind == "qwen2" else LLAMA3), behavior="isolated")
        built.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    if kind == "qwen2":
        built.normalizer = normalizers.NFC()
    built.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    built.train_from_iterator(
        _CORPUS, trainers.BpeTrainer(vocab_size=520, initial_alphabet=alphabet, show_progress=False)
    )
    built.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in _ADDED])
    if kind == "llama3":
        bos = ("<|im_start|>", built.token_to_id("<|im_start|>"))
        built.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", pair="<|im_start|> $A $B", special_tokens=[bos]
        )
        return _changed(built, _every_cut)
    return built


def _every_cut(told: dict[str, Any]) -> None:
    """Llama 3's own file lists every way to cut a token, and looks whole words up first."""
    model = told["model"]
    vocab, merges = model["vocab"], []
    for first, second in model["merges"]:
        token = first + second
        cuts = ((token[:at], token[at:]) for at in range(1, len(token)))
        merges += [list(cut) for cut in cuts if cut[0] in vocab and cut[1] in vocab]
    model["merges"], model["ignore_merges"] = merges, True


def _changed(tokenizer: Tokenizer, change: Any) -> Tokenizer:
    told = json.loads(tokenizer.to_str())
    change(told)
    return Tokenizer.from_str(json.dumps(told))


KINDS = ("qwen2", "llama3", "gpt2")
MADE = {kind: _made(kind) for kind in KINDS}
QUICK = {kind: ByteBpe(raw) for kind, raw in MADE.items()}


def _slow(raw: Tokenizer, texts: list[str], special: bool = False) -> list[list[int]]:
    return [one.ids for one in raw.encode_batch(texts, add_special_tokens=special)]


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(texts=TEXTS)
def test_every_text_has_the_ids_of_the_tokenizer(kind: str, texts: list[str]) -> None:
    pairs = zip(QUICK[kind].encode(texts), _slow(MADE[kind], texts), strict=True)
    assert all(own is None or own == wanted for own, wanted in pairs)
    encoding = QuickEncoding(MADE[kind], after=0)
    assert encoding.encode(texts) == _slow(MADE[kind], texts)
    assert encoding.quick is not None
    assert encoding.encode(texts, add_special_tokens=True) == _slow(MADE[kind], texts, True)


@pytest.mark.parametrize("kind", ["llama3"])
def test_every_assigned_character_is_served_alike(kind: str) -> None:
    """Each in several neighbourhoods; nearly all of them are served by the quick encoder itself."""
    codes = [code for code in range(0x20, 0x30000, 29) if not 0xD800 <= code < 0xE000]
    texts = [f"a{c}b {c}{c} 1{c}2!{c}'{c} \n{c}\n" for c in map(chr, codes)]
    found = QUICK[kind].encode(texts)
    assert all(
        own is None or own == wanted for own, wanted in zip(found, _slow(MADE[kind], texts), strict=True)
    )
    ordinary = QUICK[kind].encode(["plain text", "中文，字符。", "<|im_start|>user\nIt's 12345!<|im_end|>\n"])
    assert None not in ordinary


def test_texts_that_are_not_served() -> None:
    texts = ["e\u0301", "fine", "\u0378", byte_bpe._SEPARATOR, "x" * 100_001]
    served = [own is not None for own in QUICK["qwen2"].encode(texts)]
    assert served == [False, True, False, False, False]


@settings(max_examples=25, deadline=None)
@given(turns=st.lists(_PIECES, min_size=2, max_size=6))
def test_spans_are_those_of_the_tokenizer(turns: list[str]) -> None:
    tokenizer = make_tiny_tokenizer("bpe")
    pieces, spans, at = [], [], 0
    for number, content in enumerate(turns):
        start = f"<|im_start|>{'assistant' if number % 2 else 'user'}\n"
        pieces += [start, content, "<|im_end|>\n"]
        if number % 2:
            spans.append((at + len(start), at + len(start) + len(content) + len("<|im_end|>\n")))
        at += sum(map(len, pieces[-3:]))
    layouts = [Layout("".join(pieces), tuple(spans))]
    results = []
    for after in (0, 1 << 40):
        finder = SpanFinder(tokenizer, tokenizer.get_added_vocab().values())
        finder._quick = QuickEncoding(tokenizer.backend_tokenizer, after=after)
        ids = finder.encode([layouts[0].text])
        results.append((ids, finder.spans(layouts, ids), finder._quick.quick is not None))
    (ids, found, quick), (wanted_ids, wanted, slow) = results
    assert (quick, slow) == (True, False)
    assert (ids, found) == (wanted_ids, wanted)


def _permuted(told: dict[str, Any]) -> None:
    told["model"]["merges"].reverse()


def _two_ways(told: dict[str, Any]) -> None:
    merges = told["model"]["merges"]
    first = next(
        pair for pair in merges if len(pair[0]) > 1 and pair[0][1:] + pair[1] in told["model"]["vocab"]
    )
    merges.append([first[0][0], first[0][1:] + first[1]])


def _dropout(told: dict[str, Any]) -> None:
    told["model"]["dropout"] = 0.1


def _other_pattern(told: dict[str, Any]) -> None:
    told["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\p{Han}+|\P{Han}+"


def _lower_case(told: dict[str, Any]) -> None:
    told["normalizer"] = {"type": "Lowercase"}


def _takes_blanks(told: dict[str, Any]) -> None:
    told["added_tokens"][0]["lstrip"] = True


def _prefix_space(told: dict[str, Any]) -> None:
    told["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True


@pytest.mark.parametrize(
    "change", [_permuted, _two_ways, _dropout, _other_pattern, _lower_case, _takes_blanks, _prefix_space]
)
def test_a_tokenizer_of_another_kind_is_left_alone(change: Any) -> None:
    raw = _changed(MADE["qwen2"], change)
    with pytest.raises(NotEligible):
        ByteBpe(raw)
    encoding = QuickEncoding(raw, after=0)
    encoding.encode(["one two"])
    assert encoding.tried
    assert encoding.quick is None


def test_a_sentencepiece_tokenizer_is_left_alone() -> None:
    with pytest.raises(NotEligible):
        ByteBpe(make_tiny_tokenizer("sentencepiece").backend_tokenizer)


def test_an_encoder_that_differs_on_the_first_texts_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ByteBpe, "encode", lambda self, texts: [[1]] * len(texts))
    encoding = QuickEncoding(MADE["gpt2"], after=0)
    assert encoding.encode(["one two"]) == _slow(MADE["gpt2"], ["one two"])
    assert encoding.quick is None


def test_a_difference_found_later_is_told_and_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick_encoding, "_refused", False)
    encoding = QuickEncoding(MADE["gpt2"], after=0)
    texts = [f"row {number}" for number in range(1001)]
    encoding.encode(texts)
    monkeypatch.setattr(ByteBpe, "encode", lambda self, texts: [[1]] * len(texts))
    with pytest.raises(EncodersDisagree):
        encoding.encode(texts)
    assert encoding.encode(texts) == _slow(MADE["gpt2"], texts)
    assert QuickEncoding(MADE["gpt2"], after=0).tried


def test_it_can_be_switched_off_and_is_not_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOZHU_FAST_TOKENS", "0")
    assert QuickEncoding(MADE["gpt2"], after=0).tried
    monkeypatch.delenv("MOZHU_FAST_TOKENS")
    monkeypatch.setitem(sys.modules, "mozhu.engine.weights.byte_bpe", None)
    encoding = QuickEncoding(MADE["gpt2"], after=0)
    assert encoding.encode(["a b"]) == _slow(MADE["gpt2"], ["a b"])
    assert encoding.quick is None
