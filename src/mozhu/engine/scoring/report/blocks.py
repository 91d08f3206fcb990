"""Blocks that several reports share: settings, sources, artefacts, a certificate, sample answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from mozhu.engine.scoring.report.page import Cell, Html, Section, badge, joined, table
from mozhu.engine.scoring.report.ticks import number
from mozhu.kernel.files import human_size
from mozhu.kernel.texts import has_text, text
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.run import RunSpec


def named(page: str, name: str) -> str:
    """The word for ``name`` in the catalogue, else the name itself."""
    return text(f"{page}.{name}") if has_text(f"{page}.{name}") else name


def code(value: str) -> Html:
    return Html(f"<code>{escape(value)}</code>")


def with_small(main: str, small: str) -> Html:
    return Html(f"{escape(main)}<small>{escape(small)}</small>") if small else Html(escape(main))


def shortened(digest: str) -> str:
    """``sha256:0123…cdef``: both ends of a long hash."""
    kind, _, hexes = digest.rpartition(":")
    return f"{kind}:{hexes[:10]}…{hexes[-6:]}" if len(hexes) > 20 else digest


def settings_section(spec: RunSpec) -> Section:
    """Every field of the request with its origin; what was left at its default stands last."""

    def order(name: str) -> bool:
        return spec.origins.get(name, "default") == "default"

    rows: list[Sequence[Cell]] = [
        (code(name), code(_value(spec.fields[name])), spec.origins.get(name, "default"))
        for name in sorted(spec.fields, key=order)
        if spec.fields[name] not in (None, [], "")
    ]
    headers = [text("report.column.setting"), text("report.column.value"), text("report.column.origin")]
    return Section(text("report.section.settings"), table(headers, rows))


def inputs_section(spec: RunSpec) -> Section:
    rows: list[Sequence[Cell]] = [
        (item.role, code(item.ref), code(shortened(item.fingerprint or item.sha256 or "")))
        for item in spec.inputs
    ]
    headers = [text("report.column.role"), text("report.column.ref"), text("report.column.hash")]
    return Section(text("report.section.inputs"), table(headers, rows))


def certificate_section(certificate: Certificate) -> Section:
    """Every check with its value, its limit and whether it holds."""
    rows: list[Sequence[Cell]] = [
        (
            with_small(named("report", f"check.{check.name}"), check.name),
            check_value(check.value),
            check_limit(check),
            passed_badge(check.ok),
        )
        for check in certificate.checks
    ]
    columns = ("check", "value", "limit", "result")
    headers = [text(f"report.column.{name}") for name in columns]
    made_from = ", ".join(
        f"{item.get('role', '')} {shortened(_hash_of(item))}" for item in certificate.made_from
    )
    title = text("report.section.certificate", kind=certificate.kind)
    body = joined(table(headers, rows, numeric=(1, 2)), *_contents(certificate))
    return Section(title, body, made_from)


def _hash_of(item: Mapping[str, Any]) -> str:
    return str(next((item[name] for name in ("fingerprint", "manifest", "file") if item.get(name)), ""))


def _contents(certificate: Certificate) -> Iterator[Html]:
    """Of which types its tensors are, its files, and what measured it; an older certificate says none of these."""
    if certificate.mix:
        mix: list[Sequence[Cell]] = [
            (code(kind), f"{part['tensors']:,}", human_size(part["bytes"]))
            for kind, part in certificate.mix.items()
        ]
        headers = [text(f"report.column.{name}") for name in ("dtype", "tensors", "size")]
        yield table(headers, mix, numeric=(1, 2))
    if certificate.files:
        files: list[Sequence[Cell]] = [
            (code(file.path), human_size(file.size), code(shortened(file.sha256)))
            for file in certificate.files
        ]
        headers = [text(f"report.column.{name}") for name in ("file", "size", "hash")]
        yield table(headers, files, numeric=(1,))
    if certificate.tools:
        tools: list[Sequence[Cell]] = [(name, code(version)) for name, version in certificate.tools.items()]
        yield table([text("report.column.tool"), text("report.column.version")], tools)


def passed_badge(ok: bool) -> Html:
    return badge(text("report.passed" if ok else "report.refused"), "good" if ok else "bad")


def check_value(value: Any) -> str:
    return ("✓" if value else "✕") if isinstance(value, bool) else number(value)


def check_limit(check: Check) -> str:
    return "" if check.limit is None or isinstance(check.limit, bool) else number(check.limit)


@dataclass(frozen=True)
class Sample:
    """One question, what was expected, and each model's answer: (css class, title, text, whether cut)."""

    question: str
    reference: str | None
    answers: Sequence[tuple[str, str, str, bool]]


def samples_section(samples: Sequence[Sample], note: str = "") -> Section:
    blocks = joined(*(_sample(sample) for sample in samples))
    body = Html(f'<div class="samples">{blocks.markup}</div>') if samples else Html("")
    return Section(text("report.section.samples"), body, note)


def _sample(sample: Sample) -> Html:
    boxes = []
    if sample.reference is not None:
        boxes.append(_box("", text("report.sample.reference"), sample.reference, False))
    boxes += [_box(*answer) for answer in sample.answers]
    return Html(
        f'<div class="sample"><div class="ask"><h3>{escape(text("report.sample.question"))}</h3>'
        f'<p>{escape(sample.question)}</p></div><div class="answers">{"".join(boxes)}</div></div>'
    )


def _box(css: str, title: str, content: str, cut: bool) -> str:
    dot = f'<span class="dot {css}"></span>' if css else ""
    shown = escape(content) if content.strip() else f"<i>{escape(text('report.sample.empty'))}</i>"
    end = f' <span class="badge">{escape(text("report.sample.cut"))}</span>' if cut else ""
    return f"<div><h3>{dot}{escape(title)}{end}</h3><p>{shown}</p></div>"


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def metric_value(name: str, value: Any) -> str:
    """Perplexity and BLEU with two decimals, everything else with four; a tiny value is a zero here."""
    decimals = 2 if name in ("perplexity", "bleu") else 4
    tiny = isinstance(value, float) and abs(value) < 10**-decimals
    return number(round(value, decimals) + 0.0 if tiny else value, decimals)


def interval_text(name: str, metric: Mapping[str, Any] | None) -> str:
    if not metric or metric.get("low") is None:
        return ""
    return f"{metric_value(name, metric['low'])} – {metric_value(name, metric['high'])}"
