"""What a foreign file says: each setting with its value and the line that it stands on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The place of something inside a setting: ("datasets", 0, "type").
Path = tuple[Any, ...]


class Computed(str):
    """A word that only the shell can work out, such as ``$(expr 16 / 2)``."""


@dataclass(frozen=True)
class Given:
    """One setting as it is written. ``line`` counts from 1; ``lines`` are those of what lies inside."""

    value: Any
    line: int
    lines: Mapping[Path, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """``key:`` with nothing after it means the default in all three formats."""
        return self.value is None or (isinstance(self.value, (str, list, dict)) and not self.value)

    def line_of(self, *path: Any) -> int:
        """The line of something inside the value, or of the nearest thing around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return self.line


@dataclass
class Settings:
    """All settings of one file or command.

    ``variables`` were set before a command (``NPROC_PER_NODE=2``); ``verb`` is the command's own word (``rlhf``);
    ``form`` is set where the command itself names the program. ``twice``: keys that are there more than once.
    """

    source: str
    keys: dict[str, Given] = field(default_factory=dict)
    variables: dict[str, Given] = field(default_factory=dict)
    form: str | None = None
    verb: str | None = None
    twice: list[tuple[str, int]] = field(default_factory=list)

    def put(self, key: str, value: Given) -> None:
        if key in self.keys:
            self.twice.append((key, value.line))
        self.keys[key] = value
