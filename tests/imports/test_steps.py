"""Imports carry on whatever happens between two steps: nothing is lost, half-visible or there twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from importing import Installation, Make, files_below
from registry_artefacts import certify, write_model

import mozhu.engine.intake.inspect as intake
from mozhu.kernel.errors import (
    BadName,
    BadValue,
    ImportEnded,
    InTrash,
    StoreUnreachable,
    UnknownImport,
    UnknownUpload,
    UploadClosed,
    VersionTaken,
)
from mozhu.platform.accounts.subject import LOCAL_ADMIN, Subject
from mozhu.platform.catalog import registering
from mozhu.platform.imports import steps
from mozhu.platform.imports.laying import GIVEN, Interrupted, lay_out
from mozhu.platform.imports.views import ImportView, Wanted
from mozhu.platform.storage.gc import collect
from mozhu.platform.uploads.upkeep import holders_of
from mozhu.platform.uploads.views import Limits
from mozhu.specs.registry import GcSpec
from mozhu.testing.inline_runs import InlineExecutor
from mozhu.testing.memory_blobs import MemoryBlobs
from mozhu.workspace.execute import execute
from mozhu.workspace.runs import RunFolder, RunState

TEXT = {"notes.txt": "一些说明".encode()}


class Held(InlineExecutor):
    """Runs that do not end before they are let go; ``dead``: their process has gone without a word."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[RunFolder] = []
        self.stopped: list[str] = []
        self.dead = False

    def start(self, run: RunFolder) -> None:
        self.started.append(run.path.name)
        if not self.dead:
            self.running.append(run)

    def state(self, run: RunFolder) -> RunState:
        return "running" if run in self.running else run.state()

    def stop(self, run: RunFolder) -> bool:
        self.stopped.append(run.path.name)
        there = run in self.running
        self.running = [each for each in self.running if each != run]
        return there

    def let_go(self) -> None:
        for run in self.running:
            execute(run.path)
        self.running = []


def versions(made: Installation, name: str) -> list[str]:
    found = made.services.registry.show(name) if made.services.registry.has_model(name) else None
    return [version.label for version in found.versions] if found else []


def test_an_import_waits_for_its_upload_and_fails_with_it(make: Make) -> None:
    made = make()
    imports = made.services.imports
    upload = made.upload(TEXT, complete=False)
    item = imports.create(LOCAL_ADMIN, "notes", Wanted(upload, type="file"))
    assert item.state == "uploading" and imports.advance() == 0
    assert [each.id for each in imports.unfinished("notes")] == [item.id]
    made.services.uploads.complete(LOCAL_ADMIN, upload)
    assert made.follow(item).state == "ready"
    assert made.happened(item) == ["import.uploading", "import.checking", "import.ready"]
    given_up = made.upload({"b.txt": b"b"}, complete=False)
    lost = imports.create(LOCAL_ADMIN, "lost", Wanted(given_up, type="file"))
    made.services.uploads.abort(LOCAL_ADMIN, given_up)
    done = made.follow(lost)
    assert (done.state, made.codes(done)) == ("failed", {"IMPORT-003"})
    with pytest.raises(UploadClosed):
        imports.create(LOCAL_ADMIN, "lost", Wanted(given_up))


def test_names_are_taken_from_the_first_moment(make: Make) -> None:
    made = make(Held())
    imports, models = made.services.imports, made.services.models
    upload = made.upload(TEXT)
    first, second = (imports.create(LOCAL_ADMIN, "m", Wanted(upload, type="file")) for _ in range(2))
    assert (first.version, second.version) == ("v1", "v2")
    free = imports.create(LOCAL_ADMIN, "m", Wanted(upload, "v2.1", type="file"))
    with pytest.raises(VersionTaken):
        imports.create(LOCAL_ADMIN, "m", Wanted(upload, "v2.1", type="file"))
    assert models.suggest("m") == "v3"
    # Who registers at the machine itself passes the names by as well.
    source = write_model(made.root / "given")
    registered = made.services.registry.register(source, name="m").version
    assert registered.label == "v3"
    with pytest.raises(VersionTaken):
        made.services.registry.register(write_model(made.root / "other", seed=3), name="m", version="v1")
    imports.remove(LOCAL_ADMIN, free.id)
    assert imports.create(LOCAL_ADMIN, "m", Wanted(upload, "v2.1")).version == "v2.1"
    for wrong, error in (
        (("m", Wanted("none")), UnknownUpload),
        (("a/b", Wanted(upload)), BadName),
        (("m@x", Wanted(upload)), BadName),
        (("m", Wanted(upload, "v9@x")), BadName),
        (("m", Wanted(upload, type="image")), BadValue),
        (("m", Wanted(upload, visibility="everyone")), BadValue),
    ):
        with pytest.raises(error):
            imports.create(LOCAL_ADMIN, *wrong)
    models.delete("m", force="m")
    with pytest.raises(InTrash):
        imports.create(LOCAL_ADMIN, "m", Wanted(upload))
    with pytest.raises(UnknownUpload):
        imports.create(Subject("eve"), "own", Wanted(upload))


def test_only_so_many_run_at_once_oldest_first(make: Make) -> None:
    executor = Held()
    made = make(executor, imports_at_once=2)
    items = [made.begin(f"m{n}", {"a.txt": bytes([n + 65])}, type="file") for n in range(4)]
    for _ in range(3):
        made.services.imports.advance()
    assert executor.started == [f"import-{item.id}" for item in items[:2]]
    executor.let_go()
    for _ in range(3):
        made.services.imports.advance()
    assert len(executor.started) == 4 and [made.state(item).state for item in items[:2]] == ["ready"] * 2
    executor.let_go()
    assert [made.follow(item).state for item in items] == ["ready"] * 4


class Cut(BaseException):
    """The process ends here."""


CUTS: dict[str, tuple[Any, str]] = {
    "laid out": (steps.Steps, "_change"),
    "started": (InlineExecutor, "start"),
    "before the version": (steps, "admit"),
    "files placed": (registering, "record_contents"),
    "committed": (steps.Steps, "_remove"),
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("after", [False, True], ids=["before it", "after it"])
def test_a_kill_between_steps_loses_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, cut: str, after: bool
) -> None:
    made = make()
    files = files_below(write_model(made.root / "given", seed=11))
    item = made.begin("m", files, notes="在1M中文对话数据上微调")
    place, name = CUTS[cut]
    real: Callable[..., Any] = getattr(place, name)
    happened: list[str] = []

    def dies(*args: Any, **given: Any) -> Any:
        happened.append(cut)
        if after:
            real(*args, **given)
        raise Cut

    monkeypatch.setattr(place, name, dies)
    for _ in range(4):
        try:
            made.services.imports.advance()
        except Cut:
            break
    assert happened == [cut]
    is_there = versions(made, "m") == ["v1"]
    assert is_there == (made.state(item).state == "ready"), "seen whole or not at all"
    monkeypatch.setattr(place, name, real)
    again = make()
    assert again.follow(item).state == "ready"
    again.services.imports.advance()
    assert versions(again, "m") == ["v1"] and again.runs() == []
    assert again.happened(item).count("import.ready") == 1
    assert again.services.registry.validate("m:v1").is_whole
    report = again.services.registry.rescan(keep=False)
    assert (report.added, report.gone, report.refused) == ((), (), ())


def test_a_process_that_keeps_dying_ends_the_import(make: Make) -> None:
    executor = Held()
    executor.dead = True
    made = make(executor)
    item = made.begin("m", TEXT, type="file")
    done = made.follow(item, rounds=8)
    assert (done.state, made.codes(done)) == ("failed", {"IMPORT-005"})
    assert len(executor.started) == 3 and made.runs() == []
    executor.dead = False
    assert made.services.imports.retry(LOCAL_ADMIN, item.id).state == "checking"
    made.services.imports.advance()
    executor.let_go()
    assert made.follow(item).state == "ready"
    with pytest.raises(ImportEnded):
        made.services.imports.retry(LOCAL_ADMIN, item.id)


def test_one_that_is_given_up_stops_and_becomes_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Held()
    made = make(executor)
    imports = made.services.imports
    item = made.begin("m", TEXT, type="file")
    imports.advance()
    imports.remove(LOCAL_ADMIN, item.id)
    assert executor.stopped == [f"import-{item.id}"]
    imports.advance()
    assert made.runs() == [] and versions(made, "m") == []
    with pytest.raises(UnknownImport):
        imports.show(LOCAL_ADMIN, item.id)
    # In the very moment in which it becomes a version.
    late = made.begin("m", TEXT, type="file")
    imports.advance()
    executor.let_go()
    real = registering.put_contents

    def taken_back(*args: Any) -> None:
        imports.remove(LOCAL_ADMIN, late.id)
        monkeypatch.setattr(registering, "put_contents", real)

    monkeypatch.setattr(registering, "put_contents", taken_back)
    imports.advance()
    assert versions(made, "m") == [] and not list((made.root / "5_models").glob("pretrained/*/m/*"))


def test_a_store_that_is_away_is_waited_for(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    item = made.begin("m", TEXT, type="file")

    def away(*args: Any, **given: Any) -> None:
        raise StoreUnreachable(store="s3://x", tries=3, reason="500")

    monkeypatch.setattr(steps, "lay_out", away)
    other = made.begin("n", {"other.txt": b"x"}, type="file")
    with pytest.raises(StoreUnreachable):
        made.services.imports.advance()
    told = made.state(item)
    assert (told.state, [finding["level"] for finding in told.findings]) == ("checking", ["warning"])
    monkeypatch.undo()
    assert [made.follow(each).state for each in (item, other)] == ["ready", "ready"]
    assert made.state(item).findings == ()


@pytest.mark.slow
def test_a_pickle_waits_for_torch_and_goes_on_when_it_is_there(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"a": torch.ones(2)}, tmp_path / "m.pth")
    made = make()
    monkeypatch.setattr(intake, "has_torch", lambda: False)
    item = made.begin("w", {"m.pth": (tmp_path / "m.pth").read_bytes()})
    waiting = made.follow(item)
    assert (waiting.state, waiting.waits, made.codes(waiting)) == ("checking", True, {"SAFE-203"})
    assert "[train]" in waiting.to_json()["findings"][0]["message"] and made.runs() == []
    assert made.services.imports.advance() == 0 and not made.services.registry.has_model("w")
    monkeypatch.undo()
    made.services.imports.retry(LOCAL_ADMIN, item.id)
    done = made.follow(item)
    assert (done.state, done.waits, done.reference) == ("ready", False, "w:v1")


def test_contents_stay_while_an_import_needs_them_and_go_after(make: Make) -> None:
    executor = Held()
    made = make(executor)
    packed = {"big.bin.txt": b"x" * 5000}
    item = made.begin("m", packed, type="file")
    store, database = made.services.registry.store, made.services.database
    # An upload that was completed long ago holds nothing by itself.
    holders = holders_of(made.root / "5_models", Limits(expiry_hours=0))

    def gone() -> int:
        return collect(database, store, holders, grace_s=0, now=time.time() + 10).blobs

    time.sleep(0.01)
    assert gone() == 0
    made.services.imports.advance()
    assert gone() == 0
    made.services.imports.remove(LOCAL_ADMIN, item.id)
    made.services.imports.advance()
    assert gone() == 1
    # What is asked for again after that says what is missing.
    lost = made.services.imports.create(LOCAL_ADMIN, "m", Wanted(item.upload, type="file"))
    done = made.follow(lost)
    assert (done.state, made.codes(done)) == ("failed", {"STORE-001"})


def test_the_same_files_again_are_no_second_version(make: Make) -> None:
    made = make()
    first = made.taken("m", TEXT, type="file")
    second = made.taken("m", TEXT)
    assert (first.reference, second.reference, second.state) == ("m:v1", "m:v1", "ready")
    assert made.codes(second) == {"IMPORT-006"} and versions(made, "m") == ["v1"]
    assert made.taken("m", {"notes.txt": b"other"}).reference == "m:v2"


def test_a_failing_certificate_that_comes_along_counts(make: Make, tmp_path: Path) -> None:
    made = make()
    good, bad = write_model(tmp_path / "good", seed=1), write_model(tmp_path / "bad", seed=2)
    certify(good)
    certify(bad, ok=False)
    done = made.taken("good", files_below(good))
    kept = made.services.registry.folder_of(made.services.registry.version("good:v1"))
    assert done.state == "ready"
    assert (kept / "certificate.json").read_bytes() == (good / "certificate.json").read_bytes()
    refused = made.taken("bad", files_below(bad))
    assert (refused.state, made.codes(refused)) == ("failed", {"REG-004"})


def test_a_flipped_byte_in_the_store_is_no_version(make: Make) -> None:
    made = make()
    content = b"a,b\n1,2\n"
    item = made.begin("m", {"t.csv": content}, type="file")
    path = next(path for path in (made.root / "5_models/blobs/sha256").rglob("*") if path.is_file())
    path.write_bytes(b"a,b\n1,3\n")
    done = made.follow(item)
    assert (done.state, made.codes(done)) == ("failed", {"STORE-002"})


def test_a_fault_of_ours_stops_one_import_only(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    real = steps.admit

    def broken(database: Any, store: Any, models: Any, item: ImportView, *more: Any) -> Any:
        if item.model == "m":
            raise ZeroDivisionError("ours")
        return real(database, store, models, item, *more)

    monkeypatch.setattr(steps, "admit", broken)
    items = [made.begin(name, {"a.txt": name.encode()}, type="file") for name in ("m", "n")]
    assert [made.follow(item).state for item in items] == ["failed", "ready"]
    assert made.codes(made.state(items[0])) == {"BUG-001"}


def test_what_people_said_comes_along_and_advice_is_given(make: Make) -> None:
    made = make()
    item = made.begin("Llama 3", TEXT, type="file", version="newest", notes="test", tags=("a", "b", "a"))
    advice = {each["code"]: each for each in made.state(item).to_json()["advice"]}
    assert set(advice) == {"plain_name", "version_name", "note"}
    assert advice["version_name"]["suggestion"] == "v1"
    good = made.begin(
        "Llama-3-8B", TEXT, type="file", version="v1_base", notes="使用LoRA方法微调，参数量减少50%", licence="mit",
        description="说明", visibility="everyone", team="vision",
    )  # fmt: skip
    assert made.state(good).to_json()["advice"] == []
    made.follow(good)
    shown = made.services.registry.show("Llama-3-8B")
    model, version = shown.model, shown.chosen
    assert (model.team, model.visibility, model.licence, model.description) == (
        "vision",
        "everyone",
        "mit",
        "说明",
    )
    assert (version.label, version.notes) == ("v1_base", "使用LoRA方法微调，参数量减少50%")


def test_collection_by_the_command_keeps_what_is_being_imported(make: Make) -> None:
    from mozhu.platform.uploads.upkeep import registry_gc

    made = make(Held())
    made.begin("m", TEXT, type="file")
    registry_gc(made.root, GcSpec(grace_hours=0))
    assert len([path for path in (made.root / "5_models/blobs/sha256").rglob("*") if path.is_file()]) == 1


def test_on_postgres_an_import_goes_the_same_way(make: Make, empty_postgres_url: str) -> None:
    made = make(database=empty_postgres_url)
    imports, writer = made.services.imports, Subject("ann", ("vision",))
    item = made.begin("m", TEXT, subject=writer, type="file")
    second = imports.create(writer, "m", Wanted(item.upload, type="file"))
    assert (item.reference, second.reference) == ("m:v1", "m:v2")
    with pytest.raises(VersionTaken):
        imports.create(writer, "m", Wanted(item.upload, "v1"))
    seen, _ = imports.page(writer, limit=1)
    rest, following = imports.page(writer, limit=5, after=(seen[0].created, seen[0].id))
    assert [seen[0].id, rest[0].id] == [second.id, item.id] and following is None
    assert imports.page(Subject("eve"))[0] == []
    happened = made.services.registry.events_after(0, 50, subject=writer)
    assert [event["what"] for event in happened] == ["import.checking"] * 2
    assert made.follow(item).state == "ready"
    model = made.services.registry.show("m", subject=writer).model
    assert (model.owner, model.team, model.visibility) == ("ann", "vision", "private")
    imports.remove(writer, second.id)
    assert made.services.registry.rescan(keep=False).gone == ()


def test_contents_of_a_store_that_is_no_folder_are_copied_and_checked(make: Make, tmp_path: Path) -> None:
    made = make()
    item = made.begin("m", {"a/b.txt": b"one", "c.txt": b"two"}, type="file")
    store, kept = MemoryBlobs(), made.services.registry.store
    for blob in kept.list():
        store.put(blob.digest, kept.open(blob.digest), blob.size)
    place = tmp_path / "run"
    run = lay_out(made.services.database, store, item, place, lambda: False)
    assert files_below(place / GIVEN) == {
        "a/b.txt": b"one",
        "c.txt": b"two",
    }
    assert run.request().fields["path"] == str(place / GIVEN)
    with pytest.raises(Interrupted):
        lay_out(made.services.database, store, item, tmp_path / "again", lambda: True)


def test_how_far_the_files_are_looked_at_is_told(make: Make) -> None:
    made = make(Held())
    item = made.begin("m", TEXT, type="file")
    assert made.state(item).progress is None
    made.services.imports.advance()
    run = RunFolder(made.root / "6_output" / made.state(item).run)
    log = run.open_log()
    log.emit("start", verb="inspect", run=run.path.name, pid=1)
    for step in (10, 30):
        log.emit("step", step=step, total=100, unit="byte", eta_s=7.0)
    log.close()
    told = made.state(item).to_json()["progress"]
    assert told == {"done": 30, "total": 100, "unit": "byte", "eta_s": 7.0}
    assert made.services.imports.unfinished("m")[0].progress is None
