"""The YAML head of a data set's card: which files make up which subset and part. Needs the ``[data]`` extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mozhu.kernel.errors import DamagedDataFile
from mozhu.kernel.files import read_text


def card_configs(card: Path) -> dict[str, dict[str, list[str]]]:
    """Subset -> part -> patterns of files, as the Hugging Face hub defines them; nothing without ``configs``.

    Raises:
        DamagedDataFile: DATA-010, the head is no YAML.
    """
    pieces = read_text(card).split("\n---", 2)
    try:
        head = yaml.safe_load(pieces[0].removeprefix("---"))
    except yaml.YAMLError as error:
        raise DamagedDataFile(path=str(card), reason=str(error).splitlines()[0]) from error
    listed = head.get("configs") if isinstance(head, dict) else None
    configs = [config for config in listed or [] if isinstance(config, dict) and config.get("data_files")]
    return {str(config.get("config_name", "default")): _parts(config) for config in configs}


def _parts(config: dict[str, Any]) -> dict[str, list[str]]:
    files, folder = config["data_files"], str(config.get("data_dir") or "")
    if isinstance(files, dict):
        files = [{"split": part, "path": path} for part, path in files.items()]
    if isinstance(files, str):
        files = [files]
    parts: dict[str, list[str]] = {}
    for file in files:
        part, path = (
            (file.get("split", "train"), file.get("path")) if isinstance(file, dict) else ("train", file)
        )
        paths = path if isinstance(path, list) else [path]
        parts.setdefault(str(part), []).extend(f"{folder}/{name}".lstrip("/") for name in paths if name)
    return parts
