"""Models in this machine's Hugging Face or ModelScope cache, found by their folders alone. No network.

Layout of the Hugging Face cache: ``models--owner--name/refs/<revision>`` holds a commit, whose files are
``models--owner--name/snapshots/<commit>/``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from mozhu.kernel.files import read_text

_HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def is_hub_id(name: str) -> bool:
    """Whether ``name`` has the form ``owner/name``."""
    return _HUB_ID.match(name) is not None and ".." not in name


def find_cached(hub_id: str, revision: str = "main") -> Path | None:
    """The folder of a model that was downloaded before, or ``None``."""
    repository = huggingface_cache() / f"models--{hub_id.replace('/', '--')}"
    commit = repository / "refs" / revision
    if commit.is_file():
        snapshot = repository / "snapshots" / read_text(commit).strip()
        if (snapshot / "config.json").is_file() or (snapshot / "adapter_config.json").is_file():
            return snapshot
    return _find_modelscope(hub_id)


def huggingface_cache() -> Path:
    """Where Hugging Face's own tools keep what they download, by their environment variables."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache).expanduser() if cache else Path.home() / ".cache") / "huggingface" / "hub"


def modelscope_cache() -> Path:
    named = os.environ.get("MODELSCOPE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "modelscope"


def _find_modelscope(hub_id: str) -> Path | None:
    root = modelscope_cache()
    owner, _, name = hub_id.partition("/")
    for folder in (root / "hub" / "models", root / "models", root / "hub", root):
        for spelled in (name, name.replace(".", "___")):
            if (folder / owner / spelled / "config.json").is_file():
                return folder / owner / spelled
    return None
