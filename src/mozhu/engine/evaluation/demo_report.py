"""``report.html`` of a demo: its curve, its scores, its answers and its refusals on one page, from its records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mozhu.engine.scoring.report.blocks import certificate_section, code, named
from mozhu.engine.scoring.report.charts import loss_chart
from mozhu.engine.scoring.report.page import Card, Cell, Heading, Html, Section, badge, table, write_report
from mozhu.engine.scoring.report.ticks import number
from mozhu.kernel.files import human_size, read_json, read_jsonl
from mozhu.kernel.texts import text
from mozhu.specs.records.certificate import Certificate


def write_demo_report(folder: Path) -> Path:
    """Write the page of the demo in ``folder`` from its ``demo.json`` and the records of its runs."""
    story: dict[str, Any] = read_json(folder / "demo.json")
    events = list(read_jsonl(folder / "train" / "events.jsonl"))
    sections = [
        Section(text("report.section.loss"), Html(loss_chart(events))),
        Section(text("report.section.metrics"), _scores(story), text("demo.note.scores")),
        Section(text("demo.section.answers"), _answers(story)),
        Section(text("demo.section.faults"), _faults(story)),
        *(certificate_section(certificate) for certificate in _certificates(folder)),
        Section(text("demo.section.stages"), _stages(story)),
    ]
    return write_report(folder / "report.html", _heading(story), sections)


def _heading(story: dict[str, Any]) -> Heading:
    train = story["metrics"]["train"]
    cards = [
        Card(text("runs.speed"), f"{number(train['tokens_per_s'], 0)} tok/s"),
        Card(text("runs.peak_memory"), human_size(train["peak_memory_bytes"])),
        Card(text("registry.column.steps"), str(train["steps"])),
    ]
    lines = [(text("demo.answer.base"), story["model"]), (text("demo.data"), story["dataset"])]
    return Heading(text("demo.title"), lines, cards=cards)


def _scores(story: dict[str, Any]) -> Html:
    headers: list[Cell] = [
        text("report.column.metric"),
        *(text(f"demo.answer.{name}") for name in ("base", "adapter")),
    ]
    rows: list[list[Cell]] = []
    for name, part in story["metrics"]["evaluate"].get("sets", {}).items():
        for metric, values in part["metrics"].items():
            pair = [_value(values.get("base")), _value(values.get("tuned"))]
            rows.append([f"{text('demo.set.' + name)} · {named('metric', metric)}", *pair])
    return table(headers, rows, numeric=(1, 2))


def _value(value: Any) -> str:
    return number(value.get("value") if isinstance(value, dict) else value)


def _answers(story: dict[str, Any]) -> Html:
    rows: list[list[Cell]] = [[text("demo.question"), story["question"]]]
    rows += [[text(f"demo.answer.{name}"), answer] for name, answer in story["answers"].items()]
    return table(["", ""], rows)


def _faults(story: dict[str, Any]) -> Html:
    rows: list[list[Cell]] = [
        [
            text(f"demo.fault.{fault['name']}"),
            badge(text("demo.refused"), "good") if fault["refused"] else badge("-", "bad"),
            f"{fault['code']} {fault['why']}",
        ]
        for fault in story["faults"]
    ]
    return table(["", "", ""], rows)


def _stages(story: dict[str, Any]) -> Html:
    headers: list[Cell] = [text(f"demo.column.{name}") for name in ("stage", "made", "place", "seconds")]
    rows: list[list[Cell]] = [
        [text(f"demo.{stage['name']}"), stage["made"], code(stage["place"]), number(stage["seconds"], 1)]
        for stage in story["stages"]
    ]
    return table(headers, rows, numeric=(3,))


def _certificates(folder: Path) -> list[Certificate]:
    places = (folder / "train" / "lora_adapter", folder / "merged_model", folder / "gguf")
    return [
        Certificate.read(place / "certificate.json")
        for place in places
        if (place / "certificate.json").is_file()
    ]
