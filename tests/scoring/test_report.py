"""Reports: what a reader sees of a run, from its records alone."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.scoring.report.blocks import Sample, samples_section
from mozhu.engine.scoring.report.charts import (
    Line,
    interval_chart,
    line_chart,
    loss_chart,
    loss_lines,
    smooth_line,
    thinned,
)
from mozhu.engine.scoring.report.page import Heading, Html, Section, render_report, table
from mozhu.engine.scoring.report.ticks import number
from mozhu.engine.scoring.report.training import duration, evenly, write_training_report
from mozhu.kernel.files import write_json
from mozhu.kernel.progress import EventLog
from mozhu.kernel.texts import LANGUAGES, page_texts, set_language
from mozhu.kernel.ticks import nice_ticks, tick_label
from mozhu.specs.records.certificate import Certificate, Check
from mozhu.specs.records.manifest import ManifestFile


@pytest.fixture(params=LANGUAGES, autouse=True)
def language(request: pytest.FixtureRequest) -> Any:
    set_language(request.param)
    yield request.param
    set_language(None)


def steps(count: int) -> list[dict[str, Any]]:
    return [
        {"kind": "step", "step": step, "loss": 2 * math.exp(-step / 50) + 0.3} for step in range(1, count + 1)
    ]


def svg_of(markup: str) -> ElementTree.Element:
    found = re.search(r"<svg.*?</svg>", markup, re.DOTALL)
    assert found
    return ElementTree.fromstring(found[0])


def test_the_loss_curve_holds_every_line_and_stays_inside_its_frame() -> None:
    events = [*steps(300), *({"kind": "eval", "step": step, "loss": 0.5} for step in (100, 200, 300))]
    picture = svg_of(loss_chart(events))
    lines = {path.get("class"): path.get("d") for path in picture.iter("path")}
    assert set(lines) == {"raw", "smooth", "check"}
    assert sum(circle.get("class") == "check" for circle in picture.iter("circle")) == 3
    for place in lines.values():
        numbers = [float(value) for value in re.findall(r"-?\d+\.\d", place or "")]
        assert all(0 <= x <= 960 for x in numbers[::2])
        assert all(0 <= y <= 320 for y in numbers[1::2])


def test_a_lower_loss_is_drawn_lower() -> None:
    path = next(path for path in svg_of(loss_chart(steps(50))).iter("path") if path.get("class") == "raw")
    heights = [float(value) for value in re.findall(r"-?\d+\.\d", path.get("d") or "")][1::2]
    assert heights == sorted(heights)


def test_a_resumed_step_shows_its_last_value_and_what_is_not_finite_leaves_a_gap() -> None:
    events: list[dict[str, Any]] = [
        *steps(3),
        {"kind": "step", "step": 2, "loss": 9.0},
        {"kind": "step", "step": 4, "loss": "nan"},
    ]
    training, _, _ = loss_lines(events)
    assert training[1] == (2, 9.0)
    assert math.isnan(training[3][1])
    assert "nan" not in loss_chart([*events, *steps(6)[4:]]).lower()


def test_without_a_loss_there_is_no_chart() -> None:
    assert loss_chart([]) == ""
    assert loss_chart([{"kind": "step", "step": 1, "loss": "nan"}]) == ""


def test_smoothing_starts_at_the_first_value_and_keeps_a_constant() -> None:
    assert smooth_line([(1, 5.0), (2, 5.0)]) == [(1, 5.0), (2, 5.0)]
    assert smooth_line([(1, 4.0), (2, 2.0)])[0] == (1, 4.0)


def test_thinning_keeps_spikes_and_the_order() -> None:
    points = [(float(step), 1.0) for step in range(20_000)]
    points[7777] = (7777.0, 9.0)
    kept = thinned(points)
    assert len(kept) <= 1300
    assert (7777.0, 9.0) in kept
    assert kept == sorted(kept)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.2, 0.25), (3, 2900), (-5, 5), (1e-6, 3e-6)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 11
    assert all(low - 1e-12 <= tick <= high + 1e-12 for tick in ticks)
    assert len({tick_label(tick, ticks[1] - ticks[0]) for tick in ticks}) == len(ticks)


def test_numbers_read_as_people_write_them() -> None:
    assert [number(value) for value in (None, "nan", 0.5, 12345, 1e-6, math.inf, 0)] == [
        "—", "—", "0.5000", "12,345", "1.00e-06", "∞", "0",
    ]  # fmt: skip
    assert [duration(seconds) for seconds in (8.44, 192, 3840, 59.96)] == [
        "8.4s",
        "3m 12s",
        "1h 04m",
        "60.0s",
    ]


def test_what_a_model_wrote_can_not_become_markup() -> None:
    bad = "<script>alert(1)</script>"
    section = samples_section([Sample(bad, bad, [("tuned", bad, bad, True)])])
    page = render_report(Heading(bad), [section, Section(bad, table([bad], [[bad]])), Section("t", Html(""))])
    assert "<script" not in page
    assert page.count("<section>") == 2


def test_an_interval_is_drawn_around_its_value() -> None:
    picture = svg_of(interval_chart([("base", 1.0, 0.5, 1.5), ("tuned", 2.0, None, None)]))
    (line,) = picture.iter("line")
    first, second = picture.iter("circle")
    assert (
        float(line.get("x1", 0))
        < float(first.get("cx", 0))
        < float(line.get("x2", 0))
        < float(second.get("cx", 0))
    )
    assert interval_chart([("base", math.nan, None, None)]) == ""
    assert line_chart([Line("a", "raw", [])], "x", "y") == ""


def test_long_lists_keep_their_ends() -> None:
    assert evenly(list(range(1000)), 40)[0] == 0
    assert evenly(list(range(1000)), 40)[-1] == 999
    assert len(evenly(list(range(1000)), 40)) == 40
    assert evenly([1, 2], 40) == [1, 2]


def make_run(folder: Path, *, finished: bool, error: dict[str, Any] | None = None) -> Path:
    log = EventLog(folder / "events.jsonl")
    for event in steps(120):
        log.emit("step", step=event["step"], loss=event["loss"], lr=2e-4, total=120, epoch=event["step"] / 40)
    log.emit("eval", step=120, loss=0.61)
    log.emit("finding", level="warning", code="NONE-001", params={"step": 57})
    log.close()
    fields = {
        "model": "starter",
        "dataset": "medical_qa",
        "train_type": "lora",
        "lora_rank": 8,
        "lora_alpha": 16,
    }
    write_json(
        folder / "spec.json",
        {
            "schema": 1,
            "verb": "train",
            "run": "starter-medical-lora-20261121",
            "created": "2026-11-21T08:00:00Z",
            "fields": fields,
            "origins": {"model": "flag", "lora_rank": "preset:lora"},
            "inputs": [{"role": "base", "ref": "starter:v1", "fingerprint": "sha256:" + "ab" * 32}],
        },
    )
    if finished:
        checks = [Check(name="adapter_effect", value=1.4, limit=0.001, ok=True)]
        Certificate(
            kind="adapter",
            checks=checks,
            passed=True,
            tools={"torch": "2.13.0+cpu"},
            mix={"BF16": {"tensors": 1234, "bytes": 3 << 20}},
            files=[
                ManifestFile(path="adapter_model.safetensors", size=3 << 20, sha256="sha256:" + "cd" * 32)
            ],
        ).write(folder / "lora_adapter" / "certificate.json")
        artefact = {"kind": "adapter", "path": "lora_adapter", "certificate": "lora_adapter/certificate.json"}
        metrics = {"perplexity": {"value": 1.84, "low": 1.7, "high": 1.99, "n": 12, "signature": "tokens"}}
        record = {"schema": 1, "state": "failed" if error else "succeeded", "seconds": 74.2, "error": error}
        write_json(folder / "result.json", {**record, "artefacts": [artefact], "metrics": metrics})
    return folder


def test_a_training_report_shows_curve_metrics_certificate_and_settings(
    tmp_path: Path, language: str
) -> None:
    page = write_training_report(make_run(tmp_path, finished=True)).read_text("utf-8")
    for word in (
        "starter-medical-lora-20261121",
        "medical_qa",
        "lora r=8",
        "1.84",
        "adapter_effect",
        "preset:lora",
        "0.6100",
        "BF16",
        "1,234",
        "3.0MB",
        "adapter_model.safetensors",
        "sha256:cdcdcdcdcd",
        "2.13.0+cpu",
    ):
        assert word in page, word
    assert "<svg" in page
    assert page_texts(language, "report")["section.loss"] in page
    assert "http" not in page
    assert f'lang="{"zh-CN" if language == "zh" else "en"}"' in page


def test_a_run_that_is_going_or_failed_has_a_report_too(tmp_path: Path, language: str) -> None:
    page = write_training_report(make_run(tmp_path / "going", finished=False)).read_text("utf-8")
    assert page_texts(language, "report")["state.running"] in page
    error = {"code": "TRAIN-003", "message": "loss became nan", "next": "lower the learning rate"}
    page = write_training_report(make_run(tmp_path / "failed", finished=True, error=error)).read_text("utf-8")
    assert "TRAIN-003" in page
    assert "lower the learning rate" in page
