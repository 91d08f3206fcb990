"""The 24 planted template faults over six families, and the six clean families."""

from __future__ import annotations

import importlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).resolve().parents[1] / "tests" / "data" / "template_faults"


@dataclass
class TemplateResult:
    faults: list[Any]
    clean: list[Any]

    @property
    def ok(self) -> bool:
        return all(line.ok for line in (*self.faults, *self.clean))


def check_templates() -> TemplateResult:
    """Each fault in a copy of its clean folder, and the clean folders with copies and GGUF files of themselves."""
    sys.path.insert(0, str(_FOLDER))
    try:
        planted = importlib.import_module("run")
    finally:
        sys.path.remove(str(_FOLDER))
    with tempfile.TemporaryDirectory() as folder:
        return TemplateResult(planted.fault_lines(Path(folder)), planted.clean_lines(Path(folder)))
