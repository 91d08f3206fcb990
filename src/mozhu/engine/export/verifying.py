"""``mozhu verify``: an artefact against its certificate, file by file, tensor by tensor, check by check."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.export.certifying import artefact_of, certificate_place, measure, nobody, recorded
from mozhu.engine.export.gguf.certificate import gguf_tensors
from mozhu.engine.scoring.sealing import certified_files, tensor_list
from mozhu.engine.scoring.watching import watched
from mozhu.engine.weights.fingerprint import PARTS, fingerprint, weights_hash
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import MissingCertificate, MozhuError
from mozhu.kernel.files import sha256_file
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.certificates import VerifySpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.certificate_rules import file_objections, is_bound, objections
from mozhu.specs.records.manifest import ManifestFile, make_manifest

_MOST_TENSORS = 12


@dataclass(frozen=True)
class Difference:
    """``place`` is the file, tensor or check that differs; ``level`` is ``error`` or ``warning``."""

    level: str
    place: str
    code: str
    words: str

    def to_json(self) -> dict[str, str]:
        return {"level": self.level, "place": self.place, "code": self.code, "words": self.words}


@dataclass
class Verified:
    """``measured``: the certificate measured anew, of a deep look."""

    artefact: Path
    place: Path
    certificate: Certificate
    differences: list[Difference] = field(default_factory=list)
    looked_at: dict[str, int] = field(default_factory=dict)
    measured: Certificate | None = None

    @property
    def holds(self) -> bool:
        return not any(item.level == "error" for item in self.differences)

    def add(self, code: str, place: str, level: str = "error", **params: Any) -> None:
        words = text(f"export.verify.{code}", place=place, **params)
        self.differences.append(Difference(level, place, code, words))

    def to_json(self) -> dict[str, Any]:
        return {
            "artefact": str(self.artefact),
            "certificate": str(self.place),
            "kind": self.certificate.kind,
            "holds": self.holds,
            "differences": [item.to_json() for item in self.differences],
            "looked_at": self.looked_at,
            "measured": None if self.measured is None else self.measured.to_json(),
        }


def run_verify(spec: VerifySpec, emit: Emit = nobody) -> Verified:
    """Every difference between the artefact and its certificate. Every byte is read; ``deep`` also measures again.

    Raises:
        MissingCertificate: EXPORT-052. DamagedRecord: FILE-006. What the artefact raises when it is opened.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # of no use to who asks
    artefact = artefact_of(spec.model)
    place = Path(spec.certificate) if spec.certificate else certificate_place(artefact)
    if not place.is_file():
        raise MissingCertificate(path=str(artefact), place=str(place))
    found = Verified(artefact, place, Certificate.read(place))
    for objection in objections(found.certificate):
        check = str(objection.params.get("check", place.name))
        words = text(f"registry.problem.{objection.code}", **objection.params)
        found.differences.append(Difference("error", check, objection.code, words))
    with watched(emit):
        _check_files(found)
        _check_tensors(found)
        _check_fingerprint(found)
        _check_sources(found, spec)
        if spec.deep:
            _measure_again(found, spec)
    return found


def _check_files(found: Verified) -> None:
    certificate = found.certificate
    if not is_bound(certificate):
        found.add("unbound", found.place.name, "warning")
        return
    there = _files_now(found.artefact)
    weights = [file.path for file in there if file.path.endswith((".safetensors", ".gguf"))]
    if found.artefact.is_file():
        weights = [found.artefact.name]
    for objection in file_objections(certificate, there, weights=weights):
        path = str(objection.params["path"])
        words = text(f"registry.problem.{objection.code}", **objection.params)
        found.differences.append(Difference("error", path, objection.code, words))
    found.looked_at["files"] = len(certificate.files)
    found.looked_at["bytes"] = sum(file.size for file in there)


def _files_now(artefact: Path) -> list[ManifestFile]:
    if artefact.is_dir():
        return certified_files(artefact, fresh=True)
    beside = artefact.parent / "Modelfile"
    return [ManifestFile.of(artefact.parent, path) for path in (artefact, beside) if path.is_file()]


def _check_tensors(found: Verified) -> None:
    """By name: absent, new, of another type or shape, of other numbers."""
    wanted = found.certificate.tensors
    if not wanted:
        return
    found.looked_at["tensors"] = len(wanted)
    if found.artefact.is_dir():
        now = tensor_list(ModelFolder.open(found.artefact))  # read a moment ago, with the files
    else:
        now = gguf_tensors(found.artefact)
    odd = sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
    for name in odd[:_MOST_TENSORS]:
        code = "tensor_gone" if name not in now else "tensor_new" if name not in wanted else "tensor_other"
        found.add(code, name, wanted=_kind(wanted.get(name)), found=_kind(now.get(name)))
    if len(odd) > _MOST_TENSORS:
        found.add("tensors_more", f"+{len(odd) - _MOST_TENSORS}", count=len(odd) - _MOST_TENSORS)


def _kind(told: str | None) -> str:
    return "-" if told is None else told


def _check_fingerprint(found: Verified) -> None:
    told, artefact = found.certificate.fingerprint, found.artefact
    if artefact.is_file():
        now = {"file": sha256_file(artefact)} if "file" in told else {}
    elif found.certificate.kind == "adapter":
        # Its own manifest changes with what is written about it; its files are held against the list above.
        now = {} if is_bound(found.certificate) else {"adapter": make_manifest(artefact).sha256}
    else:
        now = fingerprint(artefact)
    for part in ("file", "adapter", *PARTS):
        if part in told and part in now and told[part] != now[part]:
            found.add("fingerprint", part, wanted=told[part][:19], found=now[part][:19])


def _check_sources(found: Verified, spec: VerifySpec) -> None:
    """What it was made from, where it can be found, is still what it was."""
    named = {"base": spec.source, "source": spec.source, "adapter": spec.adapter}
    home = found.artefact if found.artefact.is_dir() else found.artefact.parent
    for item in found.certificate.made_from:
        role = str(item.get("role", ""))
        there = home / str(item["path"]) if item.get("path") else None
        place = named.pop(role, None) or (str(there) if there is not None and there.exists() else None)
        if place is None:
            found.add("source_unknown", role, "warning")
            continue
        try:
            part, now = ("file", sha256_file(place)) if "file" in item else _now(artefact_of(place), item)
        except MozhuError as error:
            found.add("source_unreadable", role, "warning", reason=error.what)
            continue
        wanted = str(item.get(part, ""))
        if now != wanted:
            found.add("source_other", role, path=place, wanted=wanted[:19], found=now[:19])


def _now(path: Path, item: dict[str, Any]) -> tuple[str, str]:
    """The hash by which the certificate names a source, and what it is now.

    What is written about an adapter later changes its manifest and not its weights.
    """
    if "fingerprint" in item:
        return "fingerprint", fingerprint(path)["whole"]
    if "weights" in item:
        return "weights", weights_hash(ModelFolder.open(path))
    return "manifest", make_manifest(path).sha256


def _measure_again(found: Verified, spec: VerifySpec) -> None:
    """Each check of the certificate passes again."""
    kind = found.certificate.kind
    named = {"adapter": spec.adapter} if kind == "merge" else {"adapter": None}
    source = spec.source or recorded(found.artefact, "source") or recorded(found.artefact, "base")
    again = measure(found.artefact, source, named["adapter"] or _adapter_of(found), kind, None)
    found.measured = again
    found.looked_at["checks"] = len(again.checks)
    for check in again.checks:
        if not check.ok:
            found.add("check_again", check.name, value=check.value, limit=check.limit)


def _adapter_of(found: Verified) -> str | None:
    return recorded(found.artefact, "adapter") if found.certificate.kind == "merge" else None
