"""The fingerprint of a model: what it weighs, how it reads and how it is spoken to, in four hashes.

weights     sorted (name, dtype, shape, sha256 of the bytes) of every tensor: sharding does not change it
tokenizer   its files in canonical form, its special tokens, the ids that end an answer
template    the chat template's text for a fixed set of conversations on a fixed day
whole       the three together

Beside them stand what is known without reading the weights, so that another model is refused at once:
layout      sorted (name, dtype, shape) of every tensor
sample      a few hundred bytes out of each tensor
shape       layers x width x rows of the vocabulary
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

from mozhu.engine.weights.content import file_content
from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.jinja import ChatTemplate
from mozhu.engine.weights.token_files import read_special_tokens
from mozhu.kernel.errors import RefusedConversation
from mozhu.kernel.files import read_json, reading, sha256_file, sha256_json
from mozhu.kernel.machine import core_count

PARTS = ("weights", "tokenizer", "template")
QUICK = ("layout", "sample")
_SAMPLED_BYTES = 256
_FIXED_DAY = datetime(2024, 1, 1)
# State of the last use and not part of what the tokenizer is.
_NOT_PART = ("truncation", "padding")
_RAW_FILES = ("tokenizer.model", "merges.txt", "vocab.txt", "spiece.model", "tekken.json")
_JSON_FILES = ("tokenizer.json", "vocab.json", "added_tokens.json")
_SETTINGS = ("add_bos_token", "add_eos_token", "add_prefix_space", "split_special_tokens")

_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
    },
}
_USER, _USER_ZH = (
    {"role": "user", "content": "Hello."},
    {"role": "user", "content": " 你好，\n请介绍你自己。 "},
)
_ANSWER = {"role": "assistant", "content": "我是助手。<b>&\n"}
_SYSTEM = {"role": "system", "content": "Be brief."}
# (messages, tools, whether the assistant is to answer)
CONVERSATIONS: tuple[tuple[list[dict[str, str]], list[dict[str, Any]] | None, bool], ...] = (
    ([_USER], None, True),
    ([_USER], None, False),
    ([_SYSTEM, _USER_ZH], None, True),
    ([_USER, _ANSWER], None, False),
    ([_USER, _ANSWER, _USER_ZH], None, True),
    ([_SYSTEM, _USER, _ANSWER, _USER_ZH, _ANSWER], None, False),
    ([_USER], [_TOOL], True),
)


def fingerprint(path: str | Path, *, fresh: bool = False) -> dict[str, str]:
    """``weights``, ``tokenizer``, ``template`` and ``whole`` of a model folder or adapter folder, and the quick parts.

    Equal for equal models however they are sharded, ordered or indented; different after one flipped byte,
    another end-of-answer id or another prompt text. Reads every byte of the weights once, or remembers it.

    Args:
        fresh: Read every byte now.

    Raises:
        What :meth:`ModelFolder.open` raises.
    """
    return folder_fingerprint(ModelFolder.open(path), fresh=fresh)


def folder_fingerprint(folder: ModelFolder, *, fresh: bool = False) -> dict[str, str]:
    """The fingerprint of a folder that is open already."""
    parts = {
        "weights": weights_hash(folder, fresh=fresh),
        "tokenizer": tokenizer_hash(folder),
        "template": template_hash(folder.template, read_special_tokens(folder.path)),
    }
    return {**parts, "whole": sha256_json(parts), **quick_fingerprint(folder)}


def quick_fingerprint(folder: ModelFolder) -> dict[str, str]:
    """``layout``, ``sample`` and ``shape``: equal for equal weights, read in a moment."""
    layout = sorted([info.name, info.dtype, list(info.shape)] for info in folder.tensors.values())
    return {"layout": sha256_json(layout), "sample": _sample(folder), "shape": model_shape(folder)}


def model_shape(folder: ModelFolder) -> str:
    """``24x896x151936``: layers, width and rows of the vocabulary; ``?`` where the folder does not say."""
    config = folder.text_config
    names = (("num_hidden_layers", "n_layer"), ("hidden_size", "n_embd"), ("vocab_size",))
    return "x".join(str(next((config[name] for name in group if name in config), "?")) for group in names)


def differing_parts(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """The parts in which two fingerprints differ; a part that either does not state is not compared."""
    names = PARTS if any(part in wanted for part in PARTS) else ("whole",)
    return [part for part in names if part in wanted and part in found and wanted[part] != found[part]]


def quick_differences(wanted: Mapping[str, str], folder: ModelFolder) -> list[str]:
    """The parts in which ``folder`` is certainly another model than ``wanted``, known without reading its weights.

    An empty list does not say that it is the same one.
    """
    found = quick_fingerprint(folder)
    found["tokenizer"] = tokenizer_hash(folder)
    found["template"] = template_hash(folder.template, read_special_tokens(folder.path))
    weights = any(part in wanted and wanted[part] != found[part] for part in QUICK)
    rest = [part for part in PARTS[1:] if part in wanted and wanted[part] != found[part]]
    return [*(("weights",) if weights else ()), *rest]


def weights_hash(folder: ModelFolder, *, fresh: bool = False) -> str:
    """Hash of all tensors, whatever files they lie in."""

    def hashed(path: Path) -> list[list[Any]]:
        return [
            [name, kind, list(shape), own]
            for name, kind, shape, own in file_content(path, fresh=fresh).tensors
        ]

    with ThreadPoolExecutor(max(1, min(4, core_count()))) as pool:
        found = [item for items in pool.map(hashed, folder.shards) for item in items]
    return sha256_json(sorted(found))


def tokenizer_hash(folder: ModelFolder) -> str:
    """Hash of what turns text into ids: indentation, key order and unused settings do not count."""
    path = folder.path
    settings = read_json(path / "tokenizer_config.json") if (path / "tokenizer_config.json").is_file() else {}
    return sha256_json(
        {
            "files": _tokenizer_files(path),
            "special": read_special_tokens(path),
            "settings": sorted(key for key in _SETTINGS if settings.get(key)),
            "eos": sorted(folder.eos_ids),
        }
    )


def template_hash(template: str | None, special_tokens: Mapping[str, str]) -> str:
    """Hash of what the template writes for :data:`CONVERSATIONS`; a refusal counts as what it writes."""
    if template is None:
        return sha256_json(None)
    fixed = ChatTemplate(template, special_tokens, now=lambda: _FIXED_DAY)
    written: list[Any] = []
    for messages, tools, prompt in CONVERSATIONS:
        try:
            written.append(fixed.render(messages, tools, add_generation_prompt=prompt))
        except RefusedConversation:
            written.append(None)
    return sha256_json(written)


def _tokenizer_files(path: Path) -> dict[str, str]:
    """Hashes by file name. Where there is a ``tokenizer.json`` it says everything the older files say."""
    names = _JSON_FILES[:1] if (path / _JSON_FILES[0]).is_file() else (*_JSON_FILES, *_RAW_FILES)
    found = {}
    for name in names:
        if (path / name).is_file():
            found[name] = _canonical(path / name) if name in _JSON_FILES else sha256_file(path / name)
    return found


def _canonical(path: Path) -> str:
    value = read_json(path)
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in _NOT_PART}
    return sha256_json(value)


def _sample(folder: ModelFolder) -> str:
    """A hash over the first, the middle and the last bytes of every tensor."""
    digest = hashlib.sha256()
    by_file: dict[Path, Any] = {}
    with ExitStack() as stack:
        for info in sorted(folder.tensors.values(), key=lambda info: info.name):
            with reading(info.path):
                if info.path not in by_file:
                    by_file[info.path] = stack.enter_context(open(info.path, "rb", buffering=0))
                file, size = by_file[info.path], min(_SAMPLED_BYTES, info.size_bytes)
                digest.update(info.name.encode())
                for start in (info.start, info.start + (info.size_bytes - size) // 2, info.end - size):
                    file.seek(start)
                    digest.update(file.read(size))
    return f"sha256:{digest.hexdigest()}"
