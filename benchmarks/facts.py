"""What a result depends on: the code, the libraries, the machine. Never a host name or a path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

from mozhu.kernel.machine import describe, library_version

ROOT = Path(__file__).resolve().parent.parent
_LIBRARIES = (
    "torch",
    "transformers",
    "peft",
    "tokenizers",
    "safetensors",
    "gguf",
    "xllamacpp",
    "sacrebleu",
    "numpy",
    "sqlalchemy",
    "pydantic",
)


def code_version(module: str) -> str:
    """One hash of the package, the harness, the peers, the benchmark ``module`` and the libraries' versions."""
    files = sorted((ROOT / "src" / "mozhu").rglob("*.py"))
    files += [ROOT / "benchmarks" / f"{name}.py" for name in ("harness", "models", module)]
    files += sorted((ROOT / "benchmarks" / "peers").glob("*.py"))
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    digest.update(repr(sorted(libraries().items())).encode())
    return f"sha256:{digest.hexdigest()}"


def libraries() -> dict[str, str]:
    return {name: version for name in _LIBRARIES if (version := library_version(name))}


def machine() -> dict[str, Any]:
    found = describe()
    return {
        "system": found.system,
        "python": found.python,
        "cpu": _cpu_model(),
        "cores": found.cores,
        "memory_gb": round(found.memory_bytes / 1e9, 1),
        "gpus": [gpu.name for gpu in found.gpus],
    }


def load_average() -> float:
    """Of the last minute; 0 where the system keeps none."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return 0.0


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return "?"
