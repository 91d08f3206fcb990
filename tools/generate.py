"""Write what is generated (thin scripts, schemas, reference pages), or check that it is current (--check)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from reference_pages import command_page, error_page

from mozhu.server.run import open_document
from mozhu.specs.agent import AgentSpec
from mozhu.specs.base import Spec
from mozhu.specs.layers import json_schema
from mozhu.specs.serve import DeploySpec
from mozhu.specs.service import ServiceSpec
from mozhu.specs.settings import ModelSettings
from mozhu.specs.train import TrainSpec
from mozhu.workspace.scripts import SCRIPTS, script_text

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS: dict[str, type[Spec]] = {
    "train": TrainSpec,
    "settings": ModelSettings,
    "deploy": DeploySpec,
    "agent": AgentSpec,
    "up": ServiceSpec,
}


def generated() -> dict[str, str]:
    """Path relative to the root -> content."""
    files = {path: script_text(path) for path in SCRIPTS}
    for name, spec in SCHEMAS.items():
        schema = json.dumps(json_schema(spec), ensure_ascii=False, indent=2)
        files[f"0_configs/schemas/{name}.schema.json"] = schema + "\n"
    files["7_docs/commands.md"] = command_page()
    files["7_docs/errors.md"] = error_page()
    files["7_docs/openapi.json"] = json.dumps(open_document(), ensure_ascii=False, indent=2) + "\n"
    return files


def main() -> int:
    stale = []
    for name, content in generated().items():
        path = ROOT / name
        if path.is_file() and path.read_text(encoding="utf-8") == content:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
    if stale and "--check" in sys.argv:
        print("not current, run `make style`:", *stale, sep="\n  ", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
