"""What goes into the environment of each engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mozhu.kernel.errors import UnknownEngine

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^;\s]+)(\s*;.*)?$")


@dataclass(frozen=True)
class Recipe:
    """``steps`` are installed one after the other, torch first, within ``constraints``.

    ``modules`` must import afterwards. ``disk_bytes`` is what a CPU installation takes, ``cuda_bytes`` more with
    torch's CUDA libraries (measured, rounded up).
    """

    name: str
    title: str
    steps: tuple[tuple[str, ...], ...]
    modules: tuple[str, ...]
    disk_bytes: int
    cuda_bytes: int

    @property
    def constraints(self) -> Path:
        return Path(__file__).with_name(f"{self.name}.txt")

    def pins(self) -> dict[str, str]:
        """Package -> version."""
        lines = self.constraints.read_text(encoding="utf-8").splitlines()
        return {match[1]: match[2] for line in lines if (match := _PIN.match(line))}


RECIPES = {
    "swift": Recipe(
        name="swift",
        title="ms-swift",
        steps=(("torch",), ("ms-swift", "bitsandbytes")),
        modules=("torch", "swift", "transformers", "peft", "trl", "datasets"),
        disk_bytes=2_200_000_000,
        cuda_bytes=5_000_000_000,
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of engine ``name``.

    Raises:
        UnknownEngine: ENV-020.
    """
    if name not in RECIPES:
        raise UnknownEngine(engine=name, known=sorted(RECIPES))
    return RECIPES[name]
