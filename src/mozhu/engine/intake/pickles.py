"""Files that hold pickles, looked at without unpickling: what torch writes today and wrote before, and plain ones.

zip      ``torch.save`` since 1.6: ``data.pkl``, a file per storage, nothing else
legacy   ``torch.save`` before: five pickles, then the storages
tar      ``torch.save`` before 0.2, which ``weights_only`` cannot read
plain    a pickle of something else, which is no checkpoint
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from mozhu.engine.intake.checkpoints import Storage, Weights, find_weights
from mozhu.engine.intake.findings import reason, refused
from mozhu.engine.intake.limits import Limits
from mozhu.engine.intake.pickle_reader import PickleRead, read_pickle
from mozhu.engine.intake.zips import ZipListing, list_zip, open_entry, opened_zip
from mozhu.kernel.files import reading
from mozhu.specs.records.findings import Finding

Form = Literal["zip", "legacy", "plain"]
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_RECORDS = ("version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id")
_CODE = ("code/", "constants.pkl", "constants/", ".data/extern_modules", "extra/", "debug_pkl")
_LARGEST_PICKLE = 512 << 20
_SHOWN = 5
_NEWEST_PROTOCOL = 3
_FAULTS = {"name": "SAFE-101", "unclear": "SAFE-102", "damaged": "SAFE-103", "limit": "SAFE-104"}


@dataclass
class Scanned:
    """What a file with pickles is; with a finding of level error it is never to be loaded."""

    form: Form
    findings: list[Finding] = field(default_factory=list)
    weights: Weights = field(default_factory=Weights)
    names: set[str] = field(default_factory=set)


def scan_torch_zip(path: Path, shown: str, limits: Limits) -> Scanned:
    """A zip that holds a ``data.pkl``: its pickle, its storages, and that there is nothing else in it."""
    listing = list_zip(path, limits, shown=shown)
    scanned = Scanned("zip", listing.findings)
    if listing.findings:
        return scanned
    root = next(name for name in listing.files if name.split("/")[-1] == "data.pkl").removesuffix("data.pkl")
    scanned.findings += _entry_findings(listing, root, shown)
    info = listing.files[f"{root}data.pkl"]
    if info.file_size > _LARGEST_PICKLE:
        scanned.findings.append(refused("SAFE-104", shown, what=f"data.pkl: {info.file_size} B", at=0))
        return scanned
    with opened_zip(path) as archive, open_entry(archive, info) as file:
        content = file.read()
    read = _read_all(content, shown, scanned)
    if not scanned.findings:
        _check_weights(scanned, read.value, shown)
        scanned.findings += _protocol_findings(read, shown)
        sizes = {name: info.file_size for name, info in listing.files.items()}
        scanned.findings += _storage_findings(scanned.weights, sizes, root, shown)
    return scanned


def scan_pickle_file(path: Path, shown: str) -> Scanned:
    """A file that begins with a pickle: torch's legacy form, or a plain pickle."""
    with reading(path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = read_pickle(file)
        if first.faults or first.value != _LEGACY_MAGIC:
            return _scan_plain(file, first, size, shown)
        return _scan_legacy(file, size, shown)


def _scan_plain(file: BinaryIO, first: PickleRead, size: int, shown: str) -> Scanned:
    scanned = Scanned("plain", _faults(first, shown), names=first.names)
    if not first.faults and file.tell() < size:
        scanned.findings.append(refused("SAFE-105", shown, at=file.tell(), bytes=size - file.tell()))
    if not scanned.findings:
        scanned.findings.append(refused("SAFE-108", shown, reason=reason("plain_pickle")))
    return scanned


def _scan_legacy(file: BinaryIO, size: int, shown: str) -> Scanned:
    scanned = Scanned("legacy")
    reads = []
    for _ in range(4):  # protocol, system, what was saved, the storages' keys
        reads.append(read_pickle(file))
        scanned.names |= reads[-1].names
        scanned.findings += _faults(reads[-1], shown)
        if reads[-1].faults:
            return scanned
    version, _, saved, keys = (read.value for read in reads)
    if version != _LEGACY_VERSION or not isinstance(keys, list):
        scanned.findings.append(refused("SAFE-103", shown, what=reason("legacy_head"), at=file.tell()))
        return scanned
    _check_weights(scanned, saved, shown)
    scanned.findings += _protocol_findings(reads[2], shown)
    scanned.findings += _legacy_storage_findings(file, size, keys, scanned.weights, shown)
    return scanned


def _legacy_storage_findings(
    file: BinaryIO, size: int, keys: list[Any], weights: Weights, shown: str
) -> list[Finding]:
    """Each storage is eight bytes of count and its numbers, in the order of the keys, up to the file's end."""
    for key in keys:
        storage = weights.storages.get(key) if isinstance(key, str) else None
        raw = file.read(8)
        if storage is None or len(raw) < 8 or struct.unpack("<q", raw)[0] != storage.count:
            return [refused("SAFE-109", shown, tensor=str(key))]
        if file.tell() + storage.size_bytes > size:
            return [refused("SAFE-109", shown, tensor=str(key))]
        file.seek(storage.size_bytes, os.SEEK_CUR)
    if file.tell() != size:
        return [refused("SAFE-105", shown, at=file.tell(), bytes=size - file.tell())]
    return []


def _read_all(content: bytes, shown: str, scanned: Scanned) -> PickleRead:
    file = io.BytesIO(content)
    read = read_pickle(file)
    scanned.names |= read.names
    scanned.findings += _faults(read, shown)
    if not read.faults and file.tell() < len(content):
        scanned.findings.append(refused("SAFE-105", shown, at=file.tell(), bytes=len(content) - file.tell()))
    return read


def _protocol_findings(read: PickleRead, shown: str) -> list[Finding]:
    """``weights_only`` knows what protocols 2 and 3 have, which ``torch.save`` writes unless told otherwise."""
    return [refused("SAFE-134", shown, protocol=read.protocol)] if read.protocol > _NEWEST_PROTOCOL else []


def _faults(read: PickleRead, shown: str) -> list[Finding]:
    return [refused(_FAULTS[fault.kind], shown, what=fault.what, at=fault.at) for fault in read.faults]


def _entry_findings(listing: ZipListing, root: str, shown: str) -> Iterator[Finding]:
    known = {f"{root}data.pkl", *(f"{root}{name}" for name in _RECORDS)}
    others = [name for name in listing.files if name not in known and not _is_storage(name, root)]
    code = [name for name in others if name.removeprefix(root).startswith(_CODE) or name.endswith(".py")]
    for name in code[:_SHOWN]:
        yield refused("SAFE-106", shown, name=name)
    for name in [name for name in others if name not in code][:_SHOWN]:
        yield refused("SAFE-110", shown, name=name)
    for name, info in listing.files.items():
        if info.compress_type:
            yield refused("SAFE-117", shown, name=name)
            return


def _is_storage(name: str, root: str) -> bool:
    return name.startswith(f"{root}data/") and name.removeprefix(f"{root}data/").isdigit()


def _check_weights(scanned: Scanned, value: Any, shown: str) -> None:
    scanned.weights = find_weights(value)
    scanned.findings += [refused("SAFE-109", shown, tensor=name) for name in scanned.weights.faults[:_SHOWN]]
    if not scanned.weights.tensors and not scanned.weights.faults:
        scanned.findings.append(refused("SAFE-108", shown, reason=reason("no_tensors")))


def _storage_findings(weights: Weights, sizes: dict[str, int], root: str, shown: str) -> Iterator[Finding]:
    """Every storage is there and as large as the pickle says."""
    wrong = [storage for storage in weights.storages.values() if not _fits(storage, sizes, root)]
    for storage in wrong[:_SHOWN]:
        yield refused("SAFE-109", shown, tensor=f"data/{storage.key}")


def _fits(storage: Storage, sizes: dict[str, int], root: str) -> bool:
    return sizes.get(f"{root}data/{storage.key}") == storage.size_bytes
