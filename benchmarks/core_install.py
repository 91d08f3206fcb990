"""What the core costs to install: a built wheel with its pinned dependencies into a fresh environment.

Everything is downloaded once, unmeasured, so that what is timed is the installation and not the network.
Peer: copying the finished ``site-packages``, the physical limit of laying the same files on this disk.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.facts import ROOT
from benchmarks.harness import Sample, alternate, in_process, timed
from benchmarks.report import Comparison, Limit
from benchmarks.table import Size
from mozhu.kernel.files import folder_bytes

_LIMIT_MB, _LIMIT_S = 120, 40
_INSTALLER = ("pip", "pip-", "setuptools", "_distutils_hack")


def measure(work: Path, size: Size) -> list[Comparison]:
    wheel = _build(work / "wheels")
    downloading = timed(
        lambda: _pip(sys.executable, "download", "-q", "-d", str(work / "wheels"), str(wheel))
    )
    venv, copied = work / "venv", work / "copy"
    _install(venv, wheel)

    def fresh() -> Sample:
        shutil.rmtree(venv)
        return timed(lambda: _install(venv, wheel))

    def copy() -> Sample:
        shutil.rmtree(copied, ignore_errors=True)
        return timed(lambda: _copy(_packages(venv), copied))

    measured = alternate({"pip install": in_process(fresh), "plain copy": in_process(copy)})
    megabytes = _core_bytes(_packages(venv)) / 1e6
    seconds = measured["pip install"].figure("wall_s") or 0.0
    return [
        Comparison(
            "python -m venv and pip install of the core",
            measured,
            against=[("pip install", "plain copy")],
            limits=[
                Limit("installed", round(megabytes, 1), _LIMIT_MB, "MB"),
                Limit("seconds", round(seconds, 1), _LIMIT_S, "s"),
            ],
            facts={
                "wheel_mb": round(wheel.stat().st_size / 1e6, 2),
                "download_mb": round(folder_bytes(work / "wheels") / 1e6, 1),
                "download_s": round(downloading.wall_s, 1),
                "packages": len(list(_packages(venv).glob("*.dist-info"))),
            },
        )
    ]


def _build(target: Path) -> Path:
    words = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True)
    return next(target.glob("mozhu-*.whl"))


def _pip(python: str, *words: str) -> None:
    command = [python, "-m", "pip", *words, "-c", str(ROOT / "constraints.txt")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def _install(venv: Path, wheel: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True)
    offline = ("--no-index", "--find-links", str(wheel.parent))
    _pip(str(venv / "bin" / "python"), "install", "-q", *offline, str(wheel))


def _packages(venv: Path) -> Path:
    return next(venv.glob("lib/python*/site-packages"))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def _core_bytes(packages: Path) -> int:
    """Without pip and setuptools, which every environment has."""
    counted = [path for path in packages.iterdir() if not path.name.startswith(_INSTALLER)]
    return sum(folder_bytes(path) if path.is_dir() else path.stat().st_size for path in counted)
