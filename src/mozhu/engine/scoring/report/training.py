"""``report.html`` of a training run, made from its records alone: it can be written again at any time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mozhu.engine.scoring.report.blocks import (
    certificate_section,
    code,
    inputs_section,
    interval_text,
    metric_value,
    named,
    passed_badge,
    settings_section,
    with_small,
)
from mozhu.engine.scoring.report.charts import Points, loss_chart, loss_lines
from mozhu.engine.scoring.report.page import Card, Cell, Heading, Html, Section, table, write_report
from mozhu.engine.scoring.report.ticks import number
from mozhu.engine.scoring.report.training_plots import answers_section, plots_section
from mozhu.kernel.files import read_jsonl
from mozhu.kernel.texts import has_text, text
from mozhu.specs.records.certificate import Certificate
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunSpec

_MOST_STEPS = 40
_STATE_KIND = {"succeeded": "good", "failed": "bad"}


def write_training_report(folder: Path) -> Path:
    """Write ``report.html`` into the run folder ``folder`` and return its path.

    Reads ``spec.json``, ``events.jsonl`` and, when they are there, ``result.json`` and the certificates of
    the artefacts. A run that is still going gets a report of what there is.

    Raises:
        MissingFile: FILE-001. DamagedRecord: FILE-006.
    """
    spec = RunSpec.read(folder / "spec.json")
    events = list(read_jsonl(folder / "events.jsonl"))
    result = Result.read(folder / "result.json") if (folder / "result.json").is_file() else None
    sections = [
        _error_section(result),
        Section(text("report.section.loss"), Html(loss_chart(events))),
        plots_section(events),
        answers_section(events),
        _metrics_section(result),
        _findings_section(events),
        _artefacts_section(folder, result),
        *(certificate_section(certificate) for certificate in _certificates(folder, result)),
        _steps_section(events),
        settings_section(spec),
        inputs_section(spec),
    ]
    return write_report(folder / "report.html", _heading(spec, events, result), sections)


def short_name(ref: object) -> str:
    """The last part of a path; anything else as it is (hub ids are references, not paths)."""
    shown = str(ref or "")
    return Path(shown).name if Path(shown).is_absolute() else shown


def duration(seconds: float) -> str:
    """``1h 04m``, ``3m 12s`` or ``8.4s``."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s"


def _heading(spec: RunSpec, events: list[dict[str, Any]], result: Result | None) -> Heading:
    state = result.state if result else "running"
    fields = spec.fields
    method = str(fields.get("train_type", ""))
    if method in ("lora", "qlora"):
        method = f"{method} r={fields.get('lora_rank')} α={fields.get('lora_alpha')}"
    lines = [
        (text("report.fact.base"), short_name(fields.get("model"))),
        (text("report.fact.data"), short_name(fields.get("dataset"))),
        (text("report.fact.method"), method),
        (text("report.fact.made"), spec.created),
        (text("report.fact.weights"), _weights(result)),
    ]
    return Heading(
        title=text("report.title.training", name=spec.run),
        lines=[line for line in lines if line[1]],
        state=(text(f"report.state.{state}"), _STATE_KIND.get(state, "plain")),
        cards=_cards(events, result),
    )


def _weights(result: Result | None) -> str:
    """Which step the weights are of, where it is not the last one."""
    details = result.details if result else {}
    step, last = details.get("steps"), details.get("last_step")
    if step is None or last is None or step == last:
        return ""
    return text("report.fact.weights_of", step=f"{step:,}", last=f"{last:,}")


def _cards(events: list[dict[str, Any]], result: Result | None) -> list[Card]:
    raw, smooth, validation = loss_lines(events)
    steps = [event for event in events if event["kind"] == "step" and event.get("step") is not None]
    cards = []
    if steps:
        last = steps[-1]
        epochs = (
            text("report.card.epochs", value=number(last["epoch"], 2))
            if last.get("epoch") is not None
            else ""
        )
        total = f" / {last['total']:,}" if last.get("total") else ""
        cards.append(Card(text("report.card.steps"), f"{last['step']:,}{total}", epochs))
    finite = [point for point in smooth if math.isfinite(point[1])]
    if finite:
        start = next(value for _, value in raw if math.isfinite(value))
        context = text("report.card.from", value=number(start))
        cards.append(Card(text("report.card.loss"), number(finite[-1][1]), context))
    cards += _validation_card(validation)
    if result:
        cpu = text("report.card.cpu", value=duration(result.cpu_seconds)) if result.cpu_seconds else ""
        cards.append(Card(text("report.card.time"), duration(result.seconds), cpu))
    return cards


def _validation_card(validation: Points) -> list[Card]:
    known = [point for point in validation if math.isfinite(point[1])]
    if not known:
        return []
    step, best = min(known, key=lambda point: point[1])
    context = text("report.card.best", value=number(best), step=f"{step:,}")
    return [Card(text("report.card.validation"), number(known[-1][1]), context)]


def _error_section(result: Result | None) -> Section:
    error = result.error if result else None
    if not error:
        return Section("", Html(""))
    rows: list[Sequence[Cell]] = [
        (
            code(str(error.get("code", ""))),
            with_small(str(error.get("message", "")), str(error.get("next", ""))),
        )
    ]
    return Section(text("report.section.error"), table([], rows))


def _metrics_section(result: Result | None) -> Section:
    metrics = result.metrics if result else {}
    rows: list[Sequence[Cell]] = [
        (
            with_small(named("report", f"metric.{name}"), metric.signature or ""),
            metric_value(name, metric.value),
            interval_text(name, metric.model_dump()),
            number(metric.n),
        )
        for name, metric in metrics.items()
    ]
    headers = [text(f"report.column.{name}") for name in ("metric", "value", "interval", "rows")]
    return Section(text("report.section.metrics"), table(headers, rows, numeric=(1, 2, 3)))


def _findings_section(events: list[dict[str, Any]]) -> Section:
    rows: list[Sequence[Cell]] = []
    for event in events:
        if event["kind"] == "finding" and event.get("code"):
            rows.append((code(str(event["code"])), finding_text(event)))
    return Section(text("report.section.findings"), table([], rows))


def finding_text(event: dict[str, Any]) -> str:
    """What a finding says in the language in force; its bare parameters where the catalogue has no text."""
    area = str(event["code"]).split("-")[0].lower()
    key, params = f"{area}.{event['code']}.what", event.get("params") or {}
    if not has_text(key):
        return ", ".join(f"{name} = {value}" for name, value in params.items())
    try:
        return text(key, **params)
    except (KeyError, IndexError):
        return ", ".join(f"{name} = {value}" for name, value in params.items())


def _artefacts_section(folder: Path, result: Result | None) -> Section:
    rows: list[Sequence[Cell]] = []
    for artefact in result.artefacts if result else []:
        certificate = _certificate(folder, artefact.certificate)
        rows.append(
            (artefact.kind, code(artefact.path), passed_badge(certificate.passed) if certificate else "—")
        )
    headers = [text(f"report.column.{name}") for name in ("artefact", "path", "certificate")]
    return Section(text("report.section.artefacts"), table(headers, rows))


def _certificates(folder: Path, result: Result | None) -> list[Certificate]:
    found = [_certificate(folder, artefact.certificate) for artefact in (result.artefacts if result else [])]
    return [certificate for certificate in found if certificate]


def _certificate(folder: Path, path: str | None) -> Certificate | None:
    if path is None or not (folder / path).is_file():
        return None
    return Certificate.read(folder / path)


def _steps_section(events: list[dict[str, Any]]) -> Section:
    """The first and the last step and even ones between them."""
    by_step = {
        event["step"]: event for event in events if event["kind"] == "step" and event.get("step") is not None
    }
    steps = [by_step[step] for step in sorted(by_step)]
    shown = evenly(steps, _MOST_STEPS)
    rows: list[Sequence[Cell]] = [
        (
            number(event["step"]),
            number(event.get("epoch"), 2),
            number(event.get("loss")),
            f"{event['lr']:.2e}" if isinstance(event.get("lr"), float) else "—",
            number(event.get("grad_norm")),
            number(event.get("tokens_per_s"), 0),
        )
        for event in shown
    ]
    headers = [text(f"report.column.{name}") for name in ("step", "epoch", "loss", "lr", "grad", "speed")]
    note = text("report.note.steps", total=f"{len(steps):,}", shown=f"{len(shown):,}") if rows else ""
    return Section(text("report.section.steps"), table(headers, rows, numeric=range(6)), note)


def evenly(items: list[Any], most: int) -> list[Any]:
    """At most ``most`` of ``items``, evenly spaced, always with the first and the last."""
    if len(items) <= most:
        return items
    places = {round(index * (len(items) - 1) / (most - 1)) for index in range(most)}
    return [items[place] for place in sorted(places)]
