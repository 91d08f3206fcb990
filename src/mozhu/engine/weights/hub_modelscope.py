"""Models on ModelScope, through its own library where that is installed."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelscope.hub.api import HubApi
from modelscope.hub.snapshot_download import snapshot_download

from mozhu.engine.weights.hub_cache import modelscope_cache
from mozhu.engine.weights.hub_files import HubFile, Listing

_BRANCH = "master"


class ModelScope:
    """ModelScope names branches and tags; what is recorded of a model are its files' own checksums."""

    def __init__(self) -> None:
        self._api = HubApi()
        self.address = str(getattr(self._api, "endpoint", "") or "https://www.modelscope.cn")

    def listing(self, name: str, revision: str | None) -> Listing:
        found = self._api.get_model_files(name, revision=revision or _BRANCH, recursive=True)
        files = [each for each in found if each.get("Type", "blob") != "tree"]
        return Listing(revision or _BRANCH, [_file(each) for each in files])

    def fetch(self, name: str, listing: Listing, files: Sequence[HubFile], folder: Path) -> None:
        exactly = [glob.escape(file.path) for file in files]
        snapshot_download(name, revision=listing.commit, local_dir=str(folder), allow_patterns=exactly)

    def cache_folder(self, name: str) -> Path:
        """Where its own tools look for a model of that name."""
        return modelscope_cache() / "hub" / "models" / name

    def bytes_here(self, name: str, files: Sequence[HubFile], folder: Path) -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def stop(self) -> None:
        """Its library has no way to stop a transfer; the process ends with it."""

    @staticmethod
    def reason(error: BaseException) -> str:
        words = f"{type(error).__name__} {error}".lower()
        return "missing" if "notexist" in words or "404" in words or "not found" in words else ""


def _file(found: dict[str, Any]) -> HubFile:
    digest = found.get("Sha256") or None
    return HubFile(str(found["Path"]), int(found.get("Size") or 0), digest)
