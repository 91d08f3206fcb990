"""What is done for imports in the background: one step after the other, each of which may be cut off and done again.

uploading -> checking (the upload is complete) -> laid out -> looked at by a run of its own -> ready, or failed with
every finding. Between two steps all there is to know is in the row and in the run folder.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout
from sqlalchemy.orm import Session

from mozhu.kernel.errors import (
    ImportGone,
    ImportKeepsDying,
    InternalError,
    MachineError,
    MozhuError,
    RegistryBusy,
    RunBusy,
    UploadEnded,
)
from mozhu.kernel.paths import Workspace
from mozhu.kernel.progress import iso_time
from mozhu.platform.database.engine import Database
from mozhu.platform.database.tables_imports import ImportRow
from mozhu.platform.imports import rows
from mozhu.platform.imports.admitting import Passed, admit, end, recognised_in
from mozhu.platform.imports.events import OF_STATE, tell
from mozhu.platform.imports.laying import GIVEN, Interrupted, lay_out
from mozhu.platform.imports.views import ImportView
from mozhu.platform.jobs.executor import Executor
from mozhu.platform.storage.blobs import BlobStore
from mozhu.specs.records.result import Result
from mozhu.workspace.launch import OUTPUT
from mozhu.workspace.runs import SPEC, RunFolder

_PREFIX, _LOCK = "import-", ".imports.lock"
_OURS = re.compile(rf"{_PREFIX}([0-9a-f]{{20}})")
# So often a run is started that ends without saying how.
_ATTEMPTS = 3
# The finding of pickles that wait for a library.
_NEEDS_EXTRA = "SAFE-203"


def run_folder(workspace: Workspace, import_id: str) -> RunFolder:
    """Where the files of an import are looked at."""
    return RunFolder(workspace.output / f"{_PREFIX}{import_id}")


class Steps:
    """Args as for ``Imports``."""

    def __init__(
        self,
        workspace: Workspace,
        database: Database,
        store: BlobStore,
        executor: Executor,
        *,
        at_once: int,
        clock: Callable[[], datetime],
    ) -> None:
        self._workspace = workspace
        self._database = database
        self._store = store
        self._executor = executor
        self._at_once = at_once
        self._clock = clock
        self._stopping = Event()
        self._running = 0

    def stop(self) -> None:
        self._stopping.set()

    def advance(self) -> int:
        """How many imports have moved; nothing happens while another process is at it.

        Raises:
            MachineError: a step could not be done now; the others were, and it is tried again.
        """
        with self._database.reading() as session:
            items = [(rows.view(row), row.attempts) for row in rows.moving(session)]
        leftovers = self._leftovers({item.id for item, _ in items})
        if not items and not leftovers:
            return 0
        with self._alone() as mine:
            if not mine:
                return 0
            self._sweep()
            return self._advance_all()

    def _advance_all(self) -> int:
        with self._database.reading() as session:
            items = [(rows.view(row), row.attempts) for row in rows.moving(session)]
        self._running = sum(self._state(item) == "running" for item, _ in items if item.run)
        moved = 0
        problem: MozhuError | None = None
        for item, attempts in items:
            if self._stopping.is_set():
                break
            try:
                moved += self._step(item, attempts)
            except (ImportGone, Interrupted):
                continue
            except (MachineError, RegistryBusy, RunBusy) as error:
                self._note(item, error)
                problem = error
            except MozhuError as error:
                moved += self._fail(item, [_finding(error)])
            except Exception as error:  # a fault of ours stops this import only
                logging.getLogger("mozhu").exception("import failed")
                ours = InternalError(incident=item.id, reason=repr(error)[:300])
                moved += self._fail(item, [_finding(ours)])
        if problem is not None:
            raise problem
        return moved

    def _step(self, item: ImportView, attempts: int) -> bool:
        """Whether ``item`` has moved."""
        if item.state == "uploading" and not self._begin(item):
            return False
        if not item.run:
            return self._lay_out(item)
        state, run = self._state(item), run_folder(self._workspace, item.id)
        if state == "running":
            return False
        result = run.result() if state in ("succeeded", "failed") else None
        if result is None:
            return self._start_again(item, run, attempts)
        if result.state == "succeeded":
            return self._take(item, run, result)
        return self._fail(item, [_told(result.error or {})])

    def _begin(self, item: ImportView) -> bool:
        """Whether the upload is complete; from then on the import is being checked.

        Raises:
            UploadEnded: IMPORT-003.
        """
        with self._database.reading() as session:
            found = rows.upload_of(session, item.upload)
        state = found[1] if found else "gone"
        if state == "open":
            return False
        if state != "complete":
            raise UploadEnded(upload=item.upload, state=state)
        return self._change(item, state="checking")

    def _lay_out(self, item: ImportView) -> bool:
        run = run_folder(self._workspace, item.id)
        if self._running >= self._at_once or run.is_locked():
            return False
        shutil.rmtree(run.path, ignore_errors=True)  # of an earlier try
        lay_out(self._database, self._store, item, run.path, self._stopping.is_set)
        if not self._change(item, run=run.path.name, attempts=1):
            return False
        self._running += 1
        self._executor.start(run)
        return True

    def _start_again(self, item: ImportView, run: RunFolder, attempts: int) -> bool:
        """The run has ended without a result: killed, the machine went down, or it was never started."""
        if not (run.path / SPEC).is_file():
            return self._change(item, run="")
        if attempts >= _ATTEMPTS:
            raise ImportKeepsDying(count=attempts, folder=run.path.name, tail=_last_words(run))
        if self._running >= self._at_once or not self._change(item, attempts=attempts + 1):
            return False
        self._running += 1
        self._executor.start(run)
        return True

    def _take(self, item: ImportView, run: RunFolder, result: Result) -> bool:
        """What the run has found decides."""
        details = result.details
        findings = [_plain(finding) for finding in details.get("findings", ())]
        recognised = recognised_in(details)
        if details.get("verdict") != "clean" or "model" not in details:
            return self._fail(item, findings, recognised=recognised)
        if any(finding["code"] == _NEEDS_EXTRA for finding in findings):
            done = self._change(item, waits=True, run="", findings=findings, recognised=recognised)
        else:
            sent = self._sent(item, run, details.get("converted", ()))
            passed = Passed(run.path / details["model"], recognised, findings, sent)
            done = self._admit(item, passed)
        self._remove(run)
        return done

    def _sent(self, item: ImportView, run: RunFolder, made: Sequence[str]) -> dict[Path, str]:
        """Where files may lie as they were sent, with their hashes; ``made`` names others."""
        with self._database.reading() as session:
            files = rows.plan_of(session, item.upload)
        places = (run.path / GIVEN, run.path / "safe")
        return {
            place / file["path"]: file["sha256"]
            for file in files
            for place in places
            if file["path"] not in made
        }

    def _admit(self, item: ImportView, passed: Passed) -> bool:
        models, now = self._workspace.models, self._clock()
        made = admit(self._database, self._store, models, item, passed, now)
        if made.already:  # the very content is a version of this model: there is no second one
            same = {"level": "info", "code": "IMPORT-006", "params": {"reference": made.version.reference}}
            passed.findings.append({**same, "message": ""})
            with self._database.writing() as session:
                end(session, item, passed, made.version, iso_time(now))
        return True

    def _fail(
        self, item: ImportView, findings: list[dict[str, Any]], *, recognised: dict[str, Any] | None = None
    ) -> bool:
        """The import has failed with these findings; nothing of it lies about."""
        now = iso_time(self._clock())
        found = {"findings": findings, "recognised": recognised or {}, "run": "", "finished": now}
        done = self._change(item, state="failed", **found)
        self._remove(run_folder(self._workspace, item.id))
        return done

    def _note(self, item: ImportView, error: MozhuError) -> None:
        """Why it does not move just now, told once."""
        finding = {**_finding(error), "level": "warning"}
        if [finding] != list(item.findings):
            self._change(item, findings=[finding])

    def _change(self, item: ImportView, **values: Any) -> bool:
        """The row has these values, where it is there still; another state is an event."""
        now = iso_time(self._clock())
        with self._database.writing() as session:
            row = rows.found(session, item.id)
            if row is None:
                return False
            before = row.state
            for name, value in values.items():
                setattr(row, name, value)
            row.updated = now
            if row.state != before:
                _tell_state(session, row, now)
        return True

    def _state(self, item: ImportView) -> str:
        return self._executor.state(run_folder(self._workspace, item.id))

    def _remove(self, run: RunFolder) -> None:
        shutil.rmtree(run.path, ignore_errors=True)

    def _leftovers(self, needed: set[str]) -> list[RunFolder]:
        """The run folders of imports that have ended or were taken back."""
        output = self._workspace.output
        names = [path.name for path in output.iterdir()] if output.is_dir() else []
        found = [match[1] for name in names if (match := _OURS.fullmatch(name))]
        return [run_folder(self._workspace, each) for each in found if each not in needed]

    def _sweep(self) -> None:
        with self._database.reading() as session:
            needed = rows.runs_needed(session)
        for run in self._leftovers(needed):
            if self._executor.state(run) == "running":
                self._executor.stop(run)
            else:
                self._remove(run)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody else advances the imports of this workspace now."""
        lock = FileLock(self._workspace.models / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()


def _last_words(run: RunFolder) -> str:
    """What the process printed last."""
    path = run.path / OUTPUT
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
    return "\n".join(lines[-3:]) or "-"


def _tell_state(session: Session, row: ImportRow, now: str) -> None:
    codes = sorted({finding["code"] for finding in row.findings if finding["level"] == "error"})
    tell(session, row, OF_STATE[row.state], now, **({"findings": codes} if codes else {}))


def _finding(error: MozhuError) -> dict[str, Any]:
    return _told(error.to_json())


def _told(error: dict[str, Any]) -> dict[str, Any]:
    """An error as a finding."""
    return _plain({**error, "level": "error"})


def _plain(finding: dict[str, Any]) -> dict[str, Any]:
    names = {"level": "error", "code": "BUG-001", "params": {}, "message": ""}
    return {name: finding.get(name, usual) for name, usual in names.items()}
