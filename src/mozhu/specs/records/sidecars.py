"""What the registry writes beside a model: seed 000's four sidecars ``model_info.json``,
``training_config.json``, ``performance_metrics.json`` and ``README.md``, and ``registration.json``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mozhu.kernel.files import read_json, write_json, write_text
from mozhu.specs.records.base import validated

SIDECARS = ("model_info.json", "training_config.json", "performance_metrics.json", "README.md")
REGISTRATION = "registration.json"
# Written about an artefact: never part of what its manifest proves, unless it is listed there.
ABOUT = frozenset({*SIDECARS, REGISTRATION})


class ModelInfo(BaseModel):
    """``model_info.json`` with exactly the keys that seed 000 prints, in its order.

    ``file_size`` is a human string (``15.2GB``), ``checksum`` is ``sha256:…`` of the manifest,
    ``created_time`` UTC ISO 8601 in seconds.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model_name: str = Field(min_length=1)
    base_model: str
    model_type: str
    task: str
    version: str
    created_time: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    training_dataset: str
    training_steps: int = Field(ge=0)
    performance: dict[str, float]
    file_size: str = Field(pattern=r"^\d+(\.\d+)?(B|KB|MB|GB|TB)$")
    checksum: str = Field(pattern=r"^sha256:.+$")
    tags: list[str]
    description: str

    @classmethod
    def read(cls, path: Path) -> ModelInfo:
        """Raises FILE-001, FILE-004 or FILE-006 (naming every wrong field)."""
        return validated(cls, read_json(path), str(path))

    def write(self, path: Path) -> None:
        write_json(path, self.model_dump(mode="json"))


def write_sidecars(
    folder: Path, info: ModelInfo, *, config: dict[str, Any], metrics: dict[str, Any], readme: str
) -> None:
    """Write all four sidecars into ``folder``, each in one atomic step, ``model_info.json`` last."""
    write_json(folder / "training_config.json", config)
    write_json(folder / "performance_metrics.json", metrics)
    write_text(folder / "README.md", readme)
    info.write(folder / "model_info.json")
