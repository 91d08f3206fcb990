"""Which files of a model's repository are taken: safetensors, settings, tokenizer; no pickles and no code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath

from mozhu.engine.weights.shards import INDEX, PICKLED, SINGLE

# What a model consists of besides its weights. Python files are code, and no model's code is run here.
_PLAIN = (
    "*.json",
    "*.jinja",
    "*.model",
    "*.tiktoken",
    "*.txt",
    "LICENSE*",
    "NOTICE*",
    "README.md",
)
# Folders whose small files belong to a model; others hold the same weights once more in other forms.
_FOLDERS = {"additional_chat_templates", "chat_templates"}
_OWN_SHARDS = re.compile(r"(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. ``sha256`` is the hub's own figure, where it has one; ``blob`` names it in a cache."""

    path: str
    size: int
    sha256: str | None = None
    blob: str = ""


@dataclass(frozen=True)
class Listing:
    """What a repository holds at ``commit``."""

    commit: str
    files: list[HubFile]


def chosen_files(files: Sequence[HubFile], include: Sequence[str] = ()) -> list[HubFile]:
    """The files of ``files`` that make the model, and those that a pattern of ``include`` names."""
    names = [file.path for file in files]
    weights = _weights(names)
    taken = {name for name in names if name in weights or _is_plain(name) or named(name, include)}
    return [file for file in files if file.path in taken and _is_inside(file.path)]


def has_weights(files: Iterable[HubFile], include: Sequence[str] = ()) -> bool:
    """Whether safetensors are among ``files``, or what was named instead of them."""
    return any(file.path.endswith(".safetensors") or named(file.path, include) for file in files)


def pickled(files: Iterable[HubFile]) -> list[str]:
    """The weight files of the repository's top folder that are Python pickles."""
    return sorted(file.path for file in files if any(fnmatchcase(file.path, each) for each in PICKLED))


def named(name: str, include: Sequence[str]) -> bool:
    """Whether a pattern names the file, by its path or by its name alone."""
    return any(fnmatchcase(name, each) or fnmatchcase(PurePosixPath(name).name, each) for each in include)


def _weights(names: list[str]) -> set[str]:
    """The safetensors of the top folder; a second set under another name (``consolidated``) is left out."""
    found = {name for name in names if "/" not in name and name.endswith(".safetensors")}
    own = {name for name in found if _OWN_SHARDS.fullmatch(name)}
    if INDEX in names and SINGLE in own and len(own) > 1:
        own -= {SINGLE}
    return own or found


def _is_plain(name: str) -> bool:
    folder, _, short = name.rpartition("/")
    return (not folder or folder in _FOLDERS) and any(fnmatchcase(short, each) for each in _PLAIN)


def _is_inside(name: str) -> bool:
    """A name that leads out of the folder is no file of the repository."""
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name
