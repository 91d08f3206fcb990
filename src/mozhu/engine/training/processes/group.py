"""The processes of one training, as one of them sees them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import distributed

_WAIT = timedelta(minutes=30)  # the slowest that one process may be behind another, while it loads or saves


@dataclass(frozen=True)
class Group:
    """``rank`` of ``size`` processes; ``local_rank`` of the ``local_size`` on this machine.

    A process that trains alone is a group of one: nothing is sent anywhere.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    @property
    def is_local_main(self) -> bool:
        """The one process of this machine that writes into the run folder."""
        return self.local_rank == 0

    def place(self, wanted: torch.device) -> torch.device:
        """This process's own device of the kind that is ``wanted``."""
        return torch.device("cuda", self.local_rank) if wanted.type == "cuda" and self.size > 1 else wanted

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, which may be anything that JSON can say; every process has to ask."""
        if self.size == 1:
            return [value]
        told = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        sizes = [torch.zeros(1, dtype=torch.long) for _ in range(self.size)]
        distributed.all_gather(sizes, torch.tensor([len(told)]))
        room = torch.zeros(int(max(sizes)), dtype=torch.uint8)
        room[: len(told)] = told
        found = [torch.empty_like(room) for _ in range(self.size)]
        distributed.all_gather(found, room)
        return [
            json.loads(bytes(part[: int(size)].tolist())) for part, size in zip(found, sizes, strict=True)
        ]

    def any(self, flag: bool) -> bool:
        return any(self.gather(flag))

    def barrier(self) -> None:
        self.gather(None)


def join_group(device: str) -> Group:
    """Meet the other processes that the launcher names in the environment, as torchrun does; a group of one where
    it names none.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 and "RANK" not in os.environ:
        return Group()
    if not distributed.is_initialized():
        # Small things travel through the CPU, gradients through the GPUs.
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group(backend, timeout=_WAIT)
    return this_group()


def this_group() -> Group:
    """The group that this process has joined."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return Group()
    return Group(
        distributed.get_rank(),
        distributed.get_world_size(),
        int(os.environ["LOCAL_RANK"]),
        int(os.environ["LOCAL_WORLD_SIZE"]),
    )


def leave_group() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
