"""LLaMA-Factory's ``dataset_info.json``: which file or hub a name means, and how its rows are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.data.columns import Columns
from mozhu.kernel.errors import UnknownSubset, UnusableEntry
from mozhu.kernel.files import read_json
from mozhu.kernel.texts import text

INFO_FILE = "dataset_info.json"
_ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
_SHAREGPT = {"messages": "conversations"}
_SAME = (
    "history",
    "system",
    "tools",
    "images",
    "videos",
    "audios",
    "messages",
    "chosen",
    "rejected",
    "kto_tag",
)
_MEANINGS = {**_ALPACA, **dict(zip(_SAME, _SAME))}
_TAGS = {
    "user_tag": ("human", "user"),
    "assistant_tag": ("gpt", "assistant"),
    "observation_tag": ("observation", "tool"),
    "function_tag": ("function_call", "function_call"),
    "system_tag": ("system", "system"),
}


@dataclass(frozen=True)
class Entry:
    """One data set: where its rows are, their shape and what its fields mean."""

    name: str
    file: Path | None
    hubs: tuple[tuple[str, str], ...]
    subset: str | None
    part: str | None
    rows: int | None
    shape: str
    columns: Columns


def is_info_file(path: Path) -> bool:
    """Whether ``path`` is LLaMA-Factory's registry, not the file of that name that ``datasets`` writes."""
    if path.name != INFO_FILE or not path.is_file():
        return False
    found = read_json(path)
    return (
        isinstance(found, dict)
        and bool(found)
        and all(isinstance(entry, dict) for entry in found.values())
        and any(
            {"file_name", "hf_hub_url", "ms_hub_url", "script_url"} & set(entry) for entry in found.values()
        )
    )


def entry_names(path: Path) -> list[str]:
    return list(read_json(path))


def find_entry(path: Path, name: str) -> Entry:
    """The entry ``name`` of ``path``.

    Raises:
        UnknownSubset: DATA-013. UnusableEntry: DATA-014.
    """
    found = read_json(path)
    if name not in found:
        raise UnknownSubset(
            name=str(path), subset=name, known=list(found), example=f"{path}:{next(iter(found))}"
        )
    entry: dict[str, Any] = found[name]
    if entry.get("script_url"):
        raise _unusable(path, name, "script")
    formatting = entry.get("formatting", "alpaca")
    if formatting not in {"alpaca", "sharegpt", "openai"}:
        raise _unusable(path, name, "formatting", formatting=formatting)
    hubs = [
        (hub, entry[key])
        for hub, key in (("huggingface", "hf_hub_url"), ("modelscope", "ms_hub_url"))
        if entry.get(key)
    ]
    file = path.parent / str(entry["file_name"]) if entry.get("file_name") else None
    if file is None and not hubs:
        raise _unusable(path, name, "missing")
    if file is not None and not file.exists() and not hubs:
        raise _unusable(path, name, "file", file=entry["file_name"])
    shape, columns = _reading(entry, formatting)
    return Entry(
        name,
        file if file and file.exists() else None,
        tuple(hubs),
        entry.get("subset"),
        entry.get("split"),
        entry.get("num_samples"),
        shape,
        columns,
    )


def _reading(entry: dict[str, Any], formatting: str) -> tuple[str, Columns]:
    told = entry.get("columns") or (_ALPACA if formatting == "alpaca" else _SHAREGPT)
    known = {key: told[key] for key in _MEANINGS if told.get(key)}
    if entry.get("ranking"):
        known = {"chosen": "chosen", "rejected": "rejected", **known}
        if "columns" not in entry:  # without columns both answers are taken from their usual fields
            known.pop("response", None)
    shape = _shape(entry, formatting, known)
    names = {str(column): _MEANINGS[key] for key, column in known.items()}
    if shape == "text":
        names = {column: "text" for column, meaning in names.items() if meaning == "instruction"}
    if formatting == "alpaca":
        return shape, Columns(names, only=True)
    tags = entry.get("tags") or {}
    roles = {str(tags.get(tag, usual)): role for tag, (usual, role) in _TAGS.items()}
    if formatting == "openai":
        return shape, Columns(names, only=True)
    role_key, content_key = str(tags.get("role_tag", "from")), str(tags.get("content_tag", "value"))
    return shape, Columns(names, only=True, roles=roles, role_key=role_key, content_key=content_key)


def _shape(entry: dict[str, Any], formatting: str, known: dict[str, Any]) -> str:
    if entry.get("ranking"):
        return "preference"
    if "kto_tag" in known:
        return "kto"
    if formatting != "alpaca":
        return "messages"
    return "alpaca" if "response" in known else "text"


def _unusable(path: Path, name: str, reason: str, **params: Any) -> UnusableEntry:
    return UnusableEntry(path=str(path), name=name, reason=text(f"data.entry.{reason}", **params))
