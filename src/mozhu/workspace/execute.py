"""Carry out the request of a run folder in this process: the one way every verb's engine is started."""

from __future__ import annotations

import errno
import gc
import logging
import mmap
import os
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from mozhu.kernel import slots
from mozhu.kernel.errors import DiskFull, InternalError, MozhuError, RunCancelled
from mozhu.kernel.files import clear_leftovers, free_bytes, human_size, write_text
from mozhu.kernel.imports import imported_for_good
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.progress import EventLog
from mozhu.specs.records.base import validated
from mozhu.specs.records.result import Outcome, Result
from mozhu.workspace.extensions import load_extensions
from mozhu.workspace.memory import chain, is_out_of_memory, no_memory_left, says
from mozhu.workspace.runs import RESULT, RunFolder, failed, spec_class

_INCIDENT = "incident.txt"
REPORT = "report.html"
# Held while an engine works and let go when memory runs out: the error itself needs some.
# Addresses only: untouched, it takes no memory of the machine.
_RESERVE_BYTES = 64 << 20
_RESERVE: list[mmap.mmap] = []
# safetensors and torch say it in words of their own, without the system's number.
_NO_SPACE = ("no space left on device", "pytorchstreamwriter failed writing", "unexpected pos")


def execute(path: Path) -> Result:
    """Run the request in ``path`` to its end and leave ``result.json``; a finished run is left as it is.

    SIGINT and SIGTERM ask the engine to stop: it saves what it can, and the run resumes when started again.
    Never raises for what goes wrong inside the run: the result says it.
    """
    run = RunFolder.open(path)
    with run.locked():
        done = run.result()
        if done and done.state == "succeeded":
            if not (path / REPORT).is_file():  # killed between the two
                _write_report(path, run.request().verb)
            return done
        clear_leftovers(path)
        (path / RESULT).unlink(missing_ok=True)
        log = run.open_log()
        started, cpu = time.monotonic(), time.process_time()
        try:
            with _stoppable():
                result = _carry_out(run, log)
        finally:
            log.close()
            _RESERVE.clear()
        result.seconds = round(time.monotonic() - started, 3)
        result.cpu_seconds = round(time.process_time() - cpu + _children_cpu_seconds(), 3)
        result.write(path / RESULT)
        _write_report(path, run.request().verb)
        return result


def _carry_out(run: RunFolder, log: EventLog) -> Result:
    request = run.request()
    first = not run.events()
    _RESERVE.append(mmap.mmap(-1, _RESERVE_BYTES))
    log.emit("start" if first else "resumed", verb=request.verb, run=request.run, pid=os.getpid())
    try:
        load_extensions(workspace_or_here())
        spec = validated(spec_class(request.verb), request.fields, str(run.path / "spec.json"))
        with imported_for_good():
            engine = slots.load("mozhu.verbs", request.verb)
        outcome: Outcome = engine(spec, run.path, log.emit)
    except KeyboardInterrupt:
        log.emit("cancelled")
        return Result(state="cancelled", error=RunCancelled(path=str(run.path)).to_json())
    except MozhuError as error:
        return failed(_machine_error(error, run.path) or error, log)
    except Exception as error:
        if (known := _machine_error(error, run.path)) is not None:
            return failed(known, log)
        write_text(run.path / _INCIDENT, traceback.format_exc())
        logging.getLogger("mozhu").exception("run failed")
        return failed(InternalError(incident=str(run.path / _INCIDENT), reason=_one_line(error)), log)
    log.emit("done", metrics={name: metric.value for name, metric in outcome.metrics.items()})
    return Result(
        state="succeeded", artefacts=outcome.artefacts, metrics=outcome.metrics, details=outcome.details
    )


def _write_report(path: Path, verb: str) -> None:
    """The page of a finished run, where its verb has one; it is made of the records, so it may fail on its own."""
    if verb not in slots.names("mozhu.reports"):
        return
    try:
        slots.load("mozhu.reports", verb)(path)
    except Exception:
        logging.getLogger("mozhu").exception("report failed")


def _machine_error(error: BaseException, folder: Path) -> MozhuError | None:
    """What the machine lacked, when that is what ``error`` comes from."""
    if isinstance(error, DiskFull):
        return error
    if is_out_of_memory(error):
        _make_room(error)
        return no_memory_left()
    if is_disk_full(error):
        return DiskFull(path=str(folder), free=human_size(free_bytes(folder)))
    return None


def is_disk_full(error: BaseException) -> bool:
    """Whether the disk had no room left, said by the system, torch or safetensors, also as a cause."""
    return says(error, {errno.ENOSPC, errno.EDQUOT}, _NO_SPACE)


def _make_room(error: BaseException) -> None:
    """Let go of what the failed engine held and of our reserve, so that there is room to say what happened."""
    _RESERVE.clear()
    for one in chain(error):
        traceback.clear_frames(one.__traceback__)
    gc.collect()


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _children_cpu_seconds() -> float:
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that a supervisor's stop is as gentle as a person's."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(ValueError):  # not the main thread (a test, a notebook): keep what is there
            old[number] = signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
