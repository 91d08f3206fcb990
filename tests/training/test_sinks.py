"""Sinks show what the events say, step by step and nothing twice; none of them can harm a run."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from mozhu.engine.training.engines import hf
from mozhu.engine.training.preflight import preflight
from mozhu.engine.training.run import run_training
from mozhu.engine.training.sinks.fan_out import Sinks, told_events
from mozhu.engine.training.sinks.sink import SinkRun
from mozhu.kernel import slots
from mozhu.kernel.errors import MissingExtra
from mozhu.kernel.machine import describe
from mozhu.specs.train import TrainSpec
from mozhu.workspace.execute import execute
from mozhu.workspace.runs import make_run

# One run as its events tell it.
EVENTS: list[dict[str, Any]] = [
    {"kind": "eval", "step": 0, "loss": 3.0, "rows": 2},
    {"kind": "step", "step": 1, "total": 3, "loss": 2.5, "lr": 1e-3, "eta_s": 9.0, "rows": ["a"]},
    {"kind": "step", "step": 2, "total": 3, "loss": 2.0, "lr": 5e-4, "eta_s": 5.0, "rows": ["b"]},
    {"kind": "sample", "step": 2, "row_id": "d#1", "question": "问", "answer": "答<b>", "expected": "对"},
    {"kind": "eval", "step": 2, "loss": 2.2, "perplexity": 9.0, "rows": 2},
    {"kind": "step", "step": 3, "total": 3, "loss": "nan", "lr": 0.0, "rows": []},
]


class Kept:
    """A sink that keeps what it is told."""

    made: list[Kept] = []
    tells_again = False

    def __init__(self, run: SinkRun) -> None:
        self.run, self.told, self.state = run, [], ""
        Kept.made.append(self)

    def numbers(self, step: int, values: dict[str, float]) -> None:
        self.told.append((step, values))

    def words(self, step: int, name: str, words: str) -> None:
        self.told.append((step, {name: words}))

    def close(self, state: str) -> None:
        self.state = state


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    monkeypatch.setattr(slots, "_added", {})
    slots.register("mozhu.training_sinks", "kept", Kept)
    Kept.made = []
    return Kept.made


def asked(*sinks: str) -> TrainSpec:
    return TrainSpec(model="m", dataset="d", report_to=sinks)


def tell_all(spec: TrainSpec, folder: Path, told: list[dict[str, Any]], log: Path | None = None) -> list[Any]:
    heard: list[Any] = []

    def emit(kind: str, /, **fields: Any) -> None:
        heard.append({"kind": kind, **fields})

    with Sinks(spec, folder, emit, log=log or folder / "events.jsonl") as sinks:
        for event in told:
            sinks.emit(event["kind"], **{name: value for name, value in event.items() if name != "kind"})
    return heard


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every point in the TensorBoard files of ``folder``, in the order in which they were written."""
    found = defaultdict(list)
    for event in tensorboard_events(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                found[value.tag].append((event.step, value.simple_value))
    return found


def tensorboard_events(folder: Path) -> Iterator[Any]:
    from tensorboardX.proto.event_pb2 import Event

    for path in sorted(folder.glob("tensorboard/events.out.tfevents.*")):
        content = path.read_bytes()
        place = 0
        while place < len(content):
            (size,) = struct.unpack_from("<Q", content, place)
            yield Event.FromString(content[place + 12 : place + 12 + size])
            place += 12 + size + 4


def test_a_sink_hears_every_number_of_steps_and_evaluations(kept: list[Kept], tmp_path: Path) -> None:
    heard = tell_all(asked("kept"), tmp_path, EVENTS)
    assert heard == EVENTS, "the run's own records first, and unchanged"
    (sink,) = kept
    assert sink.told[0] == (0, {"eval/loss": 3.0})
    assert sink.told[1] == (1, {"train/loss": 2.5, "train/lr": 1e-3})
    assert "答<b>" in sink.told[3][1]["sample/d#1"]
    assert str(sink.told[5][1]["train/loss"]) == "nan"
    assert sink.state == "succeeded"
    assert sink.run.config["dataset"] == "d" and sink.run.name == tmp_path.name


@pytest.mark.parametrize("moment", ["__init__", "numbers", "words", "close"])
def test_a_sink_that_fails_is_switched_off_and_told_once(
    kept: list[Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Broken(Kept):
        pass

    def fails(*args: Any, **more: Any) -> None:
        raise ConnectionError("server is gone\nand more")

    monkeypatch.setattr(Broken, moment, fails)
    slots.register("mozhu.training_sinks", "broken", Broken)
    heard = tell_all(asked("broken", "kept"), tmp_path, EVENTS)
    findings = [event for event in heard if event["kind"] == "finding"]
    assert [(event["code"], event["params"]["sink"]) for event in findings] == [("TRAIN-080", "broken")]
    assert findings[0]["params"]["reason"] == "ConnectionError: server is gone"
    assert [event for event in heard if event["kind"] != "finding"] == EVENTS
    assert len(kept[-1].told) == len(EVENTS), "the others hear everything"


def test_a_sink_learns_how_the_run_ended(kept: list[Kept], tmp_path: Path) -> None:
    for error, state in ((KeyboardInterrupt, "cancelled"), (ValueError, "failed")):
        with pytest.raises(error), Sinks(asked("kept"), tmp_path, print, log=tmp_path / "none"):
            raise error
        assert kept[-1].state == state


def test_names_of_sinks_are_checked_before_anything_starts(
    kept: list[Kept], spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mozhu.engine.training.sinks import packages

    real = packages.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == "wandb" else real(name))
    found = preflight(spec(report_to=("kept", "tensorboard", "wandb", "tensorbord")), describe(), tmp_path)
    errors = {finding.code: finding.params for finding in found if finding.level == "error"}
    assert errors["ENV-001"] == {"wanted_by": "wandb", "module": "wandb", "extra": "tracking"}
    assert errors["ENV-004"]["name"] == "tensorbord" and "kept" in errors["ENV-004"]["known"]
    assert set(errors) == {"ENV-001", "ENV-004"}


def test_a_sink_without_its_package_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: Any, events: Any
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow.entities", None)
    monkeypatch.delitem(__import__("sys").modules, "mozhu.engine.training.sinks.mlflow_runs", raising=False)
    with pytest.raises((MissingExtra, ImportError)):
        run_training(spec(report_to="mlflow"), tmp_path / "run", events)
    assert not events.all


def test_the_word_none_writes_nothing_more() -> None:
    assert asked("none").report_to == ()
    assert asked("TensorBoard", "tensorboard").report_to == ("tensorboard",)
    assert TrainSpec(model="m", dataset="d").report_to == ("tensorboard",)
    with pytest.raises(ValidationError, match="none_alone"):
        asked("none", "wandb")


def test_tensorboard_shows_the_events_of_a_run(spec: Any, tmp_path: Path, events: Any) -> None:
    run_training(spec(eval_samples=1, eval_steps=3), tmp_path, events)
    found = scalars(tmp_path)
    for name in ("loss", "loss_smooth", "lr", "grad_norm", "tokens_per_s", "memory_bytes"):
        wanted = [(event["step"], pytest.approx(event[name], rel=1e-6)) for event in events.of("step")]
        assert found[f"train/{name}"] == wanted, name
    assert [step for step, _ in found["eval/loss"]] == [0, 3, 6]
    assert "train/eta_s" not in found and "train/rows" not in found
    texts = [
        (event.step, value.tensor.string_val[0].decode("utf-8"))
        for event in tensorboard_events(tmp_path)
        for value in event.summary.value
        if value.metadata.plugin_data.plugin_name == "text"
    ]
    assert '"lora_rank": 4' in texts[0][1]
    assert [step for step, _ in texts[1:]] == [0, 3, 6]
    assert events.of("sample")[0]["question"] in texts[1][1]


def test_a_resumed_run_goes_on_in_the_same_curve_without_double_points(
    spec: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: list[Kept]
) -> None:
    """Cut off after four steps, two of them after its last checkpoint: they are trained twice and shown once."""
    run = make_run(spec(save_steps=2, report_to=("tensorboard", "kept")), {}, tmp_path / "run")

    with monkeypatch.context() as patch:
        real = hf.EventTrainer._emit_step

        def emit_step(self: Any, logs: Any) -> None:
            real(self, logs)
            if self.state.global_step == 5:
                raise RuntimeError("as if the machine was switched off")

        patch.setattr(hf.EventTrainer, "_emit_step", emit_step)
        assert execute(run.path).state == "failed"
    before = scalars(run.path)
    assert [step for step, _ in before["train/loss"]] == [1, 2, 3, 4, 5], "what was told is on the disk"
    assert execute(run.path).state == "succeeded"
    found = scalars(run.path)
    told = told_events(run.path / "events.jsonl")
    for kind, tag in (("step", "train/loss"), ("eval", "eval/loss")):
        wanted = [(event["step"], pytest.approx(event["loss"])) for event in told if event["kind"] == kind]
        assert found[tag] == wanted
    assert [step for step, _ in found["train/loss"]] == [1, 2, 3, 4, 5, 6]
    both = [step for sink in kept for step, values in sink.told if "train/loss" in values]
    assert both == [1, 2, 3, 4, 5, 6]


def test_sinks_change_nothing_of_what_is_trained(spec: Any, tmp_path: Path, events: Any) -> None:
    file = "lora_adapter/adapter_model.safetensors"
    run_training(spec(max_steps=2), tmp_path / "with", events)
    run_training(spec(max_steps=2, report_to="none"), tmp_path / "without", events)
    assert (tmp_path / "with" / file).read_bytes() == (tmp_path / "without" / file).read_bytes()
    assert (tmp_path / "with" / "tensorboard").is_dir()
    assert not (tmp_path / "without" / "tensorboard").exists()


def _events_file(folder: Path, told: list[dict[str, Any]]) -> Path:
    path = folder / "events.jsonl"
    lines = [json.dumps({"schema": 1, "seq": n, "t": "", **event}) for n, event in enumerate(told)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _no_findings(heard: list[Any]) -> None:
    assert not [event for event in heard if event["kind"] == "finding"], heard


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Libraries keep their settings there; nothing of this machine's is read."""
    for name in ("WANDB_MODE", "SWANLAB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path


def test_mlflow_keeps_one_run_over_two_starts(own_home: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    folder = own_home / "run"
    folder.mkdir()
    _no_findings(tell_all(asked("mlflow"), folder, EVENTS[:2]))
    log = _events_file(folder, EVENTS[:2])
    _no_findings(tell_all(asked("mlflow"), folder, EVENTS[2:], log))
    client = MlflowClient((folder / "mlruns").absolute().as_uri())
    experiment = client.get_experiment_by_name("mozhu")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_name == "run" and run.info.status == "FINISHED"
    assert run.data.params["dataset"] == "d"
    history = client.get_metric_history(run.info.run_id, "train/lr")
    assert [(point.step, point.value) for point in history] == [(1, 1e-3), (2, 5e-4), (3, 0.0)]
    assert [path.path for path in client.list_artifacts(run.info.run_id, "samples")]


def test_wandb_stays_on_this_disk_under_one_id(own_home: Path) -> None:
    pytest.importorskip("wandb")
    folder = own_home / "run"
    folder.mkdir()
    _no_findings(tell_all(asked("wandb"), folder, EVENTS[:2]))
    log = _events_file(folder, EVENTS[:2])
    _no_findings(tell_all(asked("wandb"), folder, EVENTS[2:], log))
    files = sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))
    assert len(files) == 2 and len({path.name for path in files}) == 1
    assert [step for path in files for step in _wandb_steps(path)] == [0, 1, 2, 3]


def _wandb_steps(path: Path) -> list[int]:
    """The steps of the history records of a W&B file: LevelDB's log format after seven bytes of its own."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, place, whole, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(content):
        left = 32768 - place % 32768
        if left < 7:
            place += left
            continue
        size, part = struct.unpack_from("<HB", content, place + 4)
        whole += content[place + 7 : place + 7 + size]
        place += 7 + size
        if part in (1, 4):  # full, or the last piece
            record, whole = Record.FromString(whole), b""
            if record.HasField("history"):
                found.append(record.history.step.num)
    return found


def test_swanlab_stays_on_this_disk(own_home: Path) -> None:
    pytest.importorskip("swanlab")
    folder = own_home / "run"
    folder.mkdir()
    _no_findings(tell_all(asked("swanlab"), folder, EVENTS))
    files = [path for path in (folder / "swanlog").rglob("*") if path.is_file()]
    assert any(b"train/lr" in path.read_bytes() for path in files)


def test_runs_that_are_read_again_stand_in_order(tmp_path: Path) -> None:
    log = _events_file(tmp_path, [*EVENTS[3:], *EVENTS[:3], {"kind": "again", "of": "step", "step": 2}])
    told = told_events(log)
    assert [event["step"] for event in told] == [0, 1, 2, 2, 2, 3]
