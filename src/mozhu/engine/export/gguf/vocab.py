"""The tokenizer of a model folder as GGUF keys: tokens, types, merges or scores, special ids, chat
template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf
from tokenizers import Tokenizer

from mozhu.engine.export.gguf.pretokenizers import KNOWN, pre_tokenizer_name, shown
from mozhu.engine.export.gguf.stops import Stops, find_stops
from mozhu.engine.weights.token_files import read_special_tokens, read_template
from mozhu.kernel.errors import UnsupportedTokenizer
from mozhu.kernel.files import read_json
from mozhu.kernel.texts import text

Kind = gguf.TokenType
_BYTE = re.compile(r"^<0x[0-9A-F]{2}>$")
_BLANK = "\u2581"  # SentencePiece's visible space


@dataclass
class Vocab:
    """``model`` is ``gpt2`` (byte-level BPE) or ``llama`` (SentencePiece style). Ids index all lists."""

    model: str
    tokens: list[str]
    kinds: list[Kind]
    stops: Stops
    pre: str = "default"
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    add_space_prefix: bool | None = None
    add_bos: bool = False
    add_eos: bool = False
    bos: int | None = None
    pad: int | None = None
    unk: int | None = None
    template: str | None = None


def read_vocab(folder: Path, config: dict[str, Any], rows: int) -> Vocab:
    """The tokenizer in ``folder``; ``rows`` of the embedding beyond its tokens are filled with unused ones.

    Raises:
        UnsupportedTokenizer: EXPORT-010, saying what llama.cpp has no name for.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        _refuse(folder, text("export.reason.no_tokenizer"))
    table = read_json(path)
    model = table["model"]
    if model.get("type", "BPE") != "BPE":
        _refuse(folder, text("export.reason.tokenizer_model", kind=model.get("type")))
    tokens, kinds = _tokens(table, rows, folder)
    stops = find_stops(folder, config)
    if stops.eos is None:
        _refuse(folder, text("export.reason.no_eos"))
    sentence = bool(model.get("byte_fallback"))
    vocab = Vocab("llama" if sentence else "gpt2", tokens, kinds, stops, template=read_template(folder))
    (_sentence_style if sentence else _byte_level)(vocab, table, folder)
    _special(vocab, folder, config)
    return vocab


def add_vocab(writer: gguf.GGUFWriter, vocab: Vocab) -> None:
    writer.add_tokenizer_model(vocab.model)
    writer.add_tokenizer_pre(vocab.pre)
    writer.add_token_list(vocab.tokens)
    if vocab.scores:
        writer.add_token_scores(vocab.scores)
    writer.add_token_types(vocab.kinds)
    if vocab.merges:
        writer.add_token_merges(vocab.merges)
    if vocab.add_space_prefix is not None:
        writer.add_add_space_prefix(vocab.add_space_prefix)
    if vocab.bos is not None:
        writer.add_bos_token_id(vocab.bos)
    assert vocab.stops.eos is not None
    writer.add_eos_token_id(vocab.stops.eos)
    for number, add in zip(
        vocab.stops.more, (writer.add_eot_token_id, writer.add_eom_token_id), strict=False
    ):
        add(number)
    if vocab.unk is not None:
        writer.add_unk_token_id(vocab.unk)
    if vocab.pad is not None:
        writer.add_pad_token_id(vocab.pad)
    writer.add_add_bos_token(vocab.add_bos)
    writer.add_add_eos_token(vocab.add_eos)
    if vocab.template is not None:
        writer.add_chat_template(vocab.template)


def _tokens(table: dict[str, Any], rows: int, folder: Path) -> tuple[list[str], list[Kind]]:
    """Tokens and types by id; ids without a token, up to ``rows``, are unused."""
    names: dict[int, str] = {number: token for token, number in table["model"]["vocab"].items()}
    unk = table["model"].get("unk_token")
    sentence = bool(table["model"].get("byte_fallback"))
    kinds: dict[int, Kind] = {}
    for number, token in names.items():
        byte = sentence and _BYTE.match(token)
        kinds[number] = Kind.BYTE if byte else Kind.UNKNOWN if sentence and token == unk else Kind.NORMAL
    for added in table.get("added_tokens", []):
        number, token = added["id"], added["content"]
        # llama.cpp looks for such tokens in the text as it stands, before blanks become visible.
        names[number] = token if added["special"] else token.replace(_BLANK, " ")
        if kinds.get(number) not in (Kind.BYTE, Kind.UNKNOWN):
            kinds[number] = Kind.CONTROL if added["special"] else Kind.USER_DEFINED
    if max(names) >= rows:
        reason = text("export.reason.rows", tensor="embed_tokens.weight", rows=rows, tokens=max(names) + 1)
        _refuse(folder, reason)
    tokens = [names.get(number, f"[PAD{number}]") for number in range(rows)]
    return tokens, [kinds.get(number, Kind.UNUSED) for number in range(rows)]


def _byte_level(vocab: Vocab, table: dict[str, Any], folder: Path) -> None:
    normalizer = (table.get("normalizer") or {}).get("type", "NFC")
    if normalizer != "NFC":  # llama.cpp does not normalise; text that people type is NFC already
        _refuse(folder, text("export.reason.normalizer", normalizer=normalizer))
    model = table["model"]
    name = pre_tokenizer_name(table.get("pre_tokenizer"), ignore_merges=bool(model.get("ignore_merges")))
    if name is None:
        _refuse(folder, text("export.reason.pre_tokenizer", regex=shown(table.get("pre_tokenizer"))))
    vocab.pre = str(name)
    vocab.merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def _sentence_style(vocab: Vocab, table: dict[str, Any], folder: Path) -> None:
    """llama.cpp merges the pair whose result has the highest score: minus the rank of the first merge into
    it.
    """
    vocab.add_space_prefix = _adds_blank(table, folder)
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(table["model"]["merges"]):
        pair = merge.split(" ") if isinstance(merge, str) else merge
        ranks.setdefault("".join(pair), rank)
    last = float(len(ranks))
    for token, kind in zip(vocab.tokens, vocab.kinds, strict=True):
        if kind is Kind.NORMAL:
            vocab.scores.append(-float(ranks[token]) if token in ranks else -last)
        else:
            vocab.scores.append(0.0 if kind in (Kind.BYTE, Kind.UNKNOWN) else -1000.0)


def _adds_blank(table: dict[str, Any], folder: Path) -> bool:
    """Whether a blank is put before the text; only blanks may be changed by the normaliser."""
    normalizer = table.get("normalizer") or {"type": "Sequence", "normalizers": []}
    steps = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    prefix = False
    for step in steps:
        blank = (
            step["type"] == "Replace"
            and step.get("pattern") == {"String": " "}
            and step.get("content") == _BLANK
        )
        if step["type"] == "Prepend" and step.get("prepend") == _BLANK:
            prefix = True
        elif not blank:
            _refuse(folder, text("export.reason.normalizer", normalizer=step["type"]))
    pre = table.get("pre_tokenizer") or {}
    if pre.get("type") == "Metaspace":
        return prefix or pre.get("prepend_scheme", "always") != "never"
    by_blank = pre.get("type") == "Split" and pre.get("pattern") == {"String": " "}
    if pre and not by_blank:
        _refuse(folder, text("export.reason.pre_tokenizer", regex=shown(pre)))
    return prefix


def _special(vocab: Vocab, folder: Path, config: dict[str, Any]) -> None:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    names = read_special_tokens(folder)
    settings = (
        read_json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    )

    def number(name: str) -> int | None:
        token = names.get(f"{name}_token")
        found = tokenizer.token_to_id(token) if token else None
        return found if found is not None else _first(config.get(f"{name}_token_id"))

    vocab.bos, vocab.pad = number("bos"), number("pad")
    vocab.unk = tokenizer.token_to_id(names["unk_token"]) if "unk_token" in names else None
    with_special = tokenizer.encode("a").ids
    bare = tokenizer.encode("a", add_special_tokens=False).ids
    added = len(with_special) > len(bare)
    told_bos, told_eos = settings.get("add_bos_token"), settings.get("add_eos_token")
    vocab.add_bos = bool(told_bos) if isinstance(told_bos, bool) else added and with_special[0] == vocab.bos
    vocab.add_eos = (
        bool(told_eos) if isinstance(told_eos, bool) else added and with_special[-1] == vocab.stops.eos
    )
    vocab.add_bos = vocab.add_bos and vocab.bos is not None


def _first(value: Any) -> int | None:
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, int) else None


def _refuse(folder: Path, reason: str) -> None:
    raise UnsupportedTokenizer(path=str(folder), reason=reason, supported=list(KNOWN))
