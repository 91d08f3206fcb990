"""For tests of Mozhu and of plug-ins: the starter model, tiny models of every family, tiny data.

Importing this costs nothing; the makers of models import torch when they are first asked for.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

# Name -> module, for what needs torch and transformers.
_LAZY = {
    "TINY_FAMILIES": "mozhu.testing.tiny_models",
    "make_tiny_model": "mozhu.testing.tiny_models",
    "make_tiny_classifier": "mozhu.testing.tiny_models",
    "make_tiny_adapter": "mozhu.testing.tiny_adapters",
    "tiny_rows": "mozhu.testing.rows",
}


def starter_path() -> Path:
    """The folder of the small model that ships with Mozhu."""
    return Path(__file__).resolve().parent / "starter"


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)
