"""The NVIDIA GPUs of this machine: what there is, what is free, which one to take. Never imports torch.

本机的 NVIDIA GPU：有哪些、空闲多少、该用哪一块。没有 GPU 时返回空列表，不报错。

    from gpu_manager import GPUManager

    gpu_info = GPUManager().get_gpu_info()
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from mozhu.kernel.files import human_size
from mozhu.kernel.machine import Gpu, describe, gpus
from mozhu.kernel.texts import text


class GPUManager:
    """Asks ``nvidia-smi`` anew at every call.

    Args:
        environment: Where ``CUDA_VISIBLE_DEVICES`` is read; the process's own by default.
        find: What lists the GPUs; injected in tests.
    """

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        find: Callable[[], tuple[Gpu, ...]] = gpus,
    ) -> None:
        self._environment = os.environ if environment is None else environment
        self._find = find

    def get_gpu_info(self) -> list[dict[str, Any]]:
        """One dictionary a GPU, by index; empty where there is none.

        每块 GPU 一个字典；没有 GPU 时为空列表。

        Keys: ``index`` (as in ``nvidia-smi``), ``name``, ``driver``, ``total_bytes``, ``free_bytes``,
        ``used_bytes``, ``used_percent`` (of the memory), ``load_percent`` (of the processors), ``visible``
        (to CUDA, in this process).
        """
        found = sorted(self._find(), key=lambda gpu: gpu.index)
        visible = self._visible([gpu.index for gpu in found])
        return [_facts(gpu, gpu.index in visible) for gpu in found]

    def get_free_gpus(self, min_free_bytes: int = 0) -> list[dict[str, Any]]:
        """The visible GPUs with at least ``min_free_bytes`` free, the freest first."""
        fitting = [
            gpu for gpu in self.get_gpu_info() if gpu["visible"] and gpu["free_bytes"] >= min_free_bytes
        ]
        return sorted(fitting, key=lambda gpu: (-gpu["free_bytes"], gpu["load_percent"], gpu["index"]))

    def select_gpu(self, min_free_bytes: int = 0) -> int | None:
        """The index of the visible GPU with the most free memory; None where none has ``min_free_bytes``."""
        free = self.get_free_gpus(min_free_bytes)
        return int(free[0]["index"]) if free else None

    def get_memory_summary(self) -> dict[str, Any]:
        """What there is in all, in bytes.

        Keys: ``gpu_count``, ``gpu_total_bytes``, ``gpu_free_bytes`` (the visible GPUs), ``total_bytes``,
        ``free_bytes`` (the machine's own memory).
        """
        visible = [gpu for gpu in self.get_gpu_info() if gpu["visible"]]
        machine = describe()
        return {
            "gpu_count": len(visible),
            "gpu_total_bytes": sum(gpu["total_bytes"] for gpu in visible),
            "gpu_free_bytes": sum(gpu["free_bytes"] for gpu in visible),
            "total_bytes": machine.memory_bytes,
            "free_bytes": machine.memory_free_bytes,
        }

    def describe(self) -> str:
        """The same for people, one GPU a line."""
        found = self.get_gpu_info()
        if not found:
            memory = self.get_memory_summary()
            free, total = human_size(memory["free_bytes"]), human_size(memory["total_bytes"])
            return text("toolbox.gpu.none", free=free, total=total)
        return "\n".join(_line(gpu) for gpu in found)

    def _visible(self, indexes: list[int]) -> set[int]:
        """What CUDA shows of ``indexes``: it reads numbers up to the first that is none of them.

        A list of UUIDs names cards in a way that is not looked up here; then every card counts as visible.
        """
        value = self._environment.get("CUDA_VISIBLE_DEVICES")
        if value is None or value.strip().startswith(("GPU-", "MIG-")):
            return set(indexes)
        shown: set[int] = set()
        for word in value.split(","):
            if not word.strip().isdigit() or int(word) not in indexes:
                break
            shown.add(int(word))
        return shown


def environment_for(index: int) -> dict[str, str]:
    """The variables that make CUDA see this GPU only; set them before torch is imported.

    Without the order, CUDA numbers cards by speed and ``nvidia-smi`` by place.
    """
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index)}


def _facts(gpu: Gpu, visible: bool) -> dict[str, Any]:
    used = gpu.total_bytes - gpu.free_bytes
    return {
        "index": gpu.index,
        "name": gpu.name,
        "driver": gpu.driver,
        "total_bytes": gpu.total_bytes,
        "free_bytes": gpu.free_bytes,
        "used_bytes": used,
        "used_percent": round(100 * used / gpu.total_bytes, 1) if gpu.total_bytes else 0.0,
        "load_percent": gpu.used_percent,
        "visible": visible,
    }


def _line(gpu: dict[str, Any]) -> str:
    if not gpu["visible"]:
        return text("toolbox.gpu.hidden", index=gpu["index"], name=gpu["name"])
    return text(
        "toolbox.gpu.one",
        index=gpu["index"],
        name=gpu["name"],
        free=human_size(gpu["free_bytes"]),
        total=human_size(gpu["total_bytes"]),
        used_percent=gpu["used_percent"],
    )
