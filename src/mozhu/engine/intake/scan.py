"""Every file of a folder, or one file alone: what it is and what stands against it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.intake.findings import noted, reason, refused
from mozhu.engine.intake.kinds import Kind, kind_of
from mozhu.engine.intake.limits import Limits
from mozhu.engine.intake.opinions import opinions
from mozhu.engine.intake.pickles import Scanned, scan_pickle_file, scan_torch_zip
from mozhu.engine.weights.headers import scan_header
from mozhu.kernel.files import human_size, reading
from mozhu.kernel.gguf import read_gguf_file
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding

# What trainers leave beside a model: no part of it, and nearly always a pickle of more than weights.
_NO_PART = re.compile(
    r"^(training_args\.bin|optimizer.*|scheduler\.pt|scaler\.pt|rng_state.*|random_states.*|events\.out\.tfevents.*"
    r"|zero_.*|.*optim_states\.pt|latest|global_step.*|wandb|__pycache__|\.git|__MACOSX|\.DS_Store|\._.*|Thumbs\.db)$"
)
_LARGEST_TEXT = 256 << 20
_REMOTE = ("auto_map", "custom_pipelines")
_SHOWN = 6


@dataclass
class FileScan:
    """``name`` is relative to the folder. ``checkpoint`` is what a pickled file holds; ``kept`` whether it is used."""

    path: Path
    name: str
    kind: Kind
    findings: list[Finding] = field(default_factory=list)
    checkpoint: Scanned | None = None
    kept: bool = True


def scan_folder(folder: Path, limits: Limits, *, whole: bool = False) -> list[FileScan]:
    """Every file below ``folder``. Links are followed out of nothing: one is a finding.

    Args:
        whole: What is no part of a model is kept too where nothing stands against it.
    """
    scans = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() and not _points_inside_cache(path):
            scans.append(FileScan(path, name, "other", [refused("SAFE-113", name, name=name)], kept=False))
        elif path.is_file():
            scans.append(scan_file(path, name, limits, whole=whole))
        elif not path.is_dir():
            scans.append(FileScan(path, name, "other", [refused("SAFE-113", name, name=name)], kept=False))
    return scans


def scan_file(path: Path, name: str, limits: Limits, *, whole: bool = False) -> FileScan:
    """One file, by what its bytes say it is; ``whole`` as above."""
    if not whole and any(_NO_PART.match(part) for part in name.split("/")):
        return FileScan(path, name, "other", [noted("SAFE-202", name)], kept=False)
    scan = FileScan(path, name, kind_of(path))
    _SCANS[scan.kind](scan, limits)
    if whole and scan.kind in ("other", "code"):
        scan.kept = True
        scan.findings = [finding for finding in scan.findings if finding.code != "SAFE-202"]
    return scan


def _points_inside_cache(path: Path) -> bool:
    """A hub's cache on this disk: ``snapshots/<revision>/file`` links to ``blobs/<hash>`` of the same model."""
    target = path.resolve()
    return (
        target.is_file() and target.parent.name == "blobs" and target.parent.parent in path.absolute().parents
    )


def _torch(scan: FileScan, limits: Limits) -> None:
    _take(scan, scan_torch_zip(scan.path, scan.name, limits))


def _pickle(scan: FileScan, limits: Limits) -> None:
    _take(scan, scan_pickle_file(scan.path, scan.name))


def _take(scan: FileScan, found: Scanned) -> None:
    scan.checkpoint = found
    scan.findings += found.findings
    if not scan.findings:
        scan.findings += opinions(scan.path, scan.name, found)


def _safetensors(scan: FileScan, limits: Limits) -> None:
    _, problems = scan_header(scan.path)
    scan.findings += [refused("SAFE-131", scan.name, reason=line) for line in problems[:_SHOWN]]


def _gguf(scan: FileScan, limits: Limits) -> None:
    for fault in read_gguf_file(scan.path).problems[:_SHOWN]:
        scan.findings.append(
            refused("SAFE-132", scan.name, reason=text(f"safe.gguf.{fault.code}", **fault.params))
        )


def _inner_archive(scan: FileScan, limits: Limits) -> None:
    scan.findings.append(refused("SAFE-120", scan.name))


def _polyglot(scan: FileScan, limits: Limits) -> None:
    scan.findings.append(refused("SAFE-118", scan.name, reason=reason("zip_hidden")))


def _numpy(scan: FileScan, limits: Limits) -> None:
    """The header alone: a type with ``O`` in it is Python objects, which NumPy unpickles."""
    with reading(scan.path), open(scan.path, "rb") as file:
        head = file.read(10)
        size = int.from_bytes(head[8:10], "little") if head[6:7] == b"\1" else 4096
        raw = file.read(min(size, 64 << 10))
    try:
        told = ast.literal_eval(raw.decode("latin-1").strip(" \n\0"))
        objects = "O" in repr(told["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        objects = True
    scan.findings.append(refused("SAFE-107", scan.name) if objects else _refused_as(scan, "npy"))


def _hdf5(scan: FileScan, limits: Limits) -> None:
    scan.findings.append(_refused_as(scan, "hdf5"))


def _other_archive(scan: FileScan, limits: Limits) -> None:
    scan.findings.append(_refused_as(scan, "other_archive"))


def _torch_tar(scan: FileScan, limits: Limits) -> None:
    scan.findings.append(_refused_as(scan, "legacy_tar"))


def _refused_as(scan: FileScan, why: str, **params: object) -> Finding:
    return refused("SAFE-108", scan.name, reason=reason(why, **params))


def _leave_out(scan: FileScan, limits: Limits) -> None:
    scan.kept = False
    scan.findings.append(noted("SAFE-202", scan.name))


def _code(scan: FileScan, limits: Limits) -> None:
    scan.kept = False
    scan.findings.append(noted("SAFE-201", scan.name, name=scan.path.suffix or scan.path.name))


def _data(scan: FileScan, limits: Limits) -> None:
    pass


def _text(scan: FileScan, limits: Limits) -> None:
    _read_text(scan)


def _json(scan: FileScan, limits: Limits) -> None:
    content = _read_text(scan)
    if content is None:
        return
    try:
        value = json.loads(content, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError) as error:
        scan.findings.append(refused("SAFE-137", scan.name, reason=str(error)[:200]))
        return
    asked = sorted(set(_remote_code(value)))
    if asked:
        scan.findings.append(noted("SAFE-201", scan.name, name=", ".join(asked[:_SHOWN])))
    if scan.name.endswith(".index.json"):
        scan.findings += _index_findings(scan, value)


def _read_text(scan: FileScan) -> str | None:
    size = scan.path.stat().st_size
    if size > _LARGEST_TEXT:
        scan.findings.append(_refused_as(scan, "too_large", size=human_size(size)))
        return None
    try:
        with reading(scan.path):
            content = scan.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        content = "\0"
    if "\0" in content:
        scan.findings.append(_refused_as(scan, "not_text"))
        return None
    return content


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(reason("doubled", name=key))
        found[key] = value
    return found


def _remote_code(value: Any) -> Iterator[str]:
    """The keys anywhere in a configuration by which libraries run a model's own code."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            yield from (key for key in _REMOTE if item.get(key))
            if item.get("trust_remote_code"):
                yield "trust_remote_code"
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)


def _index_findings(scan: FileScan, value: Any) -> Iterator[Finding]:
    """Each shard that an index names is a plain name in its own folder, and there."""
    shards = value.get("weight_map") if isinstance(value, dict) else None
    if not isinstance(shards, dict):
        yield refused("SAFE-137", scan.name, reason="weight_map")
        return
    for shard in sorted({str(shard) for shard in shards.values()}):
        if "/" in shard or "\\" in shard or shard.startswith(".") or not (scan.path.parent / shard).is_file():
            yield refused("SAFE-138", scan.name, name=shard)


_SCANS = {
    "torch": _torch,
    "pickle": _pickle,
    "safetensors": _safetensors,
    "gguf": _gguf,
    "zip": _inner_archive,
    "tar": _inner_archive,
    "tar.gz": _inner_archive,
    "polyglot": _polyglot,
    "npy": _numpy,
    "hdf5": _hdf5,
    "archive": _other_archive,
    "torch tar": _torch_tar,
    "json": _json,
    "text": _text,
    "code": _code,
    "data": _data,
    "other": _leave_out,
}
