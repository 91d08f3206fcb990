"""What the safe loader has passed becomes a version: its folder, its row, its model and its import in one step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from mozhu.kernel.errors import BlobDamaged, ImportGone
from mozhu.kernel.progress import iso_time
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import changes
from mozhu.platform.catalog import rows as catalogue
from mozhu.platform.catalog.artefacts import CERTIFICATE, Artefact, Kind, json_object, kind_of
from mozhu.platform.catalog.cards import write_card
from mozhu.platform.catalog.kinds import MODEL
from mozhu.platform.catalog.registering import Admission, check_candidate, register_candidate
from mozhu.platform.catalog.sidecars import INFO, MODEL_TYPES, Wishes
from mozhu.platform.catalog.views import Registered, VersionView
from mozhu.platform.catalog.weights import has_tokenizer
from mozhu.platform.catalog.words import reindex
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables import LOCAL
from mozhu.platform.database.tables_imports import ImportRow
from mozhu.platform.imports import rows
from mozhu.platform.imports.bases import find_base, registered
from mozhu.platform.imports.events import OF_STATE, tell
from mozhu.platform.imports.views import ImportView
from mozhu.platform.storage.blobs import BlobStore
from mozhu.specs.records.manifest import Manifest

FACTS = (
    *("kind", "architecture", "family", "parameters", "size_bytes", "dtype"),
    *("has_template", "licence", "base_model"),
)
# Certificates that say nothing of how the weights came about.
_PLAIN = ("handed_in", "weights")


@dataclass(frozen=True)
class Passed:
    """What the safe loader says of an import: ``place`` is the folder to take, ``recognised`` what it is.

    ``sent``: of paths in it that hold a file as it was sent, the hash of that.
    """

    place: Path
    recognised: dict[str, Any]
    findings: list[dict[str, Any]]
    sent: dict[Path, str] = field(default_factory=dict)


def recognised_in(details: dict[str, Any]) -> dict[str, Any]:
    """The facts of a result; empty where the files were refused before anything was recognised."""
    return {name: details[name] for name in FACTS if name in details}


def admit(
    database: Database, store: BlobStore, models: Path, item: ImportView, passed: Passed, now: datetime
) -> Registered:
    """The version is registered under its name, ready, and the import has ended; or nothing has happened.

    Raises:
        FailedCertificate: REG-004, its own certificate fails. DamagedArtefact: REG-005. InTrash: REG-020.
        ImportGone: IMPORT-004. PlaceTaken: REG-010. DiskFull: FILE-003.
    """
    kind = _kind(passed, item.type)
    asks = LOCAL_ADMIN if item.owner == LOCAL else Subject(item.owner, (item.team,))
    with database.reading() as session:
        base = _base(session, asks, kind, passed, item.wishes["base"])
    wishes = Wishes(
        name=item.model,
        version=item.version,
        base_model=base or None,
        tags=tuple(item.wishes["tags"]),
        description=item.wishes["description"] or None,
        model_type=_model_type(kind, passed.place),
    )
    source = f"upload:{item.upload}"
    candidate = check_candidate(Artefact(kind, passed.place), wishes, source=source, now=now)
    _demand_as_sent(candidate.manifest, passed)

    def done(session: Session, version: VersionView) -> None:
        _describe(session, models, item, passed, version, base)
        end(session, item, passed, version, iso_time(now))

    def may(session: Session) -> None:
        _demand_waiting(session, item)

    waiting = Admission(item.id, may, done)
    told = {"kind": kind, "recognised": passed.recognised}
    candidate = replace(candidate, told=told, holder=(item.owner, item.team), admission=waiting)
    return register_candidate(database, store, models, candidate, copy=False)


def _demand_as_sent(manifest: Manifest, passed: Passed) -> None:
    """What was not changed on the way is what was read back when the upload was complete.

    Raises:
        BlobDamaged: STORE-002.
    """
    for file in manifest.files:
        path = passed.place / file.path
        wanted = passed.sent.get(path)
        if wanted is not None and wanted != file.sha256:
            raise BlobDamaged(place=file.path, expected=wanted, found=file.sha256)


def end(session: Session, item: ImportView, passed: Passed, version: VersionView, now: str) -> None:
    """The import has ended with ``version``, which it became."""
    row = _demand_waiting(session, item)
    row.state, row.version, row.finished, row.updated = "ready", version.label, now, now
    row.findings, row.recognised = passed.findings, passed.recognised
    tell(session, row, OF_STATE["ready"], now)
    session.flush()


def _demand_waiting(session: Session, item: ImportView) -> ImportRow:
    row = rows.found(session, item.id)
    if row is None or row.state != "checking":
        raise ImportGone(id=item.id)
    return row


def _kind(passed: Passed, model_type: str) -> Kind:
    """As the catalogue knows it; what lacks a tokenizer is a model for who says that it is one of text."""
    found = kind_of(passed.place) if passed.recognised["kind"] != "files" else None
    if found == "model" and model_type != "text" and not has_tokenizer(passed.place):
        return "weights"
    if found is not None and passed.recognised["kind"] in ("model", "adapter", "gguf"):
        return found
    return "files" if passed.recognised["kind"] == "files" else "weights"


def _model_type(kind: Kind, place: Path) -> str | None:
    """Where it belongs in the tree of seed 000; ``None``: what its own records say."""
    stated = json_object(place / INFO).get("model_type") in MODEL_TYPES
    made_here = json_object(place / CERTIFICATE).get("kind") not in _PLAIN
    return None if stated or made_here or kind == "adapter" else "pretrained"


def _base(session: Session, asks: Subject, kind: Kind, passed: Passed, wish: str) -> str:
    if kind != "adapter":
        return registered(session, asks, wish) or wish
    return find_base(session, asks, passed.place, passed.recognised.get("base_model") or "", wish)


def _describe(
    session: Session, models: Path, item: ImportView, passed: Passed, version: VersionView, base: str
) -> None:
    """The model and the version say what was wished; a model that was there keeps what is its own."""
    model = catalogue.model_row(session, item.model)
    row = changes.version_named(session, MODEL, model, version.label)
    assert row is not None, "added in this transaction"
    row.notes = item.wishes["notes"]
    licence = item.wishes["licence"] or passed.recognised.get("licence") or ""
    model.licence = model.licence or str(licence)[:200]
    model.base_reference = model.base_reference or base[:500]
    if version.seq == 1:
        model.type, model.visibility = item.type, item.wishes["visibility"]
        model.description = item.wishes["description"]
    session.flush()
    reindex(session, MODEL, model)
    write_card(models, session, model)
