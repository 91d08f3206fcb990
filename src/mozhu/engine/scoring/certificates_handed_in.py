"""The certificate of what strangers hand in: every file was looked at, none was found at fault, and these are they.

It says nothing of how a model answers: nobody has asked it. Needs no model library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.engine.scoring.sealing import certified_files, is_whole, sealed
from mozhu.kernel import slots
from mozhu.kernel.errors import MozhuError
from mozhu.specs.records.certificate import Certificate, Check

KIND = "handed_in"


def certify_handed_in(folder: Path, scanners: list[str]) -> Certificate:
    """The record (kind ``handed_in``) of the clean ``folder``; the fingerprint of a model or adapter is in it.

    Args:
        scanners: Who looked at the files.
    """
    files = certified_files(folder)
    checks = [Check.of("files_checked", len(files), KIND), Check.of("faults_found", 0, KIND)]
    told: dict[str, Any] = {"artefact": folder, "made_from": [], "measured": {"scanners": scanners}}
    if not is_whole(folder):
        return sealed(KIND, checks, prints={}, files=files, **told)
    return sealed(KIND, checks, prints=_fingerprint(folder), **told)


def _fingerprint(folder: Path) -> dict[str, str]:
    """Nothing where the template cannot be rendered here."""
    try:
        found: dict[str, str] = slots.load("mozhu.rooms", "fingerprint")(folder)
    except MozhuError:
        return {}
    return found
