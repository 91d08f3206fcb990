"""``mozhu certify``: a certificate for any artefact and what it was made from."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mozhu.engine.export.gguf.certificate import certify_gguf, file_quantization
from mozhu.engine.inference.gguf_chat import is_gguf
from mozhu.engine.scoring.certificates import certify_adapter, certify_merge
from mozhu.engine.scoring.certificates_full import certify_full
from mozhu.engine.scoring.certificates_same import certify_conversion, certify_quantised, quantised_bits
from mozhu.engine.scoring.real_rows import rows_of
from mozhu.engine.scoring.structure import same_structure
from mozhu.engine.scoring.watching import watched
from mozhu.engine.weights.folder import ModelFolder, is_adapter_folder
from mozhu.engine.weights.references import FoundModel, find_model
from mozhu.kernel.errors import NothingToCertify, SourceUnknown
from mozhu.kernel.files import read_json
from mozhu.kernel.progress import Emit
from mozhu.specs.certificates import CertifySpec
from mozhu.specs.records.certificate import Certificate

CERTIFICATE = "certificate.json"
Rows = list[dict[str, Any]] | None


@dataclass(frozen=True)
class Certified:
    """``place``: where the certificate was written; ``None`` where it failed and no place was named."""

    certificate: Certificate
    artefact: Path
    place: Path | None

    def to_json(self) -> dict[str, Any]:
        place = None if self.place is None else str(self.place)
        return {"artefact": str(self.artefact), "written": place, **self.certificate.to_json()}


def nobody(kind: str, **fields: Any) -> None:
    """Takes events that nobody watches."""


def run_certify(spec: CertifySpec, emit: Emit = nobody) -> Certified:
    """Measure, and write the certificate beside the artefact when it passes, or to ``spec.output`` in any case.

    Raises:
        SourceUnknown: EXPORT-051. NothingToCertify: EXPORT-050. What the artefacts raise when they are opened.
    """
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")  # of no use to who asks
    artefact = artefact_of(spec.model)
    rows = None if spec.data is None else rows_of(spec.data).rows
    with watched(emit):
        certificate = measure(artefact, spec.source, spec.adapter, spec.kind, rows)
    place = Path(spec.output) if spec.output else certificate_place(artefact) if certificate.passed else None
    if place is not None:
        certificate.write(place)
    return Certified(certificate, artefact, place)


def measure(artefact: Path, source: str | None, adapter: str | None, kind: str, rows: Rows) -> Certificate:
    """The certificate of ``artefact``; what is not named is looked for in its own records."""
    if artefact.is_file():
        return certify_gguf(_full(_named(source, artefact)), artefact, file_quantization(artefact), rows)
    if kind == "adapter" or (kind == "auto" and source is None and is_adapter_folder(artefact)):
        return certify_adapter(find_model(str(artefact), base=source).base, artefact, rows)
    if adapter is not None or kind == "merge":
        found = find_model(_adapter(adapter, artefact), base=source or recorded(artefact, "base"))
        if found.adapter is None:
            raise NothingToCertify(path=str(found.path))
        (first, weight), *others = recorded_adapters(artefact) or [("", 1.0)]
        if found.adapter.resolve() != Path(first).resolve():  # another one than it says it was made with
            return certify_merge(found.base, found.adapter, artefact, rows)
        return certify_merge(found.base, found.adapter, artefact, rows, weight=weight, more=others)
    if source is None and recorded(artefact, "adapter") is not None:
        return measure(artefact, None, recorded(artefact, "adapter"), "merge", rows)
    before, after = find_model(_named(source, artefact)), find_model(str(artefact))
    if before.adapter is None and after.adapter is not None and kind == "auto":
        return certify_adapter(before.base, artefact, rows)
    return _of_two(before, after, kind, rows)


def artefact_of(ref: str) -> Path:
    """The folder, or the GGUF file, that ``ref`` means.

    Raises:
        NothingToCertify: EXPORT-050. What find_model raises.
    """
    path = Path(ref).expanduser()
    if is_gguf(ref):
        return path
    if path.is_dir() and not (path / "config.json").is_file():
        files = sorted(path.glob("*.gguf"))
        if len(files) == 1:
            return files[0]
        if files:
            raise NothingToCertify(path=ref)
    return find_model(ref).path


def certificate_place(artefact: Path) -> Path:
    """Where the certificate of ``artefact`` lies: in its folder; of a GGUF file that shares its folder, by its name."""
    if artefact.is_dir():
        return artefact / CERTIFICATE
    own = artefact.with_name(f"{artefact.stem}.{CERTIFICATE}")
    alone = len(list(artefact.parent.glob("*.gguf"))) == 1
    return artefact.parent / CERTIFICATE if alone and not own.is_file() else own


def recorded(artefact: Path, role: str) -> str | None:
    """Where the artefact's certificate says that what it was made from lies, if that is still there."""
    return next((place for place, _ in _recorded(artefact, role)), None)


def recorded_adapters(artefact: Path) -> list[tuple[str, float]]:
    """Every adapter that was merged in, with its weight, as far as they are still there."""
    return [(place, float(item.get("weight", 1.0))) for place, item in _recorded(artefact, "adapter")]


def _recorded(artefact: Path, role: str) -> Iterator[tuple[str, dict[str, Any]]]:
    place = certificate_place(artefact)
    value = read_json(place) if place.is_file() else None
    home = artefact if artefact.is_dir() else artefact.parent
    for item in value.get("made_from", []) if isinstance(value, dict) else []:
        path = home / str(item["path"]) if item.get("role") == role and item.get("path") else None
        if path is not None and path.exists():
            yield str(path), item


def _of_two(first: FoundModel, second: FoundModel, kind: str, rows: Rows) -> Certificate:
    source, copy = ModelFolder.open(first.path), ModelFolder.open(second.path)
    if kind == "quantised" or (kind == "auto" and quantised_bits(copy.config) is not None):
        return certify_quantised(first, second, rows)
    if kind == "full" or (kind == "auto" and _was_trained(source, copy)):
        return certify_full(first.path, second.path, rows)
    return certify_conversion(first, second, rows)


def _was_trained(source: ModelFolder, copy: ModelFolder) -> bool:
    """Whether ``copy`` says that a training made it: nobody should have to guess from its numbers."""
    if copy.kind == "adapter" or any(not check.ok for check in same_structure(source, copy, "full")):
        return False
    return (copy.path / "training_config.json").is_file()


def _named(source: str | None, artefact: Path) -> str:
    found = source or recorded(artefact, "source") or recorded(artefact, "base") or _converted_from(artefact)
    if found is None:
        raise SourceUnknown(path=str(artefact), flag="--source")
    return found


def _converted_from(artefact: Path) -> str | None:
    """What a training in full says that it started from."""
    place = artefact / "training_config.json"
    value = read_json(place) if place.is_file() else {}
    model = value.get("model") if isinstance(value, dict) else None
    return str(model) if model else None


def _adapter(adapter: str | None, artefact: Path) -> str:
    found = adapter or recorded(artefact, "adapter")
    if found is None:
        raise SourceUnknown(path=str(artefact), flag="--adapter")
    return found


def _full(ref: str) -> Path:
    found = find_model(ref)
    if found.adapter is not None:
        raise NothingToCertify(path=str(found.path))
    return found.path
