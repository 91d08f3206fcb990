"""Make the environment and install Mozhu into it; says what it will download first, and does nothing twice.

Runs on any Python 3.10+ with nothing installed. A machine without a GPU never gets CUDA by surprise: when the
default index would bring CUDA packages with torch, torch comes from PyTorch's CPU wheels (MOZHU_TORCH_INDEX).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
STAMP = ".mozhu-installed"
NEEDS_TORCH = {"train"}
OLDEST = (3, 10)


def main() -> int:
    options = arguments()
    if sys.version_info < OLDEST:
        return refuse(
            f"Mozhu 需要 Python 3.10 或更新，这里是 {sys.version.split()[0]}。请用 PYTHON=python3.11 make …\n"
            f"Mozhu needs Python 3.10 or newer, this is {sys.version.split()[0]}. Use PYTHON=python3.11 make …"
        )
    extras = sorted(filter(None, options.extras.split(",")))
    venv = Path(options.venv)
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = venv / STAMP
    wanted = fingerprint()
    inputs, installed = read_stamp(stamp)
    if python.exists() and inputs == wanted and set(extras) <= set(installed):
        return 0
    started = time.monotonic()
    if not python.exists():
        say(f"建立环境 {venv} · making the environment {venv}")
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    extras = sorted({*extras, *installed})
    torch = torch_arguments(python) if NEEDS_TORCH & set(extras) else []
    if torch:
        pip(python, "install", *torch)
    target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
    tell_download(python, target)
    pip(python, "install", "--editable", target)
    stamp.write_text(json.dumps({"inputs": wanted, "extras": extras}), encoding="utf-8")
    subprocess.run([str(python), "-m", "mozhu", "init", str(ROOT)], check=True, stdout=subprocess.DEVNULL)
    say(
        f"安装完成，用时 {time.monotonic() - started:.0f} 秒 · installed in {time.monotonic() - started:.0f} s"
    )
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venv", default=".venv", help="folder of the environment")
    parser.add_argument("--extras", default="", help="comma-separated extras: train,export,dev,quant")
    return parser.parse_args()


def fingerprint() -> str:
    """One hash of what an installation depends on."""
    digest = hashlib.sha256(sys.version.encode())
    for path in (ROOT / "pyproject.toml", CONSTRAINTS):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_stamp(stamp: Path) -> tuple[str, list[str]]:
    """What the environment was made of and which extras it holds; nothing when it was not finished."""
    try:
        found = json.loads(stamp.read_text(encoding="utf-8"))
        return str(found["inputs"]), list(found["extras"])
    except (OSError, ValueError, KeyError):
        return "", []


def torch_arguments(python: Path) -> list[str]:
    """What pip is told so that torch fits this machine; empty when the right one is there already."""
    wanted = pinned("torch")
    if installed_version(python, "torch") == wanted.partition("==")[2]:
        return []
    plan = dry_run(python, [wanted])
    brings_cuda = any(item["metadata"]["name"].lower().startswith(("nvidia-", "cuda-")) for item in plan)
    if plan and (has_gpu() or not brings_cuda):
        return [wanted]
    address = os.environ.get("MOZHU_TORCH_INDEX", "")
    if not address:
        raise SystemExit(
            refuse(
                "MOZHU_TORCH_INDEX 为空，而默认源会带来数 GB 的 CUDA · it is empty, and the default index brings CUDA"
            )
        )
    say(f"没有 GPU：torch 取 CPU 版（{address}） · no GPU: torch's CPU build from {address}")
    return [wanted, "--index-url", address]


def tell_download(python: Path, target: str) -> None:
    """Say how many packages of what size will come, before they do."""
    plan = dry_run(python, ["--editable", target])
    size = sum(filter(None, (download_bytes(item["download_info"].get("url", "")) for item in plan)))
    if plan:
        say(
            f"将下载 {len(plan)} 个包，约 {size / 1e6:.0f} MB · {len(plan)} packages, about {size / 1e6:.0f} MB"
        )


def dry_run(python: Path, targets: list[str]) -> list[dict[str, Any]]:
    """The packages pip would install, without installing them; empty when it cannot tell."""
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--report",
        "-",
        "-c",
        str(CONSTRAINTS),
    ]
    answer = subprocess.run([*command, *targets], capture_output=True, text=True, check=False)
    start = answer.stdout.find("{")
    if answer.returncode or start < 0:
        return []
    report: list[dict[str, Any]] = json.loads(answer.stdout[start:])["install"]
    return report


def download_bytes(address: str) -> int:
    """The size of what lies at an address; 0 where the server does not say."""
    parts = urllib.parse.urlsplit(address)
    try:
        if parts.scheme == "file":
            path = Path(urllib.request.url2pathname(parts.path))
            return path.stat().st_size if path.is_file() else 0
        request = urllib.request.Request(address, method="HEAD")
        with urllib.request.urlopen(request, timeout=3) as answer:
            return int(answer.headers.get("Content-Length") or 0)
    except (OSError, ValueError):
        return 0


def pinned(name: str) -> str:
    """The constraint of a package, as pip wants it."""
    for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines():
        requirement = line.split("#")[0].split(";")[0].strip()
        if requirement.lower().startswith(f"{name}=="):
            return requirement
    return name


def installed_version(python: Path, name: str) -> str | None:
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=False)
    return answer.stdout.strip().split("+")[0] or None


def has_gpu() -> bool:
    program = shutil.which("nvidia-smi")
    return program is not None and subprocess.run([program, "-L"], capture_output=True).returncode == 0


def pip(python: Path, *arguments: str) -> None:
    command = [str(python), "-m", "pip", arguments[0], "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "-c", str(CONSTRAINTS), *arguments[1:]], check=True)


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def refuse(words: str) -> int:
    say(words)
    return 4


if __name__ == "__main__":
    sys.exit(main())
