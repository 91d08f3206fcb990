"""The TypeScript client is generated from the committed OpenAPI document, and packs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
DOCUMENT = ROOT / "7_docs" / "openapi.json"


def test_the_types_name_every_operation() -> None:
    types = (PACKAGE / "src/schema.d.ts").read_text(encoding="utf-8")
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert set(re.findall(r'^    "(/[^"]*)": \{$', types, re.MULTILINE)) == set(document["paths"])
    for name in document["components"]["schemas"]:
        assert re.search(rf"^        {name}: ", types, re.MULTILINE), f"{name}: python tools/typescript.py"


@pytest.mark.slow
@pytest.mark.skipif(
    not (PACKAGE / "node_modules").is_dir() or shutil.which("npx") is None,
    reason="node_modules is not installed: python tools/typescript.py",
)
def test_the_types_are_current_and_the_package_packs(tmp_path: Path) -> None:
    made = tmp_path / "schema.d.ts"
    subprocess.run(["npx", "openapi-typescript", str(DOCUMENT), "-o", str(made)], cwd=PACKAGE, check=True)
    assert made.read_text(encoding="utf-8") == (PACKAGE / "src/schema.d.ts").read_text(encoding="utf-8")
    packed = ["npm", "pack", "--json", "--pack-destination", str(tmp_path)]
    told = subprocess.run(packed, cwd=PACKAGE, check=True, capture_output=True, text=True).stdout
    assert '"dist/index.js"' in told and '"dist/schema.d.ts"' in told
