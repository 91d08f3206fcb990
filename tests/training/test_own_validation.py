"""A data set that brings validation rows is validated with those; one that does not gives up a share (seed 004)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mozhu.engine.training.run import run_training


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "rows"
    place.mkdir()
    for name, count in (("train", 10), ("validation", 3)):
        rows = [{"instruction": f"{name}{n}", "output": f"回答{n}"} for n in range(count)]
        (place / f"{name}.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return place


def _rows(events: Any) -> tuple[set[int], int]:
    """How many rows each evaluation had, and on how many different rows was trained."""
    trained = {row for event in events.of("step") for row in event["rows"]}
    return {event["rows"] for event in events.of("eval")}, len(trained)


@pytest.mark.parametrize(
    ("changes", "evaluated", "trained"),
    [
        ({}, {3}, 10),
        ({"validation_split": 0.0}, set(), 10),
        ({"val_dataset": "{folder}/validation.json", "dataset": "{folder}/train.json"}, {3}, 10),
        ({"dataset": "{folder}/train.json", "validation_split": 0.2}, {2}, 8),
    ],
)
def test_validation_rows_are_the_data_sets_own_or_a_share(
    changes: dict[str, Any],
    evaluated: set[int],
    trained: int,
    spec: Any,
    folder: Path,
    tmp_path: Path,
    events: Any,
) -> None:
    written = {
        name: value.format(folder=folder) if isinstance(value, str) else value
        for name, value in {"dataset": "{folder}", **changes}.items()
    }
    run_training(spec(max_steps=3, **written), tmp_path / "run", events)
    assert _rows(events) == (evaluated, trained)
