"""Run folders: made once, resumed when unfinished, never mixed with another request (records.md)."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from mozhu import __version__
from mozhu.kernel import slots
from mozhu.kernel.errors import FolderInUse, MozhuError, NotARun, RunBusy, SpecConflict
from mozhu.kernel.files import make_folder, sha256_file, sha256_json, writing
from mozhu.kernel.machine import library_version
from mozhu.kernel.paths import Workspace, workspace_or_here
from mozhu.kernel.progress import EventLog, EventTail, utc_now
from mozhu.specs.base import Spec
from mozhu.specs.records.dataset import SNAPSHOT, dataset_registration
from mozhu.specs.records.events import Event
from mozhu.specs.records.result import Result
from mozhu.specs.records.run import RunInput, RunSpec
from mozhu.specs.records.snapshot import Snapshot

RunState = Literal["running", "succeeded", "failed", "cancelled", "unfinished"]
SPEC, EVENTS, RESULT, LOCK = "spec.json", "events.jsonl", "result.json", ".lock"
_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "accelerate",
    "tokenizers",
    "safetensors",
    "gguf",
    "xllamacpp",
)


@dataclass(frozen=True)
class RunFolder:
    """One run. ``path`` holds ``spec.json``, ``events.jsonl``, ``result.json`` and what the run made."""

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """The run in ``path``.

        Raises:
            NotARun: RUN-001. BadJson: FILE-004. DamagedRecord: FILE-006.
        """
        folder = cls(Path(path))
        if not (folder.path / SPEC).is_file():
            raise NotARun(path=str(path))
        folder.request()
        return folder

    def request(self) -> RunSpec:
        return RunSpec.read(self.path / SPEC)

    def result(self) -> Result | None:
        """How it ended; ``None`` while it runs and when it was cut off."""
        path = self.path / RESULT
        return Result.read(path) if path.is_file() else None

    def events(self) -> list[dict[str, Any]]:
        return list(EventTail(self.path / EVENTS).read())

    def state(self) -> RunState:
        """``running``, ``succeeded``, ``failed``, ``cancelled`` or ``unfinished`` (cut off: resumes when run again)."""
        if self.is_locked():
            return "running"
        result = self.result()
        return result.state if result else "unfinished"

    def is_locked(self) -> bool:
        lock = FileLock(self.path / LOCK)
        if not (self.path / LOCK).exists():
            return False
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run, so that two processes never write one folder; freed by the system when a process dies."""
        with writing(self.path):
            lock = FileLock(self.path / LOCK)
            try:
                lock.acquire(timeout=0)
            except Timeout as error:
                raise RunBusy(path=str(self.path)) from error
        try:
            yield
        finally:
            lock.release()

    def open_log(self) -> EventLog:
        return EventLog(self.path / EVENTS, check=Event.model_validate)


def failed(error: MozhuError, log: EventLog) -> Result:
    """The result of a run that ends with ``error``, which its events tell."""
    log.emit("failed", level="error", code=error.code, params=error.to_json()["params"], message=error.what)
    return Result.of_failure(error)


def make_run(spec: Spec, origins: dict[str, str], folder: Path, *, now: datetime | None = None) -> RunFolder:
    """The run folder for ``spec`` at ``folder``: a new one, or the one that holds this very request.

    Raises:
        SpecConflict: RUN-002, another request lies there. FolderInUse: RUN-006, other files lie there.
        RunBusy: RUN-003.
    """
    request = _request(spec, origins, folder, now or utc_now())
    run = RunFolder(folder)
    if (folder / SPEC).is_file():
        changed = _differences(type(spec), run.request(), request)
        if changed:
            raise SpecConflict(path=str(folder), fields=changed)
        if run.is_locked():
            raise RunBusy(path=str(folder))
        _go_on_as_asked(type(spec), run, request)
        return run
    if found := other_files(folder):
        raise FolderInUse(path=str(folder), found=found)
    make_folder(folder)
    request.write(folder / SPEC)
    return run


def _go_on_as_asked(spec: type[Spec], run: RunFolder, request: RunSpec) -> None:
    """A run that is not finished goes on as the new request says where that is the same work done otherwise."""
    old, result = run.request(), run.result()
    if _differing_fields(spec, old, request) and not (result and result.state == "succeeded"):
        changed = {"fields": request.fields, "origins": request.origins}
        old.model_copy(update=changed).write(run.path / SPEC)


def other_files(folder: Path) -> list[str]:
    """The first things in ``folder`` that stand against a new run there: it is no run, and no empty folder."""
    if (folder / SPEC).is_file() or not folder.exists():
        return []
    if not folder.is_dir():
        return [folder.name]
    return sorted(path.name for path in folder.iterdir() if not _is_passing(path.name))[:5]


def _is_passing(name: str) -> bool:
    """The lock, and what is left when a process is killed while it writes the first file."""
    return name == LOCK or (name.startswith(f".{SPEC}.") and name.endswith(".tmp"))


def spec_class(verb: str) -> type[Spec]:
    """The spec model of a verb (slot ``mozhu.specs``)."""
    found: type[Spec] = slots.load("mozhu.specs", verb)
    return found


def run_folders(workspace: Workspace | None = None) -> list[RunFolder]:
    """The runs under ``6_output/``, newest first."""
    root = (workspace or workspace_or_here()).output
    found = [path.parent for pattern in (f"*/{SPEC}", f"*/*/{SPEC}") for path in root.glob(pattern)]
    return [
        RunFolder(path)
        for path in sorted(found, key=lambda path: (path / SPEC).stat().st_mtime, reverse=True)
    ]


@cache
def environment() -> dict[str, str]:
    """What a run stood on: Mozhu, Python and library versions, and one hash of them all (``lock``)."""
    found = {name: version for name in _LIBRARIES if (version := library_version(name))}
    lock = sha256_json({**found, "mozhu": __version__, "python": platform.python_version()})
    return {"mozhu": __version__, "python": platform.python_version(), **found, "lock": lock}


def _request(spec: Spec, origins: dict[str, str], folder: Path, now: datetime) -> RunSpec:
    return RunSpec(
        verb=spec.verb,
        run=folder.name,
        created=now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        fields=json.loads(spec.model_dump_json()),
        origins=origins,
        inputs=_inputs(spec),
        environment=environment(),
    )


def _inputs(spec: Spec) -> list[RunInput]:
    """The data the run reads, with their hashes; the engine records the base's fingerprint itself.

    A registered data set stands as ``name:version`` with the hash of its content, a snapshot with its own hash,
    a file with that of its bytes.
    """
    found: dict[str, RunInput] = {}
    for name in ("dataset", "val_dataset", "input", "test_data", "train_data"):
        ref = getattr(spec, name, None)
        item = _data_input(str(ref)) if ref else None
        if item is not None:
            found.setdefault(item.ref, item)
    return list(found.values())


def _data_input(ref: str) -> RunInput | None:
    version = dataset_registration(ref)
    if version is not None:
        return RunInput(role="data", ref=version.reference, sha256=version.content)
    if Path(ref).is_file():
        return RunInput(role="data", ref=ref, sha256=sha256_file(ref))
    snapshot = Path(ref) / SNAPSHOT
    if snapshot.is_file():
        return RunInput(role="data", ref=ref, sha256=Snapshot.read(snapshot).sha256)
    return None


def _differences(spec: type[Spec], old: RunSpec, new: RunSpec) -> list[str]:
    """The names of the fields (and data files) that differ between two requests."""
    same = spec.work(old.fields) == spec.work(new.fields)
    changed = [] if same else _differing_fields(spec, old, new)
    hashes = {item.ref: item.sha256 for item in old.inputs}
    changed += [item.ref for item in new.inputs if item.ref in hashes and hashes[item.ref] != item.sha256]
    return [spec.verb, *changed] if old.verb != new.verb else changed


def _differing_fields(spec: type[Spec], old: RunSpec, new: RunSpec) -> list[str]:
    names = {*old.fields, *new.fields} - spec.not_part_of_the_run
    return [name for name in sorted(names) if old.fields.get(name) != new.fields.get(name)]
