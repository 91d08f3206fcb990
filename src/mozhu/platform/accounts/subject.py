"""Who asks. Every service takes a subject, and every list begins with what that subject may read.

Accounts themselves come later; until then the one subject is the administrator of this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# Each includes those before it: who may write may also use and read.
Right = Literal["read", "use", "write", "manage"]
RIGHTS: tuple[Right, ...] = ("read", "use", "write", "manage")
Visibility = Literal["private", "team", "everyone"]
VISIBILITIES: tuple[Visibility, ...] = ("private", "team", "everyone")


@dataclass(frozen=True)
class Subject:
    """``user`` and ``teams`` are names; an administrator may do everything."""

    user: str
    teams: tuple[str, ...] = ()
    is_admin: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What a share may call this subject: ``user:ann``, ``team:vision``."""
        return (f"user:{self.user}", *(f"team:{team}" for team in self.teams))


LOCAL_ADMIN = Subject("local", ("local",), True)


def subject_named(user: str, teams: Sequence[str]) -> Subject:
    """The subject of a user's name, with the teams that they were last seen with: accounts will know today's."""
    return LOCAL_ADMIN if user == LOCAL_ADMIN.user else Subject(user, tuple(teams))


def includes(held: Right, wanted: Right) -> bool:
    """Whether who holds ``held`` may do what needs ``wanted``."""
    return RIGHTS.index(held) >= RIGHTS.index(wanted)
