"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """A user with their teams; an administrator may do everything."""

    user: str
    teams: tuple[str, ...]
    is_admin: bool


LOCAL_ADMIN = Subject("local", ("local",), True)
