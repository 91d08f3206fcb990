"""The facts of a machine: with GPUs, without, and with a driver that does not answer."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mozhu.kernel import machine

TWO_GPUS = "0, NVIDIA A100, 40960, 1024, 550.54, 97\n1, NVIDIA A100, 40960, 30720, 550.54, [N/A]\n"


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Put a program of that name on the path that prints ``lines`` and ends with ``status``."""

    def install(lines: str, status: int = 0) -> None:
        program = tmp_path / "bin/nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\nexit {status}\n", encoding="utf-8")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/usr/bin{os.pathsep}/bin")

    return install


def test_a_machine_without_a_gpu_has_none_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.gpus() == ()


def test_gpus_are_read_from_the_driver(nvidia_smi: Callable[..., None]) -> None:
    nvidia_smi(TWO_GPUS)
    first, second = machine.gpus()
    assert (first.index, first.name, first.driver) == (0, "NVIDIA A100", "550.54")
    assert (first.total_bytes, first.free_bytes) == (40 << 30, 1 << 30)
    assert (first.used_percent, second.used_percent) == (97.0, 0.0)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Failed to initialize NVML: Driver/library version mismatch\n", 0),
        (TWO_GPUS, 9),
        ("", 0),
        ("0, A, x, y, z, 1\n", 0),
    ],
    ids=["words", "error", "nothing", "no numbers"],
)
def test_a_driver_that_does_not_answer_is_no_gpu(
    lines: str, status: int, nvidia_smi: Callable[..., None]
) -> None:
    nvidia_smi(lines, status)
    assert machine.gpus() == ()


def test_the_description_is_sound() -> None:
    found = machine.describe()
    assert found.python == platform.python_version()
    assert 1 <= found.free_cores <= found.cores
    assert 0 <= found.memory_free_bytes <= found.memory_bytes
    assert found.memory_bytes > 1 << 28 and found.disk_free_bytes > 0


def test_a_limit_of_the_container_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {"memory.max": 3 << 30, "memory.current": 1 << 30}
    monkeypatch.setattr(machine, "_cgroup_number", numbers.get)
    found = machine.describe()
    assert found.memory_bytes == 3 << 30 and found.memory_free_bytes <= 2 << 30


def test_a_busy_machine_has_fewer_free_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "core_count", lambda: 8)
    free = []
    for load in (0.0, 3.2, 100.0):
        monkeypatch.setattr(os, "getloadavg", lambda load=load: (load, 0.0, 0.0))
        free.append(machine.free_core_count())
    assert free == [8, 5, 1]


def test_versions_of_libraries() -> None:
    assert machine.library_version("pydantic") and machine.library_version("no-such-library") is None


def test_the_kernel_needs_no_engine_library() -> None:
    names = "errors files texts slots progress paths machine safetensors"
    code = f"import sys\nfor name in {names.split()!r}: __import__('mozhu.kernel.' + name)\n" + (
        "print(sorted({'torch', 'transformers', 'numpy', 'pydantic', 'sqlalchemy'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
