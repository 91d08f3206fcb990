"""``mozhu inspect``: what a stranger's file, archive or folder is, and a safe form of it in the run folder.

The result is data: ``details.verdict`` is ``clean`` or ``refused``, ``details.findings`` says why, and
``details.model`` is the folder or file to use, which exists only when the verdict is ``clean``.
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mozhu.engine.intake.convert_checkpoint import convert_checkpoint, has_torch
from mozhu.engine.intake.findings import is_refused, noted, reason, refused
from mozhu.engine.intake.kinds import ARCHIVES, kind_of
from mozhu.engine.intake.limits import Limits
from mozhu.engine.intake.opinions import installed
from mozhu.engine.intake.recognise import Recognised, recognise, recognise_whole
from mozhu.engine.intake.scan import FileScan, scan_file, scan_folder
from mozhu.engine.intake.unpack import unpack
from mozhu.kernel import slots
from mozhu.kernel.errors import DiskFull, MissingFile, MozhuError
from mozhu.kernel.files import (
    free_bytes,
    human_size,
    make_folder,
    read_json,
    replacing_folder,
    sha256_file,
    write_json,
    writing,
)
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.inspect import InspectSpec
from mozhu.specs.records.base import Record
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.findings import Finding
from mozhu.specs.records.manifest import Manifest, make_manifest
from mozhu.specs.records.result import Artefact, Outcome

UNPACKED, SAFE = "unpacked", "safe"
_PROTECTIONS = ("network", "user", "limits", "privileges", "calls")
_INDEX = ".index.json"
_PICKLED = ("torch", "pickle")


@dataclass
class Inspected:
    """What came of it. ``place`` is the folder or file to use; ``digests``: of the converted tensors, by file."""

    findings: list[Finding] = field(default_factory=list)
    scans: list[FileScan] = field(default_factory=list)
    recognised: Recognised | None = None
    place: Path | None = None
    converted: list[str] = field(default_factory=list)
    protections: tuple[str, ...] = ()
    digests: dict[str, dict[str, str]] = field(default_factory=dict)
    certificate: Certificate | None = None


def run_inspect(spec: InspectSpec, folder: Path, emit: Emit) -> Outcome:
    """Look at ``spec.path``; leave in ``folder`` only what is safe.

    Raises:
        MissingFile: FILE-001. DiskFull: FILE-003.
    """
    path = Path(spec.path).expanduser()
    if not path.exists():
        raise MissingFile(path=str(path))
    limits = Limits(total_bytes=_room(spec.limit_bytes, folder))
    done = inspect_path(
        path, folder, limits, emit, convert=spec.convert, whole=spec.whole, certify=spec.certify
    )
    for finding in done.findings:
        emit("finding", level=finding.level, code=finding.code, params=finding.params)
    return _outcome(done, path, folder)


def inspect_path(
    path: Path,
    folder: Path,
    limits: Limits,
    emit: Emit,
    *,
    convert: bool,
    whole: bool = False,
    certify: bool = False,
) -> Inspected:
    """Unpack, scan, recognise, convert: each step only when the one before it has found nothing against it."""
    done = Inspected()
    source = path
    if path.is_file() and (kind := kind_of(path)) in ARCHIVES:
        source = folder / UNPACKED
        if not _unpacked(path, kind, source, limits, emit, done):
            return done
    limits = Limits(total_bytes=max(limits.total_bytes, 1 << 50))  # what lies on the disk already
    done.scans = (
        scan_folder(source, limits, whole=whole)
        if source.is_dir()
        else [scan_file(source, source.name, limits, whole=whole)]
    )
    done.findings += [finding for scan in done.scans for finding in scan.findings]
    if not is_refused(done.findings):
        done.recognised = recognise_whole(done.scans) if whole else recognise(done.scans)
        if done.recognised is None:
            done.findings.append(refused("SAFE-135", path.name))
    if is_refused(done.findings):
        _remove(folder / UNPACKED)
        return done
    done.place = source
    _make_safe(source, folder, done, convert=convert, certify=certify)
    if certify and not is_refused(done.findings):
        _certify_rest(done)
    if is_refused(done.findings):
        done.place = None
        _remove(folder / UNPACKED)
        _remove(folder / SAFE)
    return done


def _room(limit_bytes: int, folder: Path) -> int:
    """Half of what the disk has free, so that what is unpacked and what is made of it both fit."""
    free = free_bytes(folder)
    if not free:
        return limit_bytes
    if free < 1 << 20:
        raise DiskFull(path=str(folder), free=human_size(free))
    return min(limit_bytes, free // 2)


def _unpacked(path: Path, kind: str, target: Path, limits: Limits, emit: Emit, done: Inspected) -> bool:
    """Whether the archive lies whole in ``target``."""
    steps = _Steps(emit)
    _remove(target)
    with replacing_folder(target) as temporary:
        done.findings += unpack(path, kind, temporary, limits, steps.show)
    if is_refused(done.findings):
        _remove(target)
        return False
    return True


def _make_safe(source: Path, folder: Path, done: Inspected, *, convert: bool, certify: bool) -> None:
    """Pickles become safetensors beside links to all else that is kept; without pickles there is nothing to do.

    Records are written into a folder of the run's own only.
    """
    pickled = [scan for scan in done.scans if scan.kept and scan.checkpoint is not None]
    if any(scan.kind == "safetensors" for scan in done.scans):
        for scan in pickled:  # the same weights a second time
            scan.kept = False
            done.findings.append(noted("SAFE-202", scan.name))
        pickled = []
    if pickled and not convert:
        done.findings += [noted("SAFE-205", scan.name) for scan in pickled]
    if pickled and convert and not has_torch():
        done.findings += [noted("SAFE-203", scan.name, extra="train") for scan in pickled]
    converting = bool(pickled) and convert and has_torch()
    own = source.is_dir() and folder in source.parents
    if not converting and all(scan.kept for scan in done.scans) and (own or not certify):
        return
    with replacing_folder(folder / SAFE) as safe:
        if converting:
            _convert_all(pickled, safe, done)
        if not is_refused(done.findings):
            for scan in done.scans:
                if scan.kept and not (converting and scan in pickled):
                    _place(scan, safe, renamed=_new_names(pickled) if converting else {})
    done.place = folder / SAFE
    if converting and not is_refused(done.findings):
        _certify(pickled, folder / SAFE, done)
    _remove(folder / UNPACKED)


def _certify(pickled: list[FileScan], safe: Path, done: Inspected) -> None:
    """Certificate and manifest of what was converted, in the folder of the model; a failing one refuses it all."""
    root = safe / (done.recognised.root if done.recognised else ".")
    names = _new_names(pickled)
    inside = {
        (safe / name).relative_to(root).as_posix(): own
        for name, own in done.digests.items()
        if root in (safe / name).parents
    }
    sources = [scan for scan in pickled if root in (safe / names[scan.name]).parents]
    made_from = [
        {"role": "pickle", "file": sha256_file(scan.path), "name": PurePosixPath(scan.name).name}
        for scan in sources
    ]
    certificate: Certificate = slots.load("mozhu.rooms", "certify_unpickled")(root, inside, made_from)
    if not certificate.passed:
        failed = [f"{check.name} = {check.value}" for check in certificate.checks if not check.ok]
        done.findings += [
            refused("SAFE-133", scan.name, reason=reason("not_certified", what=", ".join(failed)))
            for scan in sources
        ]
        return
    done.certificate = certificate
    certificate.write(root / "certificate.json")
    make_manifest(root).write(root / "manifest.json")


def _certify_rest(done: Inspected) -> None:
    """Manifest and certificate of what is clean, where there is none: pickles that were not converted get none.

    What the folder brought along stays as it is when it is such a record, so that a failing certificate counts.
    """
    assert done.place is not None and done.recognised is not None, "only what is clean is certified"
    root = done.place / done.recognised.root
    pickled = any(scan.kept and scan.kind in _PICKLED for scan in done.scans) and not done.converted
    if done.certificate is not None or pickled:
        return
    done.findings += [
        noted("SAFE-202", name)
        for name, record in (("manifest.json", Manifest), ("certificate.json", Certificate))
        if (root / name).is_file() and not _is_record(root / name, record)
    ]
    if not _is_record(root / "manifest.json", Manifest):
        make_manifest(root).write(root / "manifest.json")
    own = root / "certificate.json"
    if _is_record(own, Certificate) and Certificate.read(own).files:
        done.certificate = Certificate.read(own)
        return
    done.certificate = slots.load("mozhu.rooms", "certify_handed_in")(root, ["mozhu", *installed()])
    done.certificate.write(own)


def _is_record(path: Path, record: type[Record]) -> bool:
    try:
        record.read(path)
    except MozhuError:
        return False
    return True


def _convert_all(pickled: list[FileScan], safe: Path, done: Inspected) -> None:
    names = _new_names(pickled)
    for scan in pickled:
        assert scan.checkpoint is not None, "only scanned checkpoints are converted"
        made = convert_checkpoint(scan.path, scan.checkpoint.weights, safe / names[scan.name], scan.name)
        done.findings += made.findings
        done.protections = made.protections
        if scan.checkpoint.weights.left_out:
            beside = [str(name) for name in scan.checkpoint.weights.left_out[:12]]
            done.findings.append(noted("SAFE-204", scan.name, names=beside))
        missing = [text(f"safe.protection.{name}") for name in _PROTECTIONS if name not in made.protections]
        if missing and not made.findings:
            done.findings.append(noted("SAFE-206", scan.name, missing=missing))
        done.converted.append(names[scan.name])
        done.digests[names[scan.name]] = made.digests


def _new_names(pickled: list[FileScan]) -> dict[str, str]:
    """``pytorch_model-00001-of-00002.bin`` is then ``model-00001-of-00002.safetensors``, in the same folder.

    A checkpoint that is alone in its folder becomes ``model.safetensors``, or ``adapter_model.safetensors``.
    """
    names = {}
    for scan in pickled:
        place = PurePosixPath(scan.name)
        beside = [other for other in pickled if PurePosixPath(other.name).parent == place.parent]
        stem = place.stem.replace("pytorch_model", "model")
        if len(beside) == 1 and stem != "adapter_model":
            stem = "model"
        names[scan.name] = (place.parent / f"{stem}.safetensors").as_posix()
    return names


def _place(scan: FileScan, safe: Path, renamed: dict[str, str]) -> None:
    """The file at its place in ``safe``: a link to the same bytes where it can be; an index with the new names."""
    target = safe / scan.name
    if (
        renamed
        and scan.name.endswith(_INDEX)
        and scan.name.removesuffix(_INDEX).endswith((".bin", ".pt", ".pth"))
    ):
        index: dict[str, Any] = read_json(scan.path)
        short = {PurePosixPath(old).name: PurePosixPath(new).name for old, new in renamed.items()}
        index["weight_map"] = {name: short.get(file, file) for name, file in index["weight_map"].items()}
        write_json(target.with_name("model.safetensors.index.json"), index)
        return
    make_folder(target.parent)
    with writing(target):
        try:
            os.link(scan.path.resolve(), target)
        except OSError:
            shutil.copyfile(scan.path, target)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _outcome(done: Inspected, path: Path, folder: Path) -> Outcome:
    details: dict[str, Any] = {
        "verdict": "refused" if is_refused(done.findings) else "clean",
        "path": str(path),
        "findings": [{**finding.to_json(), "message": message_of(finding)} for finding in done.findings],
        "scanners": ["mozhu", *installed()],
        "files": [{"path": s.name, "kind": s.kind, "kept": s.kept} for s in done.scans],
    }
    artefacts: list[Artefact] = []
    if done.recognised is not None:
        details |= done.recognised.to_json()
        names = {name for scan in done.scans if scan.checkpoint for name in scan.checkpoint.names}
        details |= {
            "converted": done.converted,
            "protections": list(done.protections),
            "globals": sorted(names),
        }
    if done.place is not None and done.recognised is not None:
        place = done.place / done.recognised.root if done.place.is_dir() else done.place
        inside = folder in place.parents
        details["model"] = place.relative_to(folder).as_posix() if inside else str(place)
        pickled = any(scan.kept and scan.checkpoint for scan in done.scans) and not done.converted
        details["kind"] = "checkpoint" if pickled else done.recognised.kind
        records = {}
        if done.certificate is not None:
            records = {name: f"{details['model']}/{name}.json" for name in ("manifest", "certificate")}
        artefacts.append(Artefact(kind=details["kind"], path=details["model"], **records))
    return Outcome(artefacts=artefacts, details=details)


def message_of(finding: Finding) -> str:
    """What it says, in words."""
    params = {
        name: ", ".join(map(str, v)) if isinstance(v, list) else v for name, v in finding.params.items()
    }
    return text(f"safe.{finding.code}.what", **params)


class _Steps:
    """Progress of unpacking, at most four times a second."""

    def __init__(self, emit: Emit) -> None:
        self._emit, self._began, self._shown = emit, time.monotonic(), 0.0

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._shown < 0.25 and done < total:
            return
        self._shown = now
        eta = (now - self._began) * (total - done) / done if done else None
        self._emit("step", step=done, total=max(total, 1), unit="byte", eta_s=eta)
