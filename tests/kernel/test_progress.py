"""Events are numbered without gaps, over restarts and over a write that was cut off."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mozhu.kernel.errors import NotWritable
from mozhu.kernel.progress import EventLog, EventTail, iso_time, utc_now
from mozhu.specs.records.events import Event, Kind

NOON = datetime(2026, 11, 21, 12, 0, 0, 120_900, tzinfo=timezone.utc)


def events(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_an_event_is_on_disk_when_emit_returns(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "run/events.jsonl", clock=lambda: NOON)
    log.emit("step", step=40, loss=2.104, rows=["医疗:v3#118"])
    line = (tmp_path / "run/events.jsonl").read_text(encoding="utf-8")
    log.close()
    assert json.loads(line) == {
        "schema": 1,
        "seq": 1,
        "t": "2026-11-21T12:00:00.120Z",
        "kind": "step",
        "step": 40,
        "loss": 2.104,
        "rows": ["医疗:v3#118"],
    }
    assert "医疗" in line and line.endswith("\n")


def test_numbers_are_gapless_over_reopening(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for opening in range(3):
        log = EventLog(path)
        assert not log.repaired
        for step in range(opening + 1):
            log.emit("step", step=step)
        log.close()
    assert [event["seq"] for event in events(path)] == list(range(1, 7))


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(min_value=1, max_value=90))
def test_a_write_that_was_cut_off_anywhere_is_repaired(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("cut") / "events.jsonl"
    log = EventLog(path)
    for step in range(3):
        log.emit("step", step=step, loss=1.25, rows=["a#1", "b#2"])
    log.close()
    content = path.read_bytes()
    last = len(content.splitlines()[-1])
    path.write_bytes(content[: -min(cut, last)])
    log = EventLog(path)
    assert log.repaired
    log.emit("resumed")
    log.close()
    assert [event["seq"] for event in events(path)] == [1, 2, 3]
    assert events(path)[-1]["kind"] == "resumed"


def test_a_log_of_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"schema": 1, "se')
    log = EventLog(path)
    log.emit("start")
    log.close()
    assert [event["seq"] for event in events(path)] == [1]


def test_numbers_that_json_cannot_hold_are_strings(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", check=Event.model_validate)
    log.emit("step", step=1, loss=math.nan, grad_norm=math.inf, more={"low": -math.inf})
    log.close()
    event = events(tmp_path / "events.jsonl")[0]
    assert (event["loss"], event["grad_norm"], event["more"]) == ("nan", "inf", {"low": "-inf"})


def test_an_event_that_is_no_event_is_not_written(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "events.jsonl", check=Event.model_validate)
    with pytest.raises(ValueError):
        log.emit("party")
    with pytest.raises(ValueError):
        log.emit("step", loss="low")
    log.emit("step", step=1)
    log.close()
    assert [event["seq"] for event in events(tmp_path / "events.jsonl")] == [1]


def test_every_kind_of_event_is_valid() -> None:
    for kind in get_args(Kind):
        Event.model_validate({"schema": 1, "seq": 1, "t": iso_time(NOON), "kind": kind})


def test_a_place_that_cannot_be_written_is_named() -> None:
    with pytest.raises(NotWritable):
        EventLog(Path("/proc/mozhu/events.jsonl"))


def test_a_tail_gives_each_event_once_and_leaves_a_line_that_is_being_written(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    tail = EventTail(path)
    assert list(tail.read()) == []
    log = EventLog(path)
    log.emit("start")
    log.emit("step", step=1)
    assert [event["seq"] for event in tail.read()] == [1, 2]
    with open(path, "ab") as file:
        file.write(b'{"schema": 1, "seq": 3, "kind": "st')
        file.flush()
        assert list(tail.read()) == []
        file.write(b'ep"}\n')
    assert [event["seq"] for event in tail.read()] == [3]
    assert list(tail.read()) == []
    later = EventTail(path)
    later.skip_to_end()
    assert list(later.read()) == []
    log.close()


def test_a_tail_that_skips_a_torn_line_sees_what_takes_its_place(tmp_path: Path) -> None:
    """A killed run is started again: the follower opens first, then the run cuts the torn line and goes on."""
    path = tmp_path / "events.jsonl"
    log = EventLog(path)
    log.emit("start")
    log.close()
    with open(path, "ab") as file:
        file.write(b'{"schema": 1, "seq": 2, "kind": "step", "loss": 1.2')
    tail = EventTail(path)
    tail.skip_to_end()
    log = EventLog(path)
    log.emit("resumed")
    assert [event["kind"] for event in tail.read()] == ["resumed"]
    log.close()


def test_times_are_utc() -> None:
    abroad = NOON.astimezone(timezone(timedelta(hours=8)))
    assert iso_time(abroad) == iso_time(NOON) == "2026-11-21T12:00:00.120Z"
    assert utc_now().tzinfo == timezone.utc
