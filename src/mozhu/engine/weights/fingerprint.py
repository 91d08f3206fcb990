"""The fingerprint of a model: what it weighs, how it reads and how it is spoken to, in four hashes.

weights     sorted (name, dtype, shape, sha256 of the bytes) of every tensor: sharding does not change it
tokenizer   its files in canonical form, its special tokens, the ids that end an answer
template    the chat template's text for a fixed set of conversations on a fixed day
whole       the three together
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mozhu.engine.weights.folder import ModelFolder
from mozhu.engine.weights.headers import TensorInfo, read_header
from mozhu.engine.weights.jinja import ChatTemplate
from mozhu.engine.weights.token_files import read_special_tokens
from mozhu.kernel.errors import RefusedConversation
from mozhu.kernel.files import read_json, reading, sha256_file, sha256_json
from mozhu.kernel.machine import core_count

PARTS = ("weights", "tokenizer", "template")
_CHUNK_BYTES = 4 << 20
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


def fingerprint(path: str | Path) -> dict[str, str]:
    """``weights``, ``tokenizer``, ``template`` and ``whole`` of a model folder or adapter folder.

    Equal for equal models however they are sharded, ordered or indented; different after one flipped byte,
    another end-of-answer id or another prompt text. Reads every byte of the weights once.

    Raises:
        What :meth:`ModelFolder.open` raises.
    """
    return folder_fingerprint(ModelFolder.open(path))


def folder_fingerprint(folder: ModelFolder) -> dict[str, str]:
    """The fingerprint of a folder that is open already."""
    parts = {
        "weights": weights_hash(folder),
        "tokenizer": tokenizer_hash(folder),
        "template": template_hash(folder.template, read_special_tokens(folder.path)),
    }
    return {**parts, "whole": sha256_json(parts)}


def differing_parts(wanted: Mapping[str, str], found: Mapping[str, str]) -> list[str]:
    """The parts in which two fingerprints differ; a part that either does not state is not compared."""
    names = PARTS if any(part in wanted for part in PARTS) else ("whole",)
    return [part for part in names if part in wanted and part in found and wanted[part] != found[part]]


def weights_hash(folder: ModelFolder) -> str:
    """Hash of all tensors, whatever files they lie in."""
    with ThreadPoolExecutor(max(1, min(4, core_count()))) as pool:
        hashed = [item for items in pool.map(_shard_hashes, folder.shards) for item in items]
    return sha256_json(sorted(hashed))


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


def _shard_hashes(path: Path) -> list[list[Any]]:
    with reading(path):
        state = path.stat()
    return _hash_shard(path, state.st_size, state.st_mtime_ns, state.st_ino)


@lru_cache(maxsize=256)
def _hash_shard(path: Path, size: int, mtime_ns: int, inode: int) -> list[list[Any]]:
    """[name, dtype, shape, hash] of each tensor; remembered while this process sees the same file."""
    tensors = read_header(path)
    with reading(path), open(path, "rb", buffering=0) as file:
        return [
            [info.name, info.dtype, list(info.shape), _hash_tensor(file, info)] for info in tensors.values()
        ]


def _hash_tensor(file: Any, info: TensorInfo) -> str:
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, max(1, info.size_bytes))))
    file.seek(info.start)
    left = info.size_bytes
    while left:
        count = file.readinto(buffer[: min(left, len(buffer))])
        if not count:
            raise EOFError(info.name)
        digest.update(buffer[:count])
        left -= count
    return digest.hexdigest()
