"""One of the processes of a training: ``python -m mozhu.engine.training.processes.rank RUN_FOLDER``.

Which one it is, it reads from the environment, in torchrun's names (RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR …).
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from pathlib import Path

from mozhu.engine.training.data import open_training_data
from mozhu.engine.training.engines.hf_lean import HfEngine
from mozhu.engine.training.processes.group import join_group, leave_group
from mozhu.engine.training.processes.hand_over import HandOver
from mozhu.engine.training.processes.ranks import BEGUN
from mozhu.engine.training.processes.spawn import TIED
from mozhu.engine.weights.device import pick_device
from mozhu.engine.weights.references import FoundModel
from mozhu.kernel.errors import MozhuError, RankFailed
from mozhu.kernel.paths import workspace_or_here
from mozhu.kernel.progress import Emit, EventLog
from mozhu.workspace.extensions import load_extensions
from mozhu.workspace.memory import is_out_of_memory, no_memory_left


def main(folder: Path) -> int:
    """Train; 0 when it ended or was stopped, 1 when it failed and its error is in the hand-over."""
    link = HandOver(folder)
    rank = int(os.environ.get("RANK", "0"))
    if os.environ.get(TIED):
        threading.Thread(target=_watch, daemon=True).start()
    try:
        return _train(link)
    except KeyboardInterrupt:
        if int(os.environ.get("LOCAL_RANK", "0")) == 0:
            link.stop()
        return 0
    except Exception as error:
        traceback.print_exc()
        link.fail(rank, _told(error, rank, link))
        sys.stderr.flush()
        os._exit(1)  # the others may never answer what this one was to say to them in parting


def _train(link: HandOver) -> int:
    load_extensions(workspace_or_here())
    spec, base, tokens = link.take()
    group = join_group(pick_device(spec.device).type)
    log = EventLog(link.events) if group.is_local_main else None
    emit: Emit = log.emit if log is not None else _silent
    emit(BEGUN)
    data = open_training_data(spec, tokens)
    model = FoundModel(spec.model, base, None, base)
    trained = HfEngine().run(spec, model, data, link.run, emit)
    if group.is_local_main:
        link.finish(trained)
    group.barrier()
    leave_group()
    return 0


def _silent(kind: str, /, **fields: object) -> None:
    """The main process speaks for all."""


def _watch() -> None:
    """A byte from the launcher is a request to stop; its end is ours."""
    while os.read(0, 1):
        os.kill(os.getpid(), 2)
    os._exit(1)


def _told(error: Exception, rank: int, link: HandOver) -> MozhuError:
    if isinstance(error, MozhuError):
        return error
    if is_out_of_memory(error):
        return no_memory_left()
    reason = (str(error).splitlines() or [""])[0]
    return RankFailed(rank=rank, reason=f"{type(error).__name__}: {reason}", log=str(link.log))


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    status = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        status
    )  # all is written; threads of the process group would end a process that takes its time with 134
