"""The benchmark of training speed: rows as long as real ones, padding is no token, a share is told of real figures."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from benchmarks import train_speed  # noqa: E402
from benchmarks.harness import Measured, Sample  # noqa: E402
from benchmarks.peers import material, steps  # noqa: E402


def test_rows_are_spread_as_those_of_the_real_data():
    rows = list(material.rows_of_demo_lengths(64))
    assert rows == list(material.rows_of_demo_lengths(64))
    answers = sorted(len(row["output"]) for row in rows)
    assert 130 < median(answers) < 210 and answers[0] < 40 and answers[-1] > 400
    assert [len(row["output"]) for row in rows] != answers  # in no order


def test_padding_is_no_token_and_what_is_not_learnt_no_label():
    padded = {
        "input_ids": torch.tensor([[5, 6, 7], [8, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]]),
        "labels": torch.tensor([[-100, 6, 7], [-100, -100, -100]]),
    }
    assert steps._sizes(padded) == (4, 6, 2)
    packed = {name: padded[name][:1] for name in ("input_ids", "labels")}
    assert steps._sizes(packed) == (3, 3, 2)
    ours = SimpleNamespace(row_ids=["a"], tokens=9, ids=torch.zeros(1, 9), items=4)
    assert steps._sizes(ours) == (9, 9, 4)


def test_the_first_step_is_not_counted(monkeypatch):
    clock = iter([(10.0, 1.0), (12.0, 2.5), (15.0, 4.0)])
    now = {}

    def tick():
        now["wall"], now["cpu"] = next(clock)

    monkeypatch.setattr(steps.time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(steps.time, "process_time", lambda: now["cpu"])
    counts = steps._Counts()
    for size in (100, 7, 8):
        counts.take(SimpleNamespace(row_ids=[], tokens=size, ids=torch.zeros(1, size + 1), items=size - 2))
        tick()
        counts.step_ended()
    told = counts.told()
    assert (told["tokens"], told["places"], told["labels"]) == (15, 17, 11)
    assert (told["wall_s"], told["cpu_s"]) == (5.0, 3.0)


@pytest.mark.parametrize(("theirs", "within"), [(2.6, True), (2.4, False)])
def test_a_trainer_at_its_defaults_has_to_be_two_and_a_half_times_slower(theirs, within):
    measured = {
        "Mozhu": Measured([Sample(1.0, 1.0, 50, 50)]),
        "peer": Measured([Sample(theirs, theirs, 100, 100)]),
    }
    side = train_speed.Side("peer", Path("python"), "train_peer", Path(), {}, train_speed.DEFAULTS_BAR)
    speed, memory = train_speed._limits(measured, side)
    assert speed.ok is within and memory.ok and memory.value == 0.5
