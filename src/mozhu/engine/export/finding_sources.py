"""Where that lies which an artefact was made from, when it no longer lies where the certificate says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mozhu.engine.export.merge_record import CONVERT_RECORD, MERGE_RECORD
from mozhu.kernel.files import make_folder, sha256_file, writing
from mozhu.kernel.paths import workspace_or_here
from mozhu.specs.records.manifest import NOT_LISTED
from mozhu.specs.records.sidecars import ABOUT

_BESIDE = (".json", ".txt", ".model", ".jinja")
_RECORDS = {*NOT_LISTED, *ABOUT, MERGE_RECORD, CONVERT_RECORD}


def find_by_hash(item: dict[str, Any], home: Path) -> Path | None:
    """The file of a certificate's ``made_from``: where it says, in the registry's store, in a run's or model's folder.

    Args:
        home: The folder that the certificate's paths start from.
    """
    wanted = str(item.get("file", ""))
    for path in _candidates(item, home, wanted.removeprefix("sha256:")):
        if path.is_file() and sha256_file(path) == wanted:
            return path
    return None


def lay_out(found: dict[str, Path], beside: Path, folder: Path) -> Path:
    """``folder`` with the files under the names they had, and the settings and words of the artefact made from them."""
    make_folder(folder)
    for name, path in found.items():
        _link(path, folder / name)
    for path in sorted(beside.iterdir()) if beside.is_dir() else []:
        own = path.name in _RECORDS or path.name.endswith(".index.json")
        if path.is_file() and path.suffix in _BESIDE and not own and not (folder / path.name).exists():
            _link(path, folder / path.name)
    return folder


def _candidates(item: dict[str, Any], home: Path, digest: str) -> Iterator[Path]:
    name, workspace = str(item.get("name", "")), workspace_or_here()
    if item.get("path"):
        yield home / str(item["path"])
    yield workspace.models / "blobs" / "sha256" / digest[:2] / digest
    if name and "/" not in name:
        yield home / name
        for root in (workspace.output, workspace.models):
            yield from root.rglob(name) if root.is_dir() else ()


def _link(source: Path, target: Path) -> None:
    with writing(target):
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
