"""Models on Hugging Face's hub or a mirror of it (``HF_ENDPOINT``), through its own library."""

from __future__ import annotations

import glob
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.constants as hub_constants
from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import tqdm

from mozhu.engine.weights.hub_cache import huggingface_cache
from mozhu.engine.weights.hub_files import HubFile, Listing
from mozhu.kernel.files import write_text

_WORKERS = 4


class HuggingFace:
    """``reason`` names what an error of the library means, for the texts ``model.hub.*``."""

    def __init__(self) -> None:
        self.address = hub_constants.ENDPOINT
        hub_constants.HF_HUB_DISABLE_TELEMETRY = (
            True  # what is fetched is the hub's business, who fetches is not
        )
        self._stopped = threading.Event()

    def listing(self, name: str, revision: str | None) -> Listing:
        """Every file of ``revision`` (a branch, tag or commit), at the commit that it is now."""
        api = HfApi()
        commit = api.repo_info(name, revision=revision or hub_constants.DEFAULT_REVISION).sha
        found = api.list_repo_tree(name, recursive=True, revision=commit)
        return Listing(str(commit), [_file(each) for each in found if isinstance(each, RepoFile)])

    def fetch(self, name: str, listing: Listing, files: Sequence[HubFile], folder: Path) -> None:
        """``folder`` holds ``files``; those that were whole before are kept."""
        self._fetch(name, listing, files, local_dir=folder)

    def fetch_to_cache(self, name: str, listing: Listing, files: Sequence[HubFile]) -> Path:
        """The hub's cache holds ``files``, but does not name the revision yet: a half model is none."""
        return Path(self._fetch(name, listing, files, cache_dir=huggingface_cache()))

    def name_in_cache(self, folder: Path, commit: str, revision: str | None) -> None:
        """From now on the cache's ``revision`` is ``commit``, whose files are in ``folder``."""
        branch = revision or hub_constants.DEFAULT_REVISION
        if branch != commit:
            write_text(folder.parent.parent / "refs" / branch, commit)

    def bytes_here(self, name: str, files: Sequence[HubFile], folder: Path | None) -> int:
        """Bytes of ``files`` that are on the disk so far."""
        if folder is not None:
            return _bytes(path for path in folder.rglob("*") if path.suffix != ".metadata")
        blobs = huggingface_cache() / f"models--{name.replace('/', '--')}" / "blobs"
        return sum(_bytes(blobs.glob(f"{file.blob}*")) for file in files if file.blob)

    def stop(self) -> None:
        """Transfers that are under way end as soon as they have received something."""
        self._stopped.set()

    @staticmethod
    def reason(error: BaseException) -> str:
        if isinstance(error, GatedRepoError):
            return "gated"
        if isinstance(error, RevisionNotFoundError):
            return "revision"
        return "missing" if isinstance(error, RepositoryNotFoundError) else ""

    def _fetch(self, name: str, listing: Listing, files: Sequence[HubFile], **place: Any) -> str:
        exactly = [glob.escape(file.path) for file in files]
        return snapshot_download(
            name,
            revision=listing.commit,
            allow_patterns=exactly,
            max_workers=_WORKERS,
            tqdm_class=_bar(self._stopped),
            **place,
        )


def _file(found: RepoFile) -> HubFile:
    digest = found.lfs.sha256 if found.lfs else None
    return HubFile(found.path, int(found.size), digest, digest or str(found.blob_id))


def _bytes(paths: Any) -> int:
    total = 0
    for path in paths:
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # renamed or finished meanwhile
            continue
    return total


def _bar(stopped: threading.Event) -> type[tqdm]:
    """The library's bar, showing nothing, that ends a transfer once ``stopped`` is set."""

    class Bar(tqdm):  # type: ignore[misc,unused-ignore]
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **{**named, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            if stopped.is_set():
                raise InterruptedError
            return super().update(n)

    return Bar
