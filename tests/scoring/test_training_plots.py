"""A training's page shows every curve that its events hold, its checkpoints, and its answers over the steps."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from mozhu.engine.scoring.report.charts import SMALL, Line, line_chart, loss_chart
from mozhu.engine.scoring.report.training_plots import answers_section, plots_section
from mozhu.kernel.texts import LANGUAGES, page_texts, set_language


@pytest.fixture(params=LANGUAGES, autouse=True)
def language(request: pytest.FixtureRequest) -> Any:
    set_language(request.param)
    yield request.param
    set_language(None)


def steps(count: int, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "kind": "step",
            "step": number,
            "loss": 3 / number,
            "lr": 1e-6 * number,
            "grad_norm": 2.0,
            "tokens_per_s": 900.0 + number,
            "memory_bytes": 3 << 30,
            "rows": ["a"],
            **more,
        }
        for number in range(1, count + 1)
    ]


def pictures(markup: str) -> list[ElementTree.Element]:
    return [ElementTree.fromstring(found) for found in re.findall(r"<svg.*?</svg>", markup, re.DOTALL)]


def titles(markup: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", markup)


def test_each_number_of_a_step_has_its_plot(language: str) -> None:
    events = [
        *steps(30, accuracy=0.5, margin=1.0),
        {"kind": "eval", "step": 30, "loss": 1.0, "accuracy": 0.75, "rows": 4},
    ]
    markup = plots_section(events).body.markup
    words = page_texts(language, "report")
    names = [
        "plot.lr",
        "plot.grad_norm",
        "plot.tokens_per_s",
        "plot.memory",
        "figure.accuracy",
        "figure.margin",
    ]
    assert titles(markup) == [words[name] for name in names]
    accuracy = pictures(markup)[4]
    assert sum(circle.get("class") == "check" for circle in accuracy.iter("circle")) == 1
    for picture in pictures(markup):
        for path in picture.iter("path"):
            places = [float(value) for value in re.findall(r"-?\d+\.\d", path.get("d") or "")]
            assert all(0 <= x <= SMALL.width for x in places[::2])
            assert all(0 <= y <= SMALL.height for y in places[1::2])


def test_a_run_without_numbers_has_no_plots() -> None:
    assert plots_section([{"kind": "eval", "step": 0, "loss": 1.0, "rows": 3}]).body.markup == ""
    assert answers_section([]).body.markup == ""
    assert plots_section(steps(3, grad_norm="nan")).body.markup.count("<figure") == 3


def test_memory_begins_at_zero_and_small_rates_have_labels_that_differ() -> None:
    drawn = pictures(plots_section(steps(20)).body.markup)
    labels = [
        [word.text for word in picture.iter("text") if word.get("text-anchor") == "end"] for picture in drawn
    ]
    assert labels[3][0] == "0.0" or float(labels[3][0] or 1) == 0
    assert len(set(labels[0])) == len(labels[0]) > 2 and "2e-5" in labels[0]


def test_checkpoints_and_the_lowest_validation_are_marked(language: str) -> None:
    events = [
        *steps(100),
        *({"kind": "eval", "step": step, "loss": abs(step - 60) + 1.0} for step in (20, 40, 60, 80)),
        *({"kind": "checkpoint", "step": step, "path": f"checkpoint-{step}"} for step in (50, 50, 100)),
    ]
    markup = loss_chart(events)
    (picture,) = pictures(markup)
    marks = [path for path in picture.iter("path") if "checkpoint" in (path.get("class") or "")]
    assert len(marks) == 2
    (best,) = (line for line in picture.iter("line") if line.get("class") == "mark best")
    title = best.find("title")
    assert title is not None and (title.text or "").endswith(" 60")
    assert page_texts(language, "report")["loss.checkpoint"] in markup
    assert "mark" not in loss_chart(steps(10))


def test_answers_stand_by_question_and_step_and_are_no_markup(language: str) -> None:
    events = [
        {
            "kind": "sample",
            "step": step,
            "row_id": row,
            "question": f"问<{row}>",
            "expected": "对",
            "answer": answer,
        }
        for step, answer in ((0, "<script>alert(1)</script>"), (10, ""), (20, "对"))
        for row in ("a", "b")
    ]
    events.append({"kind": "sample", "row": 1, "prompt": "of an evaluation", "answer": "x"})
    section = answers_section(events)
    markup = section.body.markup
    assert titles(markup) == ["问&lt;a&gt;", "问&lt;b&gt;"]
    assert markup.count("<tbody><tr>") == 2 and markup.count("<tr>") == 2 * 4
    assert "<script" not in markup and "of an evaluation" not in markup
    assert markup.count("badge good") == 2
    assert page_texts(language, "report")["sample.empty"] in markup
    many = [{**events[0], "row_id": str(n), "step": step} for n in range(12) for step in range(40)]
    section = answers_section(many)
    assert "12" in section.note and "8" in section.note
    assert section.body.markup.count("<tr>") == 8 * 7, "the first, the last and even ones between"
    assert section.body.markup.count(">39<") == 8


def test_a_line_that_is_nowhere_finite_is_no_picture() -> None:
    assert (
        line_chart([Line("a", "raw", [(1, math.nan)])], "x", "y", size=SMALL, title="t", from_zero=True) == ""
    )
