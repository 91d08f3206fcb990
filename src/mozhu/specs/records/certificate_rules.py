"""Whether a certificate may be believed: unchanged, complete for its kind, held to the limits of the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.limits import REQUIRED, RULES, holds
from mozhu.specs.records.manifest import NOT_LISTED, ManifestFile
from mozhu.specs.records.sidecars import ABOUT

# Rounding of a limit that was written as decimal digits.
_SLACK = 1e-9


@dataclass(frozen=True)
class Objection:
    """``code`` is one of ``REASONS``; its words are ``registry.problem.<code>`` of the catalogue."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)

    REASONS = (
        "check_failed",
        "no_checks",
        "certificate_edited",
        "unknown_kind",
        "check_absent",
        "check_twice",
        "unknown_check",
        "limit_lax",
        "check_untrue",
        "file_not_certified",
        "file_gone",
        "file_other",
    )


def objections(certificate: Certificate) -> list[Objection]:
    """Everything that speaks against ``certificate`` by itself, whatever lies beside it."""
    found = [
        Objection("check_failed", {"check": check.name, "value": check.value, "limit": check.limit})
        for check in certificate.checks
        if not check.ok
    ]
    if not certificate.checks:
        found.append(Objection("no_checks"))
    if certificate.sha256 and certificate.sha256 != certificate.own_sha256():
        found.append(Objection("certificate_edited"))
    found += _missing(certificate)
    for check in certificate.checks:
        found += _against(check, certificate.kind)
    return found


def file_objections(
    certificate: Certificate, files: Sequence[ManifestFile], *, weights: Sequence[str] = ()
) -> list[Objection]:
    """What the certificate says of files and ``files`` do not hold; ``weights`` are names that it must list."""
    found = {file.path: file for file in files}
    listed = {file.path for file in certificate.files}
    problems = []
    for file in certificate.files:
        if file.path in ABOUT or file.path in NOT_LISTED:
            continue
        there = found.get(file.path)
        if there is None:
            problems.append(Objection("file_gone", {"path": file.path}))
        elif there.sha256 != file.sha256:
            params = {"path": file.path, "expected": file.sha256[:19], "found": there.sha256[:19]}
            problems.append(Objection("file_other", params))
    problems += [
        Objection("file_not_certified", {"path": name}) for name in sorted(weights) if name not in listed
    ]
    return problems


def is_bound(certificate: Certificate) -> bool:
    """Whether it names the files it is about, so that it cannot be laid beside others."""
    return bool(certificate.files)


def _missing(certificate: Certificate) -> Iterator[Objection]:
    if certificate.kind not in REQUIRED:
        yield Objection("unknown_kind", {"kind": certificate.kind})
        return
    names = [check.name for check in certificate.checks]
    for choices in REQUIRED[certificate.kind]:
        if not set(choices) & set(names):
            yield Objection("check_absent", {"check": "` / `".join(choices), "kind": certificate.kind})
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Objection("check_twice", {"check": name})


def _against(check: Check, kind: str) -> Iterator[Objection]:
    """The limit is not laxer than the table's, and a check that says it holds does so by its own numbers."""
    rule = RULES.get(check.name)
    if rule is None:
        yield Objection("unknown_check", {"check": check.name})
        return
    wanted = rule.limit_of(kind, check.facts)
    if wanted is not None and not _as_strict(rule.direction, check.limit, wanted):
        params = {"check": check.name, "limit": check.limit, "wanted": wanted}
        yield Objection("limit_lax", params)
    elif check.ok and not holds(rule.direction, check.value, check.limit) and not _open(check):
        yield Objection("check_untrue", {"check": check.name, "value": check.value, "limit": check.limit})


def _open(check: Check) -> bool:
    """A model without an end token says nothing of where it stops."""
    return check.name == "eos_id_equal" and check.limit is None


def _as_strict(direction: str, limit: Any, wanted: Any) -> bool:
    if direction == "equal" or isinstance(wanted, bool):
        return bool(limit == wanted)
    if isinstance(limit, bool) or not isinstance(limit, (int, float)):
        return False
    slack = _SLACK * max(1.0, abs(wanted))
    return bool(limit <= wanted + slack if direction == "at_most" else limit >= wanted - slack)
