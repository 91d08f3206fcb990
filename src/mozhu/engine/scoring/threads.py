"""As many threads as there are free cores: on a busy machine more cost several times the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mozhu.kernel.machine import free_core_count


@contextmanager
def spare_threads() -> Iterator[None]:
    """torch works on at most the free cores until the block (or the decorated function) ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(before, free_core_count()))
    try:
        yield
    finally:
        torch.set_num_threads(before)
