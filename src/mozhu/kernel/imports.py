"""How large libraries are imported by a process that lives for them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """In the block there are no packages ``names`` to import; those that were imported before stay.

    For packages that libraries load wherever they are installed. ``None`` in ``sys.modules`` is Python's own word
    for that; what is imported in the block may remember it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)


@contextmanager
def imported_for_good() -> Iterator[None]:
    """What the block imports is there as long as the process: the collector of cycles does not look at it.

    It would go over all of it again and again, which is a quarter of the time that torch and transformers take.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
