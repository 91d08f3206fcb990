"""A verb that can be asked of the workspace on this machine, or of a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mozhu.client.client import Client


@dataclass(frozen=True)
class Ask:
    """``keep`` False only tells what would change; ``tells`` says whether a service can be asked that."""

    here: Callable[[Path, Any, bool], Any]
    there: Callable[[Client, Any, bool], Any]
    tells: bool = True
