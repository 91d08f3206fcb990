"""One at a time puts an upload together, on one machine: a second one waits and finds it done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

_guard = threading.Lock()
_held: dict[str, tuple[threading.Lock, int]] = {}


@contextmanager
def lock_of(upload_id: str) -> Iterator[None]:
    """The only thread of this process in this upload's block.

    Other processes may be in theirs: what is done there is safe to be done twice, this only saves the work.
    """
    with _guard:
        lock, waiting = _held.get(upload_id, (threading.Lock(), 0))
        _held[upload_id] = (lock, waiting + 1)
    try:
        with lock:
            yield
    finally:
        with _guard:
            lock, waiting = _held[upload_id]
            if waiting == 1:
                del _held[upload_id]
            else:
                _held[upload_id] = (lock, waiting - 1)
