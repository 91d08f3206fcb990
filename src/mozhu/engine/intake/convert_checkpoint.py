"""A scanned checkpoint as safetensors, made by a process of its own that may do nothing else.

What comes back is believed as little as what went in: the file is checked from its first byte to its last, and its
tensors have to be those that the scan saw.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mozhu.engine.intake.checkpoints import Described, Weights
from mozhu.engine.intake.findings import reason, refused
from mozhu.kernel.files import reading, replacing
from mozhu.kernel.safetensors import BITS_OF, read_header
from mozhu.specs.records.findings import Finding

_CHILD = Path(__file__).parent / "inside" / "convert_pickle.py"
_MEMORY_BYTES = 2 << 30
_HEADER_BYTES = 64 << 20
_SECONDS, _BYTES_A_SECOND = 120, 20 << 20
# A pickled tensor is written a second time at most where it is not laid out as its numbers lie.
_COPIES = 3
_SIGNALS = {signal.SIGXCPU: "cpu", signal.SIGXFSZ: "written", signal.SIGKILL: "killed", signal.SIGSYS: "call"}


@dataclass(frozen=True)
class Converted:
    """``protections`` is what was given up: ``network``, ``user``, ``limits``, ``privileges``, ``calls``.

    ``digests``: of each tensor, as it was loaded there, the sha256 of its bytes.
    """

    findings: list[Finding]
    protections: tuple[str, ...] = ()
    digests: dict[str, str] = field(default_factory=dict)


class _Stopped(Exception):
    """Leaves the block of the unfinished file, so that it vanishes."""


def has_torch() -> bool:
    """Whether there is a torch for the shut-in process, without importing it here."""
    return any((Path(place) / "torch" / "__init__.py").is_file() for place in sys.path if place)


def convert_checkpoint(source: Path, weights: Weights, target: Path, shown: str) -> Converted:
    """``target`` is a safetensors file with the tensors of ``weights``; with a finding there is no such file."""
    tensors = in_order(weights.tensors)
    answer: dict[str, Any] = {}
    try:
        with replacing(target) as file:
            answer = _run(source, tensors, file.fileno())
            problem = answer.get("error") or _differs(Path(file.name), tensors)
            if problem:
                raise _Stopped(problem)
    except _Stopped as stopped:
        return Converted(
            [refused("SAFE-133", shown, reason=str(stopped))], tuple(answer.get("protections", ()))
        )
    digests = {str(name): str(own) for name, own in dict(answer.get("digests", {})).items()}
    return Converted([], tuple(answer.get("protections", ())), digests)


def in_order(tensors: list[Described]) -> list[Described]:
    """The widest types first, so that every tensor begins at a multiple of its own width."""
    return sorted(tensors, key=lambda tensor: (-BITS_OF[tensor.dtype], tensor.name))


def _run(source: Path, tensors: list[Described], target: int) -> dict[str, Any]:
    size = sum(_size(tensor) for tensor in tensors)
    whole = source.stat().st_size
    seconds = _SECONDS + (whole + size) // _BYTES_A_SECOND
    limits = {
        "memory_bytes": _MEMORY_BYTES + _COPIES * whole,
        "cpu_seconds": seconds,
        "written_bytes": size + _HEADER_BYTES,
    }
    with reading(source), open(source, "rb") as file, tempfile.TemporaryDirectory() as empty:
        job = {
            "source": file.fileno(),
            "target": target,
            "limits": limits,
            "tensors": [_told(t) for t in tensors],
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=empty,
            env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": empty, "TMPDIR": empty},
            pass_fds=(file.fileno(), target),
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(json.dumps(job).encode(), timeout=4 * seconds)
        except subprocess.TimeoutExpired:
            return {"error": reason("sandbox_time", seconds=4 * seconds)}
        finally:
            _end(process)
    return _answer(output, process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


def _answer(output: bytes, code: int) -> dict[str, Any]:
    try:
        told = json.loads(output)
    except ValueError:
        told = None
    if code == 0 and isinstance(told, dict) and ("written" in told or isinstance(told.get("error"), str)):
        return told
    word = _SIGNALS.get(signal.Signals(-code), "ended") if code < 0 else "ended"
    return {"error": reason(f"sandbox_{word}", code=code)}


def _differs(path: Path, tensors: list[Described]) -> str | None:
    header = read_header(path)
    if header.problems:
        return reason("sandbox_output", what=header.problems[0].code)
    found = {name: (entry.dtype, entry.shape) for name, entry in header.tensors.items()}
    if found != {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}:
        return reason("sandbox_output", what="tensors")
    return None


def _told(tensor: Described) -> dict[str, Any]:
    return {
        "path": list(tensor.path),
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "size_bytes": _size(tensor),
    }


def _size(tensor: Described) -> int:
    return math.prod(tensor.shape) * BITS_OF[tensor.dtype] // 8
