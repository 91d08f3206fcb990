"""What this machine has: GPUs, memory, disk, cores, library versions. Never imports torch."""

from __future__ import annotations

import csv
import importlib.metadata
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from mozhu.kernel.files import free_bytes

_NVIDIA_QUERY = "index,name,memory.total,memory.free,driver_version,utilization.gpu"


@dataclass(frozen=True)
class Gpu:
    index: int
    name: str
    total_bytes: int
    free_bytes: int
    driver: str
    used_percent: float


@dataclass(frozen=True)
class Machine:
    """``memory_free_bytes`` respects a container's limit; ``free_cores`` is cores less the load, at least 1."""

    system: str
    python: str
    cores: int
    free_cores: int
    memory_bytes: int
    memory_free_bytes: int
    disk_free_bytes: int
    gpus: tuple[Gpu, ...]


def describe(disk_of: Path | None = None) -> Machine:
    """The machine as it is now; ``disk_of`` names the folder whose disk counts (default: here)."""
    total, free = memory()
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        cores=core_count(),
        free_cores=free_core_count(),
        memory_bytes=total,
        memory_free_bytes=free,
        disk_free_bytes=free_bytes(disk_of or Path.cwd()),
        gpus=gpus(),
    )


def core_count() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_core_count() -> int:
    """Cores not taken by other work in the last minute; more threads than that make every thread slower."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = 0.0
    return max(1, min(core_count(), round(core_count() - load)))


def gpus() -> tuple[Gpu, ...]:
    """The NVIDIA GPUs that ``nvidia-smi`` reports; empty, not an error, where there are none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ()
    command = [program, f"--query-gpu={_NVIDIA_QUERY}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(gpu for row in csv.reader(answer.stdout.splitlines()) if (gpu := _parse_gpu(row)))


@cache
def library_version(name: str) -> str | None:
    """The installed version of a distribution, or ``None``."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _parse_gpu(row: list[str]) -> Gpu | None:
    if len(row) != len(_NVIDIA_QUERY.split(",")):
        return None
    index, name, total, free, driver, used = (cell.strip() for cell in row)
    mebibyte = 1 << 20
    try:
        used_percent = float(used)
    except ValueError:  # "[N/A]" on some cards
        used_percent = 0.0
    try:
        return Gpu(int(index), name, int(total) * mebibyte, int(free) * mebibyte, driver, used_percent)
    except ValueError:
        return None


def memory() -> tuple[int, int]:
    """Bytes of memory in all and free, within the limit of this process's cgroup."""
    here = psutil.virtual_memory()
    limit = _cgroup_number("memory.max")
    if limit is None or limit >= here.total:
        return here.total, here.available
    used = _cgroup_number("memory.current") or 0
    return limit, max(0, min(here.available, limit - used))


def _cgroup_number(name: str) -> int | None:
    """A number of this process's cgroup (version 2), ``None`` where there is none or no limit."""
    try:
        return int((Path("/sys/fs/cgroup") / name).read_text().strip())
    except (OSError, ValueError):
        return None
