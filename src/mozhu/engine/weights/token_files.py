"""The tokenizer's files, read without the tokenizer: template, special tokens, end-of-answer ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.kernel.files import read_json, read_text

# One of these makes a tokenizer.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tekken.json",
    "spiece.model",
)
TEMPLATE_FILE = "chat_template.jinja"
SPECIAL_NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def read_template(folder: Path) -> str | None:
    """The chat template of ``folder``: ``chat_template.jinja``, else by the tokenizer's settings, else none.

    Of several named templates the one called ``default`` counts, as in transformers.
    """
    if (folder / TEMPLATE_FILE).is_file():
        return read_text(folder / TEMPLATE_FILE)
    for name in ("tokenizer_config.json", "chat_template.json"):
        found = _optional(folder / name).get("chat_template")
        if isinstance(found, list):
            named = {item.get("name"): item.get("template") for item in found if isinstance(item, dict)}
            found = named.get("default")
        if isinstance(found, str):
            return found
    return None


def read_special_tokens(folder: Path) -> dict[str, str]:
    """``bos_token``, ``eos_token`` … as strings; the tokenizer's settings count before the older map."""
    older, newer = _optional(folder / "special_tokens_map.json"), _optional(folder / "tokenizer_config.json")
    tokens = {}
    for name in SPECIAL_NAMES:
        content = _content(newer.get(name)) or _content(older.get(name))
        if content:
            tokens[name] = content
    return tokens


def eos_ids(folder: Path, config: dict[str, Any]) -> tuple[int, ...]:
    """Every id that ends an answer, once: by generation_config, config, the tokenizer's ``eos_token``."""
    nested = config.get("text_config")
    places = [
        _optional(folder / "generation_config.json"),
        config,
        nested if isinstance(nested, dict) else {},
    ]
    found: list[int] = []
    for place in places:
        value = place.get("eos_token_id")
        found += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, int)]
    token = read_special_tokens(folder).get("eos_token")
    if token is not None:
        number = token_id(folder, token)
        found += [] if number is None else [number]
    return tuple(dict.fromkeys(found))


def token_id(folder: Path, token: str) -> int | None:
    """The id of ``token`` by the tokenizer's files, or ``None``."""
    for number, entry in _optional(folder / "tokenizer_config.json").get("added_tokens_decoder", {}).items():
        if _content(entry) == token:
            return int(number)
    for entry in (content := _optional(folder / "tokenizer.json")).get("added_tokens", []):
        if entry.get("content") == token:
            return int(entry["id"])
    vocab = (content.get("model") or {}).get("vocab") or _optional(folder / "vocab.json")
    if isinstance(vocab, dict):
        return vocab.get(token)
    return next((number for number, item in enumerate(vocab or ()) if item[0] == token), None)


def _content(value: Any) -> str | None:
    """A token written as a string or as an added-token object."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def _optional(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}
