"""A certificate as a table on the terminal."""

from __future__ import annotations

from typing import Any

from mozhu.cli.output import Output
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import has_text, text
from mozhu.specs.records.certificate import Certificate, Check

_COLUMNS = ("check", "value", "limit", "result", "where")
_SHOWN = 3


def show_certificate(output: Output, certificate: Certificate) -> None:
    """Every check with its value and limit, then what the artefact is made of, from and with."""
    rows = [
        (
            _name(check),
            _number(check.value),
            _number(check.limit),
            text("export.certify.ok" if check.ok else "export.certify.not_ok"),
            _where(check),
        )
        for check in certificate.checks
    ]
    output.table([text(f"export.certify.column.{name}") for name in _COLUMNS], rows, value=None)
    print("\n".join(_lines(certificate)))


def _lines(certificate: Certificate) -> list[str]:
    lines = []
    for item in certificate.made_from:
        own = str(item.get("fingerprint") or item.get("manifest") or "")[:19]
        place = {"role": item.get("role", ""), "name": item.get("name", "-"), "hash": own}
        lines.append(text("export.certify.made_from", **place))
    if certificate.mix:
        mix = ", ".join(
            f"{kind} {part['tensors']} ({human_size(part['bytes'])})"
            for kind, part in certificate.mix.items()
        )
        lines.append(text("export.certify.mix", mix=mix))
    if certificate.files:
        size = human_size(sum(file.size for file in certificate.files))
        lines.append(text("export.certify.files", count=len(certificate.files), size=size))
    if "rows" in certificate.measured:
        told = certificate.measured
        numbers = {name: told.get(name, 0) for name in ("rows", "tokens", "dtype")}
        lines.append(text("export.certify.measured", real=told.get("real_rows", 0), **numbers))
    return [f"  {line}" for line in lines]


def _name(check: Check) -> str:
    key = f"report.check.{check.name}"
    return f"{check.name} · {text(key)}" if has_text(key) else check.name


def _number(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "✓", False: "✕"}[value]
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _where(check: Check) -> str:
    parts = []
    if isinstance(check.facts.get("reference"), (int, float)):
        parts.append(text("export.certify.reference", value=_number(float(check.facts["reference"]))))
    differing = check.facts.get("differing") or []
    parts += [str(item) for item in differing[:_SHOWN]]
    if len(differing) > _SHOWN:
        parts.append("…")
    return ", ".join(parts)
