"""The processes of one machine: started together, stopped together, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from mozhu.kernel.files import writing
from mozhu.specs.train import TrainSpec

MODULE = "mozhu.engine.training.processes.rank"
# Says to a process that its standard input is ours: it ends when that is closed, and is asked to stop by a byte.
TIED = "MOZHU_RANKS_TIED"
_LOOPBACK = "127.0.0.1"
_GRACE_S = 5.0  # others may still be writing their own error when one process has ended with its


class RankProcesses:
    """A context manager: whatever happens inside, no process is left behind.

    Each holds the other end of a pipe of ours as its standard input, so it ends with us, even by a kill -9.
    """

    def __init__(self, spec: TrainSpec, folder: Path, log: Path, threads: int) -> None:
        reading, self._pipe = os.pipe()
        self._processes: list[subprocess.Popen[bytes]] = []
        port = free_port() if spec.nodes == 1 else spec.master_port
        try:
            with writing(log), open(log, "ab") as output:
                for local_rank in range(spec.processes):
                    self._processes.append(
                        subprocess.Popen(
                            [sys.executable, "-m", MODULE, str(folder)],
                            stdin=reading,
                            stdout=output,
                            stderr=subprocess.STDOUT,
                            env={**os.environ, **rank_environment(spec, local_rank, port, threads)},
                            start_new_session=True,  # Ctrl-C reaches us, and we ask them to stop after their step
                        )
                    )
        except BaseException:
            self.kill()
            raise
        finally:
            os.close(reading)

    def __enter__(self) -> RankProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def statuses(self) -> list[int | None]:
        """Of each process its exit code (less than 0: the signal that ended it), ``None`` while it runs."""
        return [process.poll() for process in self._processes]

    def first_failure(self) -> tuple[int, int] | None:
        """Number and status of a process that has failed; the others get a moment to end by themselves first."""
        if not any(self.statuses()):
            return None
        limit = time.monotonic() + _GRACE_S
        while None in self.statuses() and time.monotonic() < limit:
            time.sleep(0.05)
        failed = [(rank, code) for rank, code in enumerate(self.statuses()) if code]
        return min(failed, key=lambda found: found[1])  # one that was killed before those that it left alone

    def are_done(self) -> bool:
        return all(code == 0 for code in self.statuses())

    def ask_to_stop(self) -> None:
        """They save a checkpoint after the step that is under way, and end."""
        with suppress(OSError):
            os.write(self._pipe, b"s")

    def kill(self) -> None:
        """End them and everything that they started."""
        with suppress(OSError):
            os.close(self._pipe)
        for process in self._processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()


def rank_environment(spec: TrainSpec, local_rank: int, port: int, threads: int) -> dict[str, str]:
    """What torchrun would set, too."""
    rank = spec.node_rank * spec.processes + local_rank
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(spec.world_size),
        "LOCAL_WORLD_SIZE": str(spec.processes),
        "GROUP_RANK": str(spec.node_rank),
        "MASTER_ADDR": spec.master_address or _LOOPBACK,
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": str(threads),
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONUNBUFFERED": "1",
        TIED: "1",
    }


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind((_LOOPBACK, 0))
        return int(listener.getsockname()[1])
