"""Which registered version an adapter was trained on: by its fingerprint, by what was wished, by its name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from mozhu.platform.accounts.subject import Subject
from mozhu.platform.catalog import rows as catalogue
from mozhu.platform.catalog.access import readable
from mozhu.platform.catalog.artefacts import BASE, CERTIFICATE, json_object
from mozhu.platform.catalog.references import LATEST, parse_reference
from mozhu.platform.database.tables import Model
from mozhu.platform.database.tables_assets import LineageEdge


def find_base(session: Session, subject: Subject, place: Path, named: str, wish: str) -> str:
    """The reference (``name:v2``) of the base, among what ``subject`` may read; else ``wish`` as it was written.

    Args:
        place: The adapter's folder.
        named: What its configuration calls its base, for example a hub id.
    """
    for digest in _fingerprints(place):
        query = select(LineageEdge.src).where(
            LineageEdge.dst_kind == "weights", LineageEdge.dst == digest, LineageEdge.relation == "is"
        )
        for reference in sorted(session.scalars(query)):
            if found := registered(session, subject, reference):
                return found
    return (
        registered(session, subject, wish)
        or registered(session, subject, named.rstrip("/").rpartition("/")[2])
        or wish
    )


def registered(session: Session, subject: Subject, value: str) -> str:
    """The version that ``value`` names where ``subject`` may read it, as ``name:v2``; else empty."""
    wanted = parse_reference(value)
    if wanted is None:
        return ""
    query = select(Model.id).where(Model.name == wanted.name, readable(subject))
    if session.scalar(query) is None:
        return ""
    label = wanted.version
    if wanted.alias not in (None, LATEST):
        label = catalogue.alias_label(session, wanted.name, str(wanted.alias)) or ""
    found = (
        catalogue.newest_version(session, wanted.name)
        if label is None
        else catalogue.version_named(session, wanted.name, label)
    )
    return found.reference if found else ""


def _fingerprints(place: Path) -> Iterator[str]:
    """What the adapter's own records say of its base."""
    recorded: Any = json_object(place / BASE).get("fingerprint")
    whole = recorded.get("whole") if isinstance(recorded, dict) else recorded
    if isinstance(whole, str):
        yield whole
    sources = json_object(place / CERTIFICATE).get("made_from")
    for item in sources if isinstance(sources, list) else ():
        if isinstance(item, dict) and item.get("role") == "base" and isinstance(item.get("fingerprint"), str):
            yield item["fingerprint"]
