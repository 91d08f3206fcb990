"""The TypeScript client is generated from the committed OpenAPI document, and packs."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from running import Running

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
DOCUMENT = ROOT / "7_docs" / "openapi.json"
PACKED = {"README.md", "package.json", "dist/index.js", "dist/index.d.ts", "dist/schema.d.ts"}
ASK = """
import { createMozhuClient, unwrap } from "./package/dist/index.js";
const mozhu = createMozhuClient(process.argv[2], process.argv[3], "en");
const page = unwrap(await mozhu.GET("/api/v1/models", { params: { query: { search: "医疗" } } }));
let code = "";
try {
  unwrap(await mozhu.GET("/api/v1/models/{name}", { params: { path: { name: "none" } } }));
} catch (error) {
  code = error.code ?? error.problem?.code;
}
console.log(JSON.stringify({ names: page.items.map((model) => model.name), code }));
"""
needs_node = pytest.mark.skipif(
    not (PACKAGE / "node_modules").is_dir() or shutil.which("npx") is None,
    reason="node_modules is not installed: python tools/typescript.py",
)


def test_the_types_name_every_operation() -> None:
    types = (PACKAGE / "src/schema.d.ts").read_text(encoding="utf-8")
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert set(re.findall(r'^    "(/[^"]*)": \{$', types, re.MULTILINE)) == set(document["paths"])
    for name in document["components"]["schemas"]:
        assert re.search(rf"^        {name}: ", types, re.MULTILINE), f"{name}: python tools/typescript.py"


@pytest.mark.slow
@needs_node
def test_the_types_are_current_and_the_package_packs(tmp_path: Path) -> None:
    made = tmp_path / "schema.d.ts"
    subprocess.run(["npx", "openapi-typescript", str(DOCUMENT), "-o", str(made)], cwd=PACKAGE, check=True)
    assert made.read_text(encoding="utf-8") == (PACKAGE / "src/schema.d.ts").read_text(encoding="utf-8")
    packed = ["npm", "pack", "--json", "--pack-destination", str(tmp_path)]
    told = subprocess.run(packed, cwd=PACKAGE, check=True, capture_output=True, text=True).stdout
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        inside = {member.name.removeprefix("package/") for member in archive if member.isfile()}
    assert inside == {file["path"] for file in json.loads(told)[0]["files"]} == PACKED


@pytest.mark.slow
@needs_node
def test_the_packed_client_asks_a_service(stocked: Running, tmp_path: Path) -> None:
    """What npm would install, unpacked elsewhere, reads a list and meets a refusal."""
    packed = ["npm", "pack", "--pack-destination", str(tmp_path)]
    subprocess.run(packed, cwd=PACKAGE, check=True, capture_output=True)
    with tarfile.open(next(tmp_path.glob("*.tgz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (tmp_path / "node_modules").symlink_to(PACKAGE / "node_modules")
    (tmp_path / "ask.mjs").write_text(ASK, encoding="utf-8")
    token = stocked.composition.token.token
    asked = ["node", "ask.mjs", stocked.address, token]
    done = subprocess.run(asked, cwd=tmp_path, check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == {"names": ["medical"], "code": "REG-001"}
