"""``python -m benchmarks.peers.environments [PEER …] [--root DIR] [--again]``: peers, each at home.

Every peer gets a virtual environment of its own below ``--root`` (``MOZHU_PEERS``, else a folder of the user's
cache): the pins of LLaMA-Factory, of ms-swift and of Mozhu exclude one another. torch comes first, the version that
Mozhu is measured with, so that all sides use one build of it. A stamp, written last, says what the environment
holds; without it a benchmark skips the peer. About four minutes and 2 GB each.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mozhu.kernel.files import folder_bytes, read_json, write_json

_STAMP = "mozhu-peer.json"
_LIST = ("list", "--format", "json", "--disable-pip-version-check")


@dataclass(frozen=True)
class Peer:
    """``requirements`` are installed after torch; ``removed`` afterwards, with the reason in ``why_removed``.

    ``torch``: the peer needs it.
    """

    title: str
    package: str
    requirements: tuple[str, ...]
    removed: tuple[str, ...] = ()
    why_removed: str = ""
    torch: bool = True


PEERS = {
    "llama_factory": Peer(
        "LLaMA-Factory",
        "llamafactory",
        (
            "llamafactory==0.9.5",
            "transformers==5.6.0",
            "trl==0.24.0",
            "peft==0.18.1",
            "datasets==4.0.0",
            "accelerate==1.11.0",
            "gradio==5.50.0",
        ),
        ("torchvision", "torchaudio"),
        "built for CUDA, they fail to load beside a CPU build of torch; text needs neither of them, and the "
        "driver gives the empty module `torchaudio` that LLaMA-Factory imports",
    ),
    "swift": Peer(
        "ms-swift",
        "ms-swift",
        (
            "ms-swift==4.6.0",
            "transformers==5.19.0",
            "trl==0.29.1",
            "peft==0.20.0",
            "datasets==4.8.4",
            "accelerate==1.15.0",
        ),
    ),
    "mlflow": Peer("MLflow", "mlflow", ("mlflow==3.17.2", "psycopg2-binary==2.9.13"), torch=False),
}


# Those that train, among others.
TRAINERS = {name: peer for name, peer in PEERS.items() if peer.torch}


def default_root() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("MOZHU_PEERS") or cache / "mozhu-benchmark-peers")


def python_of(name: str, root: Path | None = None) -> Path | None:
    """The interpreter of a finished environment made from today's requirements; ``None`` where there is none."""
    folder = (root or default_root()) / name
    place = folder / _STAMP
    if not place.is_file() or read_json(place).get("requirements") != _wanted(PEERS[name]):
        return None
    return _python(folder)


def packages_of(name: str, root: Path | None = None) -> dict[str, str]:
    """Name -> version of what is installed there, from the stamp."""
    found: dict[str, str] = read_json((root or default_root()) / name / _STAMP)["packages"]
    return found


def make(name: str, root: Path) -> Path:
    """A finished environment of the peer at ``root/name``; one that was left half done is made anew."""
    peer, folder, started = PEERS[name], root / name, time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    _say(name, f"virtual environment in {folder}")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    wanted = _wanted(peer)
    for number, group in enumerate((wanted[:1], wanted), 1):
        _say(name, f"step {number} of 2: {' '.join(group)}")
        _pip(folder, "install", "--progress-bar", "off", *group)
    if peer.removed:
        _say(name, f"without {', '.join(peer.removed)}: {peer.why_removed}")
        _pip(folder, "uninstall", "-y", "-q", *peer.removed)
    write_json(folder / _STAMP, {"peer": peer.title, "requirements": wanted, "packages": _packages(folder)})
    _say(name, f"done: {folder_bytes(folder) / 1e9:.1f} GB, {time.monotonic() - started:.0f} s")
    return folder


def _wanted(peer: Peer) -> list[str]:
    if not peer.torch:
        return list(peer.requirements)
    torch = version("torch").partition("+")[0]
    return [f"torch=={torch}", *peer.requirements]


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _pip(folder: Path, *words: str) -> None:
    subprocess.run([str(_python(folder)), "-m", "pip", *words], check=True)


def _packages(folder: Path) -> dict[str, str]:
    words = [str(_python(folder)), "-m", "pip", *_LIST]
    listed: list[dict[str, Any]] = json.loads(subprocess.run(words, check=True, capture_output=True).stdout)
    return {item["name"].lower().replace("_", "-"): item["version"] for item in listed}


def _say(name: str, what: str) -> None:
    print(f"[{name}] {what}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers.environments")
    parser.add_argument("peers", nargs="*", choices=[[], *PEERS], default=[], help="all, where none is named")
    parser.add_argument("--root", type=Path, default=default_root(), help="where the environments lie")
    parser.add_argument("--again", action="store_true", help="make anew what is finished")
    options = parser.parse_args(argv)
    for name in options.peers or PEERS:
        if python_of(name, options.root) and not options.again:
            _say(name, "is there")
        else:
            make(name, options.root)
    return 0


if __name__ == "__main__":
    sys.exit(main())
