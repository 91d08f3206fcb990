"""What a typed command said, and what lies in folders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Mozhu = Callable[..., Said]


def tree(*roots: Path) -> dict[str, str]:
    """Every file and folder with the hash of its content; passing files of a run's lock left out."""
    found = {}
    for root in roots:
        for path in sorted(root.rglob("*")):
            if path.name != ".lock":
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "/"
    return found
