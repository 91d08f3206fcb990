"""The data files of a folder: all of them, those of one part, or those that a data set folder names itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.data.packed import suffix_of
from mozhu.engine.data.refs import glob_files
from mozhu.kernel.errors import UnknownSubset
from mozhu.kernel.files import read_json, read_text
from mozhu.kernel.slots import load

SUFFIXES = (*(".jsonl", ".json", ".csv", ".tsv", ".tab", ".txt", ".ndjson", ".parquet", ".arrow", ".xlsx"),)
# What runs and libraries leave beside data.
_RECORDS = {
    *("spec.json", "result.json", "events.jsonl", "rejected.jsonl", "manifest.json", "certificate.json"),
    *("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "snapshot.json"),
    *("config.json", "package.json", "requirements.txt", "license.txt"),
}
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev", "eval"),
    "test": ("test", "testing"),
}
_OTHERS = {".txt"}


@dataclass(frozen=True)
class DataFile:
    """``label`` is how the rows' ``source`` calls the file: its name, inside a folder its path in there."""

    path: Path
    label: str


def is_data_file(path: Path) -> bool:
    """Whether the name is that of a data file and of no record that lies beside one."""
    name = path.name.lower()
    return suffix_of(path) in SUFFIXES and name not in _RECORDS and not name.startswith(".")


def folder_files(folder: Path) -> list[DataFile]:
    """Every data file in ``folder`` and below, sorted by path; plain text only where there is nothing else.

    Folders of runs and of snapshots are left out, and hidden ones.
    """
    found = sorted(_below(folder))
    structured = [path for path in found if suffix_of(path) not in _OTHERS]
    return [DataFile(path, path.relative_to(folder).as_posix()) for path in structured or found]


def of_part(files: list[DataFile], part: str) -> tuple[list[DataFile], list[DataFile]]:
    """The files of ``part`` and those left out: named files win; without any, those of no other part."""
    named = [file for file in files if part_of(file.label) == part]
    unnamed = [file for file in files if part_of(file.label) is None]
    chosen = named or (unnamed if part == "train" else [])
    return chosen, [file for file in files if file not in chosen]


def part_of(label: str) -> str | None:
    """The part that a file's name shows: ``train-00000.parquet``, ``faq_dev.json``, ``test/a.csv``."""
    words = re.split(r"[^a-z]+", label.lower())
    found = {part for part, names in _WORDS.items() if any(name in words for name in names)}
    return found.pop() if len(found) == 1 else None


def saved_dataset(folder: Path, part: str) -> list[DataFile] | None:
    """The Arrow files of a folder that ``datasets.save_to_disk`` wrote, or ``None`` for another folder.

    Raises:
        UnknownSubset: DATA-013, there is no such part.
    """
    if (folder / "dataset_dict.json").is_file():
        parts = read_json(folder / "dataset_dict.json").get("splits", [])
        chosen = choose_part(parts, part, str(folder))
        return [
            DataFile(file.path, f"{chosen}/{file.label}")
            for file in saved_dataset(folder / chosen, part) or []
        ]
    if not (folder / "state.json").is_file() or not (folder / "dataset_info.json").is_file():
        return None
    state = read_json(folder / "state.json")
    names = [str(file["filename"]) for file in state.get("_data_files", [])]
    return [DataFile(folder / name, name) for name in names]


def carded_dataset(folder: Path, subset: str | None, part: str) -> list[DataFile] | None:
    """The files that the card of a hub's repository names for ``subset`` and ``part``, or ``None`` without card.

    Raises:
        UnknownSubset: DATA-013. MissingExtra: ENV-001, there is a card and nothing to read it with.
    """
    card = folder / "README.md"
    if not card.is_file() or not read_text(card).startswith("---"):
        return None
    configs: dict[str, dict[str, list[str]]] = load("mozhu.rooms", "card_configs")(card)
    if not configs:
        return None
    names = subset.split("/") if subset else ["default" if "default" in configs else next(iter(configs))]
    files: list[DataFile] = []
    for name in names:
        if name not in configs:
            raise UnknownSubset(
                name=str(folder), subset=name, known=list(configs), example=f"{folder}:{next(iter(configs))}"
            )
        chosen = choose_part(list(configs[name]), part, f"{folder}:{name}")
        for pattern in configs[name][chosen]:
            found = glob_files(str(folder / pattern))
            files += [DataFile(path, path.relative_to(folder).as_posix()) for path in found]
    return list(dict.fromkeys(files))


def choose_part(parts: list[Any], part: str, name: str) -> str:
    """Of the parts that a data set has the one that ``part`` means: its name, a word for it, or the only one."""
    if part in parts:
        return part
    similar = [str(found) for found in parts if part_of(str(found)) == part]
    if similar:
        return similar[0]
    if len(parts) == 1 and part == "train":
        return str(parts[0])
    raise UnknownSubset(name=name, subset=part, known=list(parts), example=name)


def _below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not (path / "snapshot.json").exists() and not (path / "spec.json").exists():
                found += _below(path)
        elif is_data_file(path):
            found.append(path)
    return found
