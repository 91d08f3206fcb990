"""Nothing takes its place without its certificate, where a certifier is installed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from mozhu.engine.scoring.watching import watched
from mozhu.kernel.errors import CertificateFailed
from mozhu.kernel.progress import Emit
from mozhu.kernel.slots import load, names
from mozhu.specs.records.certificate import Certificate

ROOMS = "mozhu.rooms"


def certify(
    certifier: str,
    folder: Path,
    /,
    *subject: object,
    target: Path,
    emit: Emit,
    told: Callable[[Certificate], Certificate] = lambda certificate: certificate,
    **more: object,
) -> Certificate | None:
    """The certificate of ``subject``, written into ``folder``; None where no such certifier is known.

    ``emit`` is told how far the measuring is, as :func:`~mozhu.engine.scoring.watching.watched` tells it.

    Args:
        told: Adds what the maker knows and the certifier cannot.

    Raises:
        CertificateFailed: EXPORT-005, listing each failed check with its value and limit.
    """
    try:
        make = load(ROOMS, certifier) if certifier in names(ROOMS) else None
    except ModuleNotFoundError:
        make = None
    if make is None:
        emit("finding", level="warning", code="EXPORT-013", params={"certifier": certifier})
        return None
    with watched(emit):
        certificate: Certificate = told(make(*subject, **more))
    if not certificate.passed:
        failed = [f"{c.name} = {c.value} ({c.limit})" for c in certificate.checks if not c.ok]
        raise CertificateFailed(path=str(target), checks=failed or ["-"])
    certificate = _at_home(certificate, folder, target)
    certificate.write(folder / "certificate.json")
    return certificate


def _at_home(certificate: Certificate, folder: Path, target: Path) -> Certificate:
    """Its paths lead from ``target``, where it will lie, and not from the folder in which it is made."""
    made_from = [dict(item) for item in certificate.made_from]
    for item in made_from:
        if item.get("path"):
            place = os.path.normpath(folder.absolute() / str(item["path"]))
            item["path"] = Path(os.path.relpath(place, target.absolute())).as_posix()
    return certificate.model_copy(update={"made_from": made_from}).sealed()
