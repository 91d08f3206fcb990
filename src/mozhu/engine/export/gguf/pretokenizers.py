"""llama.cpp's name (``tokenizer.ggml.pre``) for the way a byte-level tokenizer splits text, found from its
own regex.
"""

from __future__ import annotations

from typing import Any

_WORD_ENDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+%s"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*%s"
)
_CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_WORD_ENDS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}{_REST}"
QWEN2 = rf"{_WORD_ENDS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{_REST}"
QWEN35 = (
    rf"{_WORD_ENDS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEKKEN = _CASED % ("", "") + r"|\p{N}" + _CASED_REST
GPT4O = _CASED % (f"{_WORD_ENDS}?", f"{_WORD_ENDS}?") + r"|\p{N}{1,3}" + _CASED_REST

# By regex: the name where whole words skip the merges (``ignore_merges``), and where they do not.
_BY_REGEX = {
    LLAMA3: ("llama-bpe", "smaug-bpe"),
    QWEN2: (None, "qwen2"),
    QWEN35: (None, "qwen35"),
    TEKKEN: ("tekken", None),
    GPT4O: (None, "gpt-4o"),
}
KNOWN = ("gpt-2", "smollm", "llama-bpe", "smaug-bpe", "qwen2", "qwen35", "tekken", "gpt-4o")


def pre_tokenizer_name(pre_tokenizer: dict[str, Any] | None, *, ignore_merges: bool) -> str | None:
    """llama.cpp's name for this splitting; None when it has none."""
    steps = _steps(pre_tokenizer)
    kinds = [step.get("type") for step in steps]
    if not steps or kinds[-1] != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return None
    own_regex = steps[-1].get("use_regex", True)
    if kinds == ["ByteLevel"] and own_regex:
        return None if ignore_merges else "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and own_regex and steps[0].get("individual_digits"):
        return None if ignore_merges else "smollm"
    if kinds != ["Split", "ByteLevel"] or own_regex or steps[0].get("invert"):
        return None
    if steps[0].get("behavior") != "Isolated":
        return None
    names = _BY_REGEX.get(steps[0].get("pattern", {}).get("Regex", ""), (None, None))
    return names[0] if ignore_merges else names[1]


def shown(pre_tokenizer: dict[str, Any] | None) -> str:
    """What to show a person of a splitting that has no name."""
    parts = [
        f"{step.get('type')}({next(iter(step['pattern'].values()))})"
        if step.get("pattern")
        else str(step.get("type"))
        for step in _steps(pre_tokenizer)
    ]
    return " + ".join(parts) or "-"


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if not pre_tokenizer:
        return []
    return (
        list(pre_tokenizer["pretokenizers"]) if pre_tokenizer.get("type") == "Sequence" else [pre_tokenizer]
    )
