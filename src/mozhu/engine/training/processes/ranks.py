"""The engine ``hf`` in several processes, as the run's own process sees it: starts them, tells what they tell."""

from __future__ import annotations

import time
from pathlib import Path

from mozhu.engine.training.engine import Trained, TrainingData
from mozhu.engine.training.processes.hand_over import HandOver
from mozhu.engine.training.processes.spawn import RankProcesses
from mozhu.engine.training.quantisation import quantisation_finding
from mozhu.engine.training.stop import StopFlag
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel.errors import RankDied
from mozhu.kernel.files import read_jsonl
from mozhu.kernel.machine import free_core_count, gpus
from mozhu.kernel.progress import Emit, EventTail
from mozhu.kernel.texts import text
from mozhu.specs.records.findings import Finding
from mozhu.specs.train import TrainSpec
from mozhu.workspace.launch import RunFailed

_POLL_S = 0.05
_LAST_LINES = 8
# Said first by the main process when it begins to train: from here on a stop waits for the end of the step.
BEGUN = "begun"


class Ranks:
    """A training engine that trains in ``spec.processes`` processes of this machine."""

    def check(self, spec: TrainSpec) -> list[Finding]:
        told = quantisation_finding(spec, has_gpu=bool(gpus()) and spec.device in {"auto", "cuda"})
        return [told] if told else []

    def run(
        self, spec: TrainSpec, model: FoundModel, data: TrainingData, folder: Path, emit: Emit
    ) -> Trained:
        """Start the processes, follow them, and give what the main one has trained.

        Raises:
            RankDied: TRAIN-071, a process ended without a word. A process's own error.
        """
        assert data.place is not None
        link = HandOver(folder)
        _tell_leftover(link, folder, emit)
        threads = spec.threads or max(1, free_core_count() // spec.processes)
        link.give(spec.model_copy(update={"threads": threads}), model.base, data.place)
        words = {"processes": spec.processes, "world": spec.world_size, "strategy": spec.strategy}
        emit("log", message=text("train.processes.starting", **words, batch=spec.total_batch))
        stop = StopFlag()
        with stop.listening(), RankProcesses(spec, folder, link.log, threads) as ranks:
            _follow(ranks, link, stop, emit)
        trained = link.outcome()
        if trained is None:
            raise KeyboardInterrupt
        link.remove()
        return trained


def _follow(ranks: RankProcesses, link: HandOver, stop: StopFlag, emit: Emit) -> None:
    """Hand on what is told until all processes have ended well.

    Raises:
        KeyboardInterrupt: they were to stop before they had begun to train.
    """
    tail = EventTail(link.events)
    begun = asked = False
    while True:
        done, failed = ranks.are_done(), ranks.first_failure()
        for event in tail.read():
            begun = _tell(event, emit) or begun
        if failed is not None:
            if asked:
                raise KeyboardInterrupt  # one was cut off while it stopped: its last whole checkpoint stands
            raise _failure(link, *failed)
        if done:
            return
        if stop.is_set and not begun:
            raise KeyboardInterrupt
        if stop.is_set and not asked:
            ranks.ask_to_stop()
            asked = True
        time.sleep(_POLL_S)


def _tell(event: dict[str, object], emit: Emit) -> bool:
    """Whether ``event`` was the one that says that training has begun."""
    fields = {name: value for name, value in event.items() if name not in {"kind", "schema", "seq", "t"}}
    if event["kind"] == BEGUN:
        return True
    emit(str(event["kind"]), **fields)
    return False


def _tell_leftover(link: HandOver, folder: Path, emit: Emit) -> None:
    """What the processes of an earlier start had told when the run's own process was cut off."""
    log = folder / "events.jsonl"
    if not link.events.is_file() or not log.is_file():
        return
    last = max((event["step"] for event in read_jsonl(log) if event["kind"] == "step"), default=0)
    for event in EventTail(link.events).read():
        if event["kind"] == "step" and event["step"] > last:
            _tell(event, emit)


def _failure(link: HandOver, rank: int, status: int) -> Exception:
    told = link.failure()
    if told is not None and status > 0:  # what the others say of one that was killed is not what happened
        return RunFailed(told)
    return RankDied(rank=rank, status=status, tail=_last_words(link.log), log=str(link.log))


def _last_words(log: Path) -> str:
    """The last lines of what the processes printed, without the frames of Python's own reports."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    own = [line.strip() for line in lines if line.strip() and not line.startswith((" ", "Traceback"))]
    return "\n".join(f"  {line}" for line in own[-_LAST_LINES:])
