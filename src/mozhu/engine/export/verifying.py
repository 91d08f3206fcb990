"""``mozhu verify``: an artefact against its certificate, file by file, tensor by tensor, check by check."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mozhu.engine.export.bare_weights import BareWeights, bare_weights
from mozhu.engine.export.certifying import artefact_of, certificate_place, measure, nobody, recorded
from mozhu.engine.export.finding_sources import find_by_hash, lay_out
from mozhu.engine.export.gguf.certificate import gguf_tensors
from mozhu.engine.export.handed_in import opened
from mozhu.engine.export.verified import Looked
from mozhu.engine.export.verifying_bare import look_at_weights
from mozhu.engine.export.verifying_files import compared
from mozhu.engine.inference.gguf_chat import is_gguf
from mozhu.engine.scoring.sealing import certified_files, listed_tensors, tensor_list
from mozhu.engine.scoring.watching import watched
from mozhu.engine.weights.fingerprint import PARTS, fingerprint, weights_hash
from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import MissingCertificate, MozhuError, SourceUnknown
from mozhu.kernel.files import sha256_file
from mozhu.kernel.progress import Emit
from mozhu.kernel.texts import text
from mozhu.specs.certificates import VerifySpec
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.certificate_rules import file_objections, is_bound, objections
from mozhu.specs.records.manifest import ManifestFile, make_manifest

_MOST_TENSORS = 12
# What is named by the hash of a file and not by that of a model.
_FILES = ("pickle", "weights")


@dataclass
class Verified(Looked):
    """``sure``: the certificate that the artefact is held against; ``bare``: weights without a model's settings."""

    bare: BareWeights | None = None

    @property
    def sure(self) -> Certificate:
        assert self.certificate is not None
        return self.certificate


def run_verify(spec: VerifySpec, emit: Emit = nobody) -> Looked:
    """Every difference between the artefact and its certificate. Every byte is read; ``deep`` also measures again.

    Raises:
        MissingCertificate: EXPORT-052. DamagedRecord: FILE-006. What the artefact raises when it is opened.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # of no use to who asks
    bare = bare_weights(spec.model)
    artefact = bare.path if bare else artefact_of(_home_of(spec.model))
    if bare is None and artefact.is_file():  # the one GGUF file of a folder
        bare = bare_weights(str(artefact))
    place = Path(spec.certificate) if spec.certificate else certificate_place(artefact)
    if not place.is_file():
        if bare is None or spec.certificate:
            raise MissingCertificate(path=str(artefact), place=str(place))
        looked = Looked(artefact, place, None)
        with watched(emit):
            look_at_weights(looked, bare)
        return looked
    found = Verified(artefact, place, Certificate.read(place), bare=bare)
    for objection in objections(found.sure):
        check = str(objection.params.get("check", place.name))
        words = text(f"registry.problem.{objection.code}", **objection.params)
        found.say(objection.code, check, words)
    with watched(emit):
        if bare is not None and artefact.is_dir():
            look_at_weights(found, bare)
        _check_files(found)
        _check_tensors(found)
        _check_fingerprint(found)
        _check_sources(found, spec)
        if spec.deep:
            _measure_again(found, spec)
    return found


def _home_of(ref: str) -> str:
    """The folder of a model whose file of weights was named."""
    path = Path(ref).expanduser()
    return str(path.parent) if path.suffix == ".safetensors" and path.is_file() else ref


def _check_files(found: Verified) -> None:
    certificate = found.sure
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
        found.say(objection.code, path, words)
    found.looked_at["files"] = len(certificate.files)
    found.looked_at["bytes"] = sum(file.size for file in there)


def _files_now(artefact: Path) -> list[ManifestFile]:
    if artefact.is_dir():
        return certified_files(artefact, fresh=True)
    beside = artefact.parent / "Modelfile"
    return [ManifestFile.of(artefact.parent, path) for path in (artefact, beside) if path.is_file()]


def _check_tensors(found: Verified) -> None:
    """By name: absent, new, of another type or shape, of other numbers."""
    wanted = found.sure.tensors
    if not wanted:
        return
    found.looked_at["tensors"] = len(wanted)
    now = _tensors_now(found)
    odd = sorted(name for name in wanted.keys() | now.keys() if wanted.get(name) != now.get(name))
    for name in odd[:_MOST_TENSORS]:
        code = "tensor_gone" if name not in now else "tensor_new" if name not in wanted else "tensor_other"
        found.add(code, name, wanted=_kind(wanted.get(name)), found=_kind(now.get(name)))
    if len(odd) > _MOST_TENSORS:
        found.add("tensors_more", f"+{len(odd) - _MOST_TENSORS}", count=len(odd) - _MOST_TENSORS)


def _tensors_now(found: Verified) -> dict[str, str]:
    """The files were read a moment ago: hashes are known."""
    if found.artefact.is_file() and is_gguf(str(found.artefact)):
        return gguf_tensors(found.artefact)
    return (
        listed_tensors(found.bare.tensors()) if found.bare else tensor_list(ModelFolder.open(found.artefact))
    )


def _kind(told: str | None) -> str:
    return "-" if told is None else told


def _check_fingerprint(found: Verified) -> None:
    told, artefact = found.sure.fingerprint, found.artefact
    if artefact.is_file():
        now = {"file": sha256_file(artefact)} if "file" in told else {}
    elif found.sure.kind == "adapter":
        # Its own manifest changes with what is written about it; its files are held against the list above.
        now = {} if is_bound(found.sure) else {"adapter": make_manifest(artefact).sha256}
    elif found.bare is not None:
        now = found.bare.fingerprint()
    else:
        now = fingerprint(artefact)
    for part in ("file", "adapter", *PARTS):
        if part in told and part in now and told[part] != now[part]:
            found.add("fingerprint", part, wanted=told[part][:19], found=now[part][:19])


def _check_sources(found: Verified, spec: VerifySpec) -> None:
    """What it was made from, where it can be found, is still what it was."""
    named = {"base": spec.source, "source": spec.source, "adapter": spec.adapter}
    if spec.source and Path(spec.source).is_file():
        named |= dict.fromkeys(_FILES, spec.source)
    home = found.artefact if found.artefact.is_dir() else found.artefact.parent
    for item in found.sure.made_from:
        role = str(item.get("role", ""))
        there = home / str(item["path"]) if item.get("path") else None
        place = named.pop(role, None) or (str(there) if there is not None and there.exists() else None)
        if place is None and role in _FILES:
            place = str(find_by_hash(item, home) or "") or None
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
    again = _from_files(found, spec) or _from_models(found, spec)
    found.measured = again
    found.looked_at["checks"] = len(again.checks)
    for check in again.checks:
        if not check.ok:
            found.add("check_again", check.name, value=check.value, limit=check.limit)


def _from_models(found: Verified, spec: VerifySpec) -> Certificate:
    kind = found.sure.kind
    adapter = (spec.adapter or recorded(found.artefact, "adapter")) if kind == "merge" else None
    source = spec.source or recorded(found.artefact, "source") or recorded(found.artefact, "base")
    return measure(found.artefact, source, adapter, kind, None)


def _from_files(found: Verified, spec: VerifySpec) -> Certificate | None:
    """Of what was made from pickles or from weights alone: they are opened as safely as then, and compared again.

    They are looked for by their hash in the registry's store and in the folders of runs and models.

    Raises:
        SourceUnknown: EXPORT-051, they lie nowhere there. NotConvertible: EXPORT-034, they are not what they were.
    """
    items = [item for item in found.sure.made_from if item.get("role") in _FILES]
    if not items:
        return None
    home = found.artefact if found.artefact.is_dir() else found.artefact.parent
    with TemporaryDirectory(prefix="mozhu-verify-") as folder:
        ref = spec.source
        if ref is None:
            there = {str(item.get("name", "")): find_by_hash(item, home) for item in items}
            files = {name: path for name, path in there.items() if path is not None}
            if len(files) < len(items):
                raise SourceUnknown(path=str(found.artefact), flag="--source")
            laid = lay_out(files, home, Path(folder) / "source")
            ref = str(laid if len(files) > 1 else laid / next(iter(files)))
        with opened(ref, Path(folder), nobody) as source:
            return compared(source, found.artefact, found.sure.kind)
