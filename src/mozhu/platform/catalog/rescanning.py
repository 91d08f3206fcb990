"""All rows anew, of models and of data sets, from the files below ``5_models`` and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mozhu.kernel.errors import MozhuError
from mozhu.kernel.texts import text
from mozhu.platform.catalog import lineage, rows
from mozhu.platform.catalog.cards import apply_cards
from mozhu.platform.catalog.datasets.rescanning import look, rebuild_rows
from mozhu.platform.catalog.datasets.rescanning import scan as scan_datasets
from mozhu.platform.catalog.events import RESCANNED, Happening
from mozhu.platform.catalog.facts import read_folder
from mozhu.platform.catalog.kinds import DATASET
from mozhu.platform.catalog.places import path_within, version_folders
from mozhu.platform.catalog.views import Refused, RescanReport, VersionFacts
from mozhu.platform.database.engine import Database
from mozhu.specs.records.manifest import ManifestFile

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Scan:
    """What lies below ``5_models``: versions in the order of their registration, and what is none."""

    found: tuple[VersionFacts, ...]
    refused: tuple[Refused, ...]
    files: dict[str, tuple[ManifestFile, ...]] = field(default_factory=dict)


def scan(models: Path) -> Scan:
    """Every version folder below ``models``, by sizes and headers (hashes are ``validate``'s work)."""
    found: list[VersionFacts] = []
    refused: list[Refused] = []
    files: dict[str, tuple[ManifestFile, ...]] = {}
    for folder in version_folders(models):
        try:
            there = read_folder(models, folder, hashes=False)
            found.append(there.facts)
            files[there.facts.path] = there.files
        except MozhuError as error:
            refused.append(Refused(path_within(models, folder) or str(folder), error.what))
    found.sort(
        key=lambda facts: (facts.owner, facts.name, facts.registered, natural(facts.label), facts.path)
    )
    return replace(_without_doubles(found, refused), files=files)


def rebuild(database: Database, models: Path, time: str, *, keep: bool = True) -> RescanReport:
    """Rows as the sidecars say; in one step, so a reader sees the old rows or the new ones."""
    seen = look(models)
    with database.writing(keep=keep) as session:
        result, data = scan(models), scan_datasets(models, seen)
        before = {view.reference for view in rows.facts(session)}
        rows.clear(session)
        lineage.clear(session)
        for facts in sorted(result.found, key=lambda facts: facts.registered):
            rows.add_version(session, facts, result.files.get(facts.path, ()))
            lineage.add_edges(session, lineage.edges_of(models / facts.path, facts))
        apply_cards(models, session)
        datasets = rebuild_rows(session, data)
        for version in data.found:
            made = lineage.Node("dataset", version.reference)
            lineage.add_edges(session, lineage.copied_from(models / version.path, made))
        apply_cards(models, session, DATASET)
        after = {facts.reference for facts in result.found}
        report = RescanReport(
            models=len({(facts.owner, facts.name) for facts in result.found}),
            versions=len(result.found),
            added=tuple(sorted(after - before)),
            gone=tuple(sorted(before - after)),
            failed=tuple(facts.reference for facts in result.found if facts.state == "failed"),
            refused=(*result.refused, *data.refused),
            datasets=datasets,
        )
        details = {"versions": report.versions, "added": list(report.added), "gone": list(report.gone)}
        details["datasets"] = report.datasets.to_json()
        rows.add_history(session, [Happening(RESCANNED, details=details)], time)
    return report


def natural(label: str) -> list[tuple[int, Any]]:
    """A key that sorts ``v2`` before ``v10``."""
    return [(1, int(part)) if part.isdigit() else (0, part) for part in _DIGITS.split(label)]


def _without_doubles(found: list[VersionFacts], refused: list[Refused]) -> Scan:
    """Of two folders that say they are the same version the first is taken."""
    first: dict[tuple[str, str, str], VersionFacts] = {}
    for facts in found:
        there = first.setdefault((facts.owner, facts.name, facts.label), facts)
        if there is not facts:
            reason = text("registry.refused.double", reference=facts.reference, path=there.path)
            refused.append(Refused(facts.path, reason))
    return Scan(tuple(first.values()), tuple(refused))
