"""What the demo may be asked for."""

from __future__ import annotations

from typing import ClassVar

from mozhu.specs.base import Spec


class DemoSpec(Spec):
    """The main job on ``model`` with ``dataset``; by default the starter model and the sample rows."""

    verb: ClassVar[str] = "demo"
    path_fields: ClassVar[tuple[str, ...]] = ("model", "dataset", "output_dir")

    model: str = "starter"
    dataset: str | None = None
    output_dir: str | None = None
