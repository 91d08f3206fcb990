"""``swift sft`` or ``swift rlhf`` as our process: its own environment, nothing of ours inside, gone with us."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mozhu.engine.training.engines.swift.hand_over import Link
from mozhu.kernel.errors import EngineStopped
from mozhu.kernel.files import writing
from mozhu.kernel.progress import EventTail
from mozhu.workspace.environments.install import clean_environment
from mozhu.workspace.environments.record import Environment

_POLL_S = 0.05
_LAST_LINES = 12
_OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "WANDB_DISABLED": "true",
}


class SwiftProcess:
    """A context manager: whatever happens inside, no process is left behind.

    The child holds the other end of a pipe of ours as its standard input and ends when that is closed, so it never
    outlives us, not even a kill -9.
    """

    def __init__(
        self, environment: Environment, link: Link, log: Path, threads: int, device: str, verb: str
    ) -> None:
        self._link, self._log = link, log
        self._tail = EventTail(link.events)
        caches = {
            "MODELSCOPE_CACHE": str(link.folder / "cache"),
            "HF_DATASETS_CACHE": str(link.folder / "cache"),
        }
        more = {"OMP_NUM_THREADS": str(threads), "MOZHU_SWIFT_LINK": str(link.file), **caches}
        if device == "cpu":
            more["CUDA_VISIBLE_DEVICES"] = ""
        with writing(log), open(log, "ab") as output:
            self._process = subprocess.Popen(
                [str(environment.script("swift")), verb, str(link.arguments)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=link.folder,
                env=clean_environment(**_OFFLINE, **more),
                start_new_session=True,  # Ctrl-C reaches us, and we ask it to stop after its step
            )

    def __enter__(self) -> SwiftProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def events(self) -> Iterator[dict[str, Any] | None]:
        """What it tells as it comes, ``None`` while it tells nothing, until it has ended.

        Raises:
            EngineStopped: TRAIN-063, it ended with an error.
        """
        while True:
            ended = self._process.poll() is not None
            told = list(self._tail.read())
            yield from told
            if ended:
                break
            if not told:
                yield None
                time.sleep(_POLL_S)
        if self._process.returncode:
            raise EngineStopped(
                engine="swift",
                status=self._process.returncode,
                tail=self._last_words(),
                log=str(self._log),
            )

    def ask_to_stop(self) -> None:
        """It saves a checkpoint after the step that is under way, and ends."""
        with writing(self._link.stop):
            self._link.stop.touch()

    def kill(self) -> None:
        """End it and everything that it started."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _last_words(self) -> str:
        """The error itself where its output has one, else its last lines."""
        with suppress(OSError):
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            own = [line for line in lines[-200:] if line.strip()]
            last = max((at for at, line in enumerate(own) if line.startswith("Traceback")), default=None)
            if last is not None:
                errors = [line for line in own[last + 1 :] if not line.startswith((" ", "Traceback"))]
                return "\n".join(errors[:3])
            return "\n".join(own[-_LAST_LINES:])
        return ""
