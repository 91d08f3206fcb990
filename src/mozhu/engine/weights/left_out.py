"""Packages that libraries look for and load when they are installed, though nothing here uses them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """In the block there are no packages ``names`` to import; those that were imported before stay.

    ``None`` in ``sys.modules`` is Python's own word for that. What is imported in the block may remember it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
