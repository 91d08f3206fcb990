"""A run folder holds one request: it is made once, resumes, says that it is done, or refuses another."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

import pytest

from mozhu.kernel import slots
from mozhu.kernel.errors import (
    BadJson,
    DamagedRecord,
    DiskFull,
    FolderInUse,
    MissingFile,
    NotARun,
    RunBusy,
    SpecConflict,
)
from mozhu.kernel.files import read_json, write_json
from mozhu.kernel.paths import Workspace
from mozhu.kernel.progress import Emit
from mozhu.specs.base import Spec
from mozhu.specs.records.result import Artefact, Metric, Outcome
from mozhu.workspace.execute import execute
from mozhu.workspace.places import fresh_run_folder, training_folder, with_absolute_paths
from mozhu.workspace.runs import RunFolder, make_run, run_folders

NOON = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


class NapSpec(Spec):
    """A request of nothing but time."""

    verb: ClassVar[str] = "nap"
    not_part_of_the_run: ClassVar[frozenset[str]] = frozenset({"pillow"})

    minutes: int = 5
    dataset: str | None = None
    pillow: str = "soft"


Engine = Callable[[NapSpec, Path, Emit], Outcome]


@pytest.fixture
def nap() -> Callable[[Engine], None]:
    """Make an engine the one that naps."""

    def use(engine: Engine) -> None:
        slots.register("mozhu.specs", "nap", NapSpec)
        slots.register("mozhu.verbs", "nap", engine)

    use(lambda spec, folder, emit: Outcome())
    return use


def kinds(run: RunFolder) -> list[str]:
    events = run.events()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    return [event["kind"] for event in events]


# ---------------------------------------------------------------- the folder
def test_a_request_is_written_whole(nap: object, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n", encoding="utf-8")
    run = make_run(NapSpec(minutes=7, dataset=str(rows)), {"minutes": "flag"}, tmp_path / "a/nap", now=NOON)
    request = run.request()
    assert (request.verb, request.run, request.created) == ("nap", "nap", "2026-11-21T12:00:00Z")
    assert request.fields == {"minutes": 7, "dataset": str(rows), "pillow": "soft"}
    assert request.origins == {"minutes": "flag"}
    assert request.inputs[0].role == "data" and str(request.inputs[0].sha256).startswith("sha256:")
    assert request.environment["mozhu"] and request.environment["lock"].startswith("sha256:")
    assert [path.name for path in run.path.iterdir()] == ["spec.json"]
    assert run.state() == "unfinished" and run.result() is None and run.events() == []


def test_the_same_request_again_is_the_same_run(nap: object, tmp_path: Path) -> None:
    make_run(NapSpec(), {}, tmp_path / "nap", now=NOON)
    written = (tmp_path / "nap/spec.json").read_bytes()
    again = make_run(NapSpec(pillow="hard"), {"minutes": "flag"}, tmp_path / "nap")
    assert again.path == tmp_path / "nap" and (tmp_path / "nap/spec.json").read_bytes() == written


def test_another_request_is_refused_with_the_names_of_what_differs(nap: object, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("{}\n", encoding="utf-8")
    make_run(NapSpec(dataset=str(rows)), {}, tmp_path / "nap")
    before = (tmp_path / "nap/spec.json").read_bytes()
    for other, fields in (
        (NapSpec(minutes=6, dataset=str(rows)), ["minutes"]),
        (NapSpec(minutes=6), ["dataset", "minutes"]),
    ):
        with pytest.raises(SpecConflict) as caught:
            make_run(other, {}, tmp_path / "nap")
        assert caught.value.params["fields"] == fields and caught.value.exit_code == 5
    rows.write_text('{"changed": 1}\n', encoding="utf-8")
    with pytest.raises(SpecConflict) as caught:
        make_run(NapSpec(dataset=str(rows)), {}, tmp_path / "nap")
    assert caught.value.params["fields"] == [str(rows)]
    assert (tmp_path / "nap/spec.json").read_bytes() == before


def test_a_folder_that_holds_other_files_is_left_alone(nap: object, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters/mine.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(FolderInUse) as caught:
        make_run(NapSpec(), {}, tmp_path / "letters")
    assert caught.value.params["found"] == ["mine.txt"]
    with pytest.raises(FolderInUse):
        make_run(NapSpec(), {}, tmp_path / "letters/mine.txt")
    assert (tmp_path / "letters/mine.txt").read_text(encoding="utf-8") == "dear"
    (tmp_path / "empty").mkdir()
    assert make_run(NapSpec(), {}, tmp_path / "empty").request().verb == "nap"


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(NotARun):
            RunFolder.open(place)
    (tmp_path / "spec.json").write_text('{"schema": 1, "verb": "na', encoding="utf-8")
    with pytest.raises(BadJson):
        RunFolder.open(tmp_path)
    write_json(tmp_path / "spec.json", {"schema": 1, "verb": "nap"})
    with pytest.raises(DamagedRecord) as caught:
        RunFolder.open(tmp_path)
    assert caught.value.params["fields"] == ["created", "fields", "origins", "run"]


def test_a_run_that_another_process_holds_is_busy(nap: object, tmp_path: Path) -> None:
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    held, go = os.pipe()
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with run.locked():
            os.write(tell, b"x")
            os.read(held, 1)
        os._exit(0)
    try:
        os.read(ready, 1)
        assert run.state() == "running"
        with pytest.raises(RunBusy):
            make_run(NapSpec(), {}, tmp_path / "nap")
        with pytest.raises(RunBusy):
            execute(run.path)
        os.kill(child, signal.SIGKILL)  # the system frees the lock of a process that dies
    finally:
        os.close(go)
        os.waitpid(child, 0)
    assert run.state() == "unfinished"
    assert execute(run.path).state == "succeeded"


# ---------------------------------------------------------------- carrying it out
def test_a_run_leaves_its_records(nap: Callable[[Engine], None], tmp_path: Path) -> None:
    def engine(spec: NapSpec, folder: Path, emit: Emit) -> Outcome:
        emit("step", step=1, total=1, loss=float("nan"))
        return Outcome(
            [Artefact(kind="dream", path="dream")], {"depth": Metric(value=spec.minutes)}, {"quiet": True}
        )

    nap(engine)
    run = make_run(NapSpec(minutes=3), {}, tmp_path / "nap")
    result = execute(run.path)
    assert kinds(run) == ["start", "step", "done"]
    assert run.events()[1]["loss"] == "nan" and run.events()[2]["metrics"] == {"depth": 3}
    written = read_json(run.path / "result.json")
    assert (
        written["state"] == "succeeded" and written["error"] is None and written["details"] == {"quiet": True}
    )
    assert written["artefacts"][0]["kind"] == "dream" and written["seconds"] >= 0
    assert run.result() == result and run.state() == "succeeded"


def test_a_finished_run_is_not_done_again(nap: Callable[[Engine], None], tmp_path: Path) -> None:
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    first = execute(run.path)
    before = {path.name: path.read_bytes() for path in run.path.iterdir()}
    nap(lambda spec, folder, emit: pytest.fail("was started again"))
    assert execute(run.path) == first
    assert {path.name: path.read_bytes() for path in run.path.iterdir()} == before


@pytest.mark.parametrize(
    ("failure", "code", "exit_code"),
    [
        (MissingFile(path="rows.jsonl"), "FILE-001", 3),
        (DiskFull(path="x", free="0B"), "FILE-003", 4),
        (MemoryError(), "ENV-002", 4),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "ENV-002", 4),
        (RuntimeError("planted\nsecond line"), "BUG-001", 70),
    ],
    ids=["catalogued", "disk", "memory", "cuda memory", "bug"],
)
def test_a_failure_is_kept_in_the_result_and_a_new_start_goes_on(
    failure: Exception, code: str, exit_code: int, nap: Callable[[Engine], None], tmp_path: Path
) -> None:
    def engine(spec: NapSpec, folder: Path, emit: Emit) -> Outcome:
        raise failure

    nap(engine)
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    result = execute(run.path)
    assert result.state == "failed" and result.error is not None
    assert (result.error["code"], result.error["exit_code"]) == (code, exit_code)
    assert result.error["message"] and "\n" not in str(result.error["params"].get("reason", ""))
    assert (run.path / "incident.txt").exists() == (code == "BUG-001")
    nap(lambda spec, folder, emit: Outcome())
    assert execute(run.path).state == "succeeded"
    assert kinds(run) == ["start", "failed", "resumed", "done"]


def test_a_run_that_is_interrupted_is_cancelled_and_goes_on(
    nap: Callable[[Engine], None], tmp_path: Path
) -> None:
    def engine(spec: NapSpec, folder: Path, emit: Emit) -> Outcome:
        emit("step", step=1)
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(5)
        raise AssertionError("was not interrupted")

    nap(engine)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    result = execute(run.path)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert result.state == run.state() == "cancelled" and f"mozhu run {run.path}" in str(result.error)
    nap(lambda spec, folder, emit: Outcome())
    assert execute(run.path).state == "succeeded"
    assert kinds(run) == ["start", "step", "cancelled", "resumed", "done"]


def test_a_run_that_was_cut_off_anywhere_goes_on_with_gapless_events(nap: object, tmp_path: Path) -> None:
    """No result, and an event that was being written when the machine went down."""
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    execute(run.path)
    (run.path / "result.json").unlink()
    (run.path / ".result.json.ab12.tmp").write_text('{"schema"', encoding="utf-8")
    events = run.path / "events.jsonl"
    content = events.read_bytes()
    events.write_bytes(content[:-20])
    assert run.state() == "unfinished"
    assert make_run(NapSpec(), {}, run.path).path == run.path
    assert execute(run.path).state == "succeeded"
    assert kinds(run) == ["start", "resumed", "done"]


def test_a_request_of_a_later_version_with_a_field_that_is_unknown_here_fails_clearly(
    nap: object, tmp_path: Path
) -> None:
    run = make_run(NapSpec(), {}, tmp_path / "nap")
    content = json.loads((run.path / "spec.json").read_text(encoding="utf-8"))
    content["fields"]["blanket"] = "warm"
    write_json(run.path / "spec.json", content)
    result = execute(run.path)
    assert result.error is not None and result.error["code"] == "FILE-006"
    assert "blanket" in result.error["message"]


# ---------------------------------------------------------------- places
def test_runs_are_listed_newest_first(nap: object, own_workspace: Path) -> None:
    output = own_workspace / "6_output"
    for number, name in enumerate(("first", "demo/second", "third")):
        make_run(NapSpec(), {}, output / name)
        os.utime(output / name / "spec.json", (1_000_000 + number, 1_000_000 + number))
    (output / "notes").mkdir()
    assert [run.path.name for run in run_folders(Workspace(own_workspace))] == ["third", "second", "first"]


def test_new_run_folders_never_meet(own_workspace: Path) -> None:
    workspace = Workspace(own_workspace)
    found = []
    for _ in range(3):
        folder = fresh_run_folder(NapSpec(), workspace)
        folder.mkdir(parents=True)
        found.append(folder)
    assert len(set(found)) == 3 and all(folder.parent == workspace.output for folder in found)


def test_paths_of_a_request_hold_from_any_folder(own_workspace: Path, training: Any, tmp_path: Path) -> None:
    (own_workspace / "rows.jsonl").touch()
    (own_workspace / "starter").mkdir()
    spec = training.model_copy(update={"model": "starter", "dataset": "rows.jsonl", "output_dir": "./out/x"})
    moved = with_absolute_paths(spec)
    assert moved.dataset == str(own_workspace / "rows.jsonl")
    assert moved.output_dir == str(own_workspace / "out/x")
    assert moved.model == "starter"  # always the built-in one; a folder of that name is written ./starter
    named = with_absolute_paths(spec.model_copy(update={"model": "./starter", "dataset": "medical_qa"}))
    assert (named.model, named.dataset) == (str(own_workspace / "starter"), "medical_qa")
    assert training_folder(moved, Workspace(own_workspace)) == own_workspace / "out/x"
    unnamed = moved.model_copy(update={"output_dir": None})
    assert training_folder(unnamed, Workspace(own_workspace)).parent == own_workspace / "6_output"
