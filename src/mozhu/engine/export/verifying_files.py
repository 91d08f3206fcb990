"""An artefact measured again against the files that it was made from: pickles, made safe anew, or weights alone."""

from __future__ import annotations

from pathlib import Path

from mozhu.engine.export.handed_in import Source
from mozhu.engine.scoring.certificates_same import certify_conversion
from mozhu.engine.scoring.certificates_weights import certify_weights
from mozhu.engine.weights.references import FoundModel
from mozhu.specs.records.certificate import Certificate


def compared(source: Source, artefact: Path, kind: str) -> Certificate:
    """The certificate of ``artefact`` that ``source`` gives today: by answers where it is a ``conversion``, and
    tensor by tensor.
    """
    files = sorted(artefact.glob("*.safetensors")) if artefact.is_dir() else [artefact]
    weights = certify_weights(source.files, files, artefact, source.made_from(artefact))
    if kind != "conversion" or source.found is None:
        return weights
    adapter = artefact if source.found.adapter is not None else None
    copy = FoundModel(artefact.name, artefact, adapter, source.found.base if adapter else artefact)
    answers = certify_conversion(source.found, copy)
    known = {check.name for check in answers.checks}
    checks = [*answers.checks, *(check for check in weights.checks if check.name not in known)]
    passed = all(check.ok for check in checks)
    return answers.model_copy(
        update={"checks": checks, "passed": passed, "made_from": weights.made_from}
    ).sealed()
