"""Builds the byte-level BPE tokenizer with Qwen2's pre-tokenizer.

The merges are put together by hand in two steps: first the bytes of each common Chinese character into one
token, then English words learnt from the small world's own text.  No token spans two Chinese characters, so
that every character's embedding is trained by every text it appears in.
"""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
QWEN2_REGEX = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PUNCTUATION = "，。！？、；：“”‘’（）《》〈〉【】「」『』…—～·￥％＋－＝／×÷℃°"
CHAT_TEMPLATE = (
    "{%- for message in messages %}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def common_characters() -> str:
    """The 3,755 characters of GB2312 level 1, in the standard's order."""
    out = []
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            try:
                out.append(bytes([row, cell]).decode("gb2312"))
            except UnicodeDecodeError:  # the last row is not full
                continue
    return "".join(out)


def byte_letters() -> dict[int, str]:
    """The printable letter that stands for each byte in a byte-level vocabulary (GPT-2's table)."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {b: chr(b) for b in plain}
    for b in range(256):
        if b not in letters:
            letters[b] = chr(256 + len(letters) - len(plain))
    return letters


def _whole_characters(characters: str, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Add the merges that make one token of each character: bytes joined from the left."""
    letters = byte_letters()
    for char in characters:
        parts = [letters[b] for b in char.encode("utf-8")]
        left = parts[0]
        for right in parts[1:]:
            if left + right not in vocab:
                vocab[left + right] = len(vocab)
                merges.append((left, right))
            left += right


def _learn_words(texts: list[str], room: int) -> list[tuple[str, str]]:
    """The first ``room`` merges learnt from the ASCII part of ``texts``."""
    trainer_model = Tokenizer(models.BPE())
    trainer_model.pre_tokenizer = _pre_tokenizer()
    ascii_only = ["".join(c if c.isascii() else "\n" for c in t) for t in texts]
    trainer = trainers.BpeTrainer(
        vocab_size=256 + room,
        show_progress=False,
        special_tokens=[],
        initial_alphabet=list(byte_letters().values()),
    )
    trainer_model.train_from_iterator(ascii_only, trainer)
    merges = json.loads(trainer_model.to_str())["model"]["merges"]
    return [(a, b) for a, b in merges]


def _pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


def build(texts: list[str], size: int) -> Tokenizer:
    """Build the tokenizer with ``size`` tokens, special tokens included (at the end, as in Qwen2.5).

    Raises:
        ValueError: the text is too small to fill the vocabulary.
    """
    vocab = {letter: i for i, letter in enumerate(byte_letters()[b] for b in range(256))}
    merges: list[tuple[str, str]] = []
    common = common_characters()
    used = sorted({c for t in texts for c in t if not c.isascii()} - set(common) - set(PUNCTUATION))
    _whole_characters(common + PUNCTUATION + "".join(used), vocab, merges)
    room = size - 3 - len(vocab)
    for left, right in _learn_words(texts, room):
        if left + right not in vocab:
            vocab[left + right] = len(vocab)
        merges.append((left, right))
    if len(vocab) != size - 3:
        raise ValueError(f"the text fills {len(vocab) + 3} of {size} tokens")
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, fuse_unk=False, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _pre_tokenizer()
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in (PAD, START, END)])
    return tokenizer


def whole_pieces(tokenizer: Tokenizer) -> list[str]:
    """The text of each token that is whole characters and stays itself when normalised."""
    back = {letter: b for b, letter in byte_letters().items()}
    out = []
    for token, _ in sorted(tokenizer.get_vocab(with_added_tokens=False).items(), key=lambda item: item[1]):
        try:
            text = bytes(back[c] for c in token).decode("utf-8")
        except UnicodeDecodeError:
            continue
        if unicodedata.normalize("NFC", text) == text:
            out.append(text)
    return out


def unreachable(tokenizer: Tokenizer) -> set[int]:
    """Ids of the bytes that no valid UTF-8 text contains (0xC0, 0xC1, 0xF5 to 0xFF)."""
    letters = byte_letters()
    vocab = tokenizer.get_vocab()
    return {vocab[letters[b]] for b in (0xC0, 0xC1, *range(0xF5, 0x100))}


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja into ``folder``.

    Args:
        context: the model's longest input in tokens.
    """
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    added = {
        str(tokenizer.token_to_id(t)): {
            "content": t,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for t in (PAD, START, END)
    }
    config = {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [START, END],
        "bos_token": None,
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "errors": "replace",
        "model_max_length": context,
        "pad_token": PAD,
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
