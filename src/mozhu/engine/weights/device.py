"""Which device and number type a model is loaded with, from what this machine can do."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from mozhu.engine.weights.folder import ModelFolder
from mozhu.kernel.errors import WrongDevice

# Below this many parameters bfloat16 saves nothing that matters on a CPU and costs precision.
BF16_FROM_PARAMETERS = 300_000_000
_CPU_INFO = Path("/proc/cpuinfo")


def pick_device(wanted: str = "auto") -> torch.device:
    """The device asked for; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        WrongDevice: MODEL-014, this machine has no such device.
    """
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in has.items() if there))
    kind = wanted.split(":")[0]
    number = wanted.partition(":")[2]
    if not has.get(kind, False) or (kind == "cuda" and number and int(number) >= torch.cuda.device_count()):
        raise WrongDevice(device=wanted, there=[name for name, there in has.items() if there])
    return torch.device(wanted)


def pick_dtype(device: torch.device, folder: ModelFolder, wanted: str = "auto") -> torch.dtype:
    """The number type asked for; ``auto`` is bfloat16 where the device computes in it, else a safe one.

    On a CPU that is float32, except for models over :data:`BF16_FROM_PARAMETERS` where it has AVX512-BF16 or
    AMX.
    """
    if wanted != "auto":
        found = getattr(torch, wanted)
        assert isinstance(found, torch.dtype)
        return found
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "mps":
        return torch.float16 if folder.dtype == "float16" else torch.bfloat16
    large = folder.parameter_count > BF16_FROM_PARAMETERS
    return torch.bfloat16 if large and cpu_has_bf16() else torch.float32


def cpu_has_bf16() -> bool:
    """Whether this CPU multiplies in bfloat16 by itself (AVX512-BF16, AMX, or ARM's bf16)."""
    try:
        flags = _CPU_INFO.read_text(encoding="ascii", errors="ignore")
    except OSError:
        return False
    words = set(flags.split())
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def free_and_total_bytes(device: torch.device) -> tuple[int, int]:
    """Memory of ``device``: free and in all; of the machine where it has none of its own."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        return free, total
    memory = psutil.virtual_memory()
    return memory.available, memory.total
