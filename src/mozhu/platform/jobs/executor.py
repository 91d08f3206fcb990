"""The port of everything that carries out run folders: here, or on another machine.

A run folder holds its request (``spec.json``). What happens and how it ended is read from the folder alone, so whoever
started a run may go away and come back.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from mozhu.workspace.runs import RunFolder, RunState


@runtime_checkable
class Executor(Protocol):
    """Runs in processes that the service does not depend on. Every method may be asked again after a restart."""

    def start(self, run: RunFolder) -> None:
        """The run is under way; one that runs already, or has succeeded, is left as it is. Returns at once.

        Raises:
            DiskFull: FILE-003. NotWritable: FILE-002.
        """

    def state(self, run: RunFolder) -> RunState:
        """As of now; ``unfinished``: nothing runs and nothing says how it ended, so it can be started again."""

    def stop(self, run: RunFolder) -> bool:
        """The run was asked to stop; false where it does not run. When it has, :meth:`state` says so.

        One that does not stop is ended when it is asked again later.
        """

    def tail(self, run: RunFolder, after: int = 0) -> list[dict[str, Any]]:
        """Its events behind the first ``after`` ones, oldest first."""
