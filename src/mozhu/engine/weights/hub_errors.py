"""What went wrong between us and a hub, in words: the libraries raise dozens of kinds of errors."""

from __future__ import annotations

import os
from collections.abc import Iterator

# The packages whose errors are those of a connection, whatever their version.
_NETWORK = ("httpx", "httpcore", "h11", "requests", "urllib3", "huggingface_hub")


def told_to_stay_offline() -> bool:
    """Whether the libraries' own switch forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def causes(error: BaseException) -> Iterator[BaseException]:
    """``error``, what it came from, and so on to the first."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def is_of_network(error: BaseException) -> bool:
    room = type(error).__module__.partition(".")[0]
    return isinstance(error, (ConnectionError, TimeoutError)) or room.startswith(_NETWORK)


def broken_off(error: BaseException) -> BaseException | None:
    """The error of the connection that ``error`` came from, if it came from one."""
    return next((cause for cause in causes(error) if is_of_network(cause)), None)


def first_words(error: BaseException) -> str:
    """The first line of what ``error`` says, else its name."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
