"""Whether memory ran out: said by Python, the system, torch or a library's loader, in an error or in last words."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import psutil

from mozhu.kernel.errors import NotEnoughMemory
from mozhu.kernel.files import human_size
from mozhu.kernel.machine import memory

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "failed to map segment",
    "bad_alloc",
)
_FULL_SHARE = 0.75


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, said by Python, the system, torch or the loader of a library, also as a cause."""
    return says(error, {errno.ENOMEM}, _SIGNS) or any(
        isinstance(one, MemoryError) or (isinstance(one, SystemError) and _has_no_room())
        for one in chain(error)
    )


def are_of_no_memory(last_words: str) -> bool:
    """Whether a process that could not even write its result said, in its last output, that memory ran out."""
    return any(sign in last_words.lower() for sign in (*_SIGNS, "memoryerror"))


def no_memory_left() -> NotEnoughMemory:
    """The error that says so, with what the machine has."""
    total, free = memory()
    return NotEnoughMemory(free=human_size(free), total=human_size(total))


def says(error: BaseException, numbers: set[int], signs: tuple[str, ...]) -> bool:
    """Whether ``error``, or what it came from, has one of the system's ``numbers`` or says one of ``signs``."""
    return any(
        getattr(one, "errno", None) in numbers or any(sign in str(one).lower() for sign in signs)
        for one in chain(error)
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what it came from, each once."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def _has_no_room() -> bool:
    """Whether this process fills the addresses it may have: without any, Python cannot even say what is wrong."""
    process = psutil.Process()
    if not hasattr(process, "rlimit"):
        return False
    most, _ = process.rlimit(psutil.RLIMIT_AS)
    return most != psutil.RLIM_INFINITY and process.memory_info().vms > _FULL_SHARE * most
