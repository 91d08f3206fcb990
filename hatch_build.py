"""Build hook: a wheel carries the workspace's files, an editable installation uses those of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TREE = "mozhu/workspace/tree"
# Folders and files of a workspace, relative to the repository's root.
WHOLE = ("0_configs", "1_utils", "2_core", "3_agents", "4_scripts", "7_docs", "finetune", "LLM")
SINGLE = ("5_models/README.md", "6_output/README.md", "requirements.txt")
SCRIPTS = "5_models/*.py"


class WorkspaceFiles(BuildHookInterface):  # type: ignore[type-arg]
    """Adds the workspace's files to a wheel, below ``mozhu/workspace/tree``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name != "wheel" or version == "editable":
            return
        root = Path(self.root)
        found = [path for name in WHOLE for path in sorted((root / name).rglob("*"))]
        found += [root / name for name in SINGLE]
        found += sorted(root.glob(SCRIPTS))
        for path in found:
            if path.is_file() and "__pycache__" not in path.parts:
                build_data["force_include"][str(path)] = f"{TREE}/{path.relative_to(root).as_posix()}"
